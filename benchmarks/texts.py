"""Texts: the loop beside what a practitioner does without it, on classes nobody trained on.

    .venv/bin/python benchmarks/texts.py DATA [--budget 120s] [--classes 20] [--seeds 0,1]
        [--out runs/benchmark-texts]

DATA holds `clinc150/` as its owners publish it. Intents are dealt 75 / 37 / 38 to training,
choosing and testing; `--classes` of the training ones are used. Compared on the same 1,000 episodes
of `test`, 5-way 1-shot and 5-shot, each tuned on `search` alone:

    vocabulary   scikit-learn's TfidfVectorizer, words and runs of letters, fitted on the training
                 texts, with logistic regression of the best of six strengths
    plain        the best plain baseline of metaloop on its own view of the texts
    loop         `learn` with the budget on all cores, for each seed

Nothing else should run meanwhile: the budget is in wall seconds.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from loop import clinc, mean_value, scores_of
from metaloop.catalogue.candidates import build_learner, plain_candidates
from metaloop.catalogue.families import open_data
from metaloop.core.columns import Texts
from metaloop.core.randomness import torch_stream
from metaloop.core.statistics import EpisodeScores, estimate, paired_difference
from metaloop.loop import Learned, learn
from metaloop.models import load_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, PublishedPart, Reading, Store

EPISODES, SEARCH_EPISODES = 1000, 100
SHOTS = (1, 5)
DEALT: tuple[tuple[PublishedPart, int], ...] = (("train", 75), ("val", 37), ("test", 38))

Scores = dict[int, EpisodeScores]


def intents(data: Path, number: int) -> Reading:
    """Returns the sentences of CLINC150 with `number` of the training intents."""
    texts, labels = clinc(data / "clinc150")
    names = sorted(set(labels))
    order = np.random.default_rng(0).permutation(len(names)).tolist()
    parts = [part for part, count in DEALT for _ in range(count)]
    part_of = {names[place]: part for place, part in zip(order, parts, strict=True)}
    training = sorted(name for name in names if part_of[name] == "train")
    kept = set(np.random.default_rng(0).choice(training, number, replace=False).tolist())
    used = [name for name in names if part_of[name] != "train" or name in kept]
    place = {name: index for index, name in enumerate(used)}
    rows = [row for row, label in enumerate(labels) if label in place]
    targets = torch.tensor([place[labels[row]] for row in rows])
    classes = tuple(ClassInfo(name, part=part_of[name]) for name in used)
    return Reading("intents", "texts", Store(Texts.of([texts[r] for r in rows]), targets, classes))


def with_vocabulary(reading: Reading) -> ClassFamily:
    """Returns the family as tf-idf of the terms that training texts have, words beside letters."""
    family, _ = class_family(reading)
    texts = [str(text) for text in family.store.take(np.arange(len(family.store)))]
    learned = [texts[row] for row in family.labelled("train")[0]]
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    letters = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5), min_df=2)
    both = [each.fit(learned).transform(texts) for each in (words, letters)]
    vectors = normalize(sparse.hstack(both)).astype(np.float32).toarray()
    store = Store(torch.from_numpy(vectors), family.store.targets, family.store.classes)
    return ClassFamily("vocabulary", store, family.parts)


def best_plain(family: ClassFamily, among: str | None = None) -> tuple[str, Scores]:
    """Returns the plain candidate that is best on `search`, and its scores on `test`."""
    spec = family.spec(5, 1)
    best, highest = None, -1.0
    for candidate in plain_candidates(spec):
        if among is not None and candidate.learner.name != among:
            continue
        learner = build_learner(candidate, family.input_format, spec.objective)
        phi = learner.init(spec, torch_stream(0, "plain"))
        value = mean_value(scores_of(learner, phi, family, "search", SEARCH_EPISODES))
        if value > highest:
            best, highest = (candidate, learner, phi), value
    assert best is not None
    candidate, learner, phi = best
    return candidate.label, scores_of(learner, phi, family, "test", EPISODES)


def learned(reading: Reading, out: Path, budget: str, seed: int) -> tuple[str, Scores]:
    """Returns what a run of the loop ends with, and its scores on `test`."""
    shutil.rmtree(out, ignore_errors=True)
    for event in learn(reading, out=out, budget=budget, seed=seed):
        if isinstance(event, Learned):
            model = load_model(event.report["model"])
            opened = open_data(reading, view=model.view)
            assert isinstance(opened.family, ClassFamily)
            scores = scores_of(model.learner, model.meta_params, opened.family, "test", EPISODES)
            return model.candidate.label, scores
    raise AssertionError("no report")


def main() -> None:
    """Prints a line for each rival, with the difference of the last one from the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-texts"))
    asked = parser.parse_args()
    reading = intents(asked.data, asked.classes)
    opened = open_data(reading)
    assert isinstance(opened.family, ClassFamily)
    print(*opened.notes, sep="\n", end="\n\n")
    print("| | learner | 5-way 1-shot | 5-way 5-shot |\n|---|---|---|---|", flush=True)
    rivals = {
        "vocabulary": best_plain(with_vocabulary(reading), "logistic_regression"),
        "logistic regression": best_plain(opened.family, "logistic_regression"),
        "plain": best_plain(opened.family),
    }
    for seed in map(int, asked.seeds.split(",")):
        out = asked.out / f"loop-{seed}"
        rivals[f"loop, seed {seed}"] = learned(reading, out, asked.budget, seed)
    for name, (label, scores) in rivals.items():
        figures = " | ".join(_figure(scores[shots]) for shots in SHOTS)
        print(f"| {name} | {label} | {figures} |", flush=True)
    for name in [name for name in rivals if name.startswith("loop")]:
        for other in ("vocabulary", "logistic regression", "plain"):
            gains = [paired_difference(rivals[name][1][s], rivals[other][1][s]) for s in SHOTS]
            told = ", ".join(
                f"{100 * g.value:+.2f} +/- {100 * g.ci95:.2f} (new {100 * (g.ci95_new or 0):.2f})"
                for g in gains
            )
            print(f"{name} over {other}: {told}")


def _figure(scores: EpisodeScores) -> str:
    found = estimate(scores)
    return f"{100 * found.value:.2f} +/- {100 * found.ci95:.2f}"


if __name__ == "__main__":
    main()
