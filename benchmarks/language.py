"""Intents nobody trained on: frozen sentence encoders with plain heads, TF-IDF, and the loop.

    .venv/bin/python benchmarks/language.py DATA [--data banking,clinc,domains,nyt,pubmed]
        [--folds 1,2,3,4,5] [--rows tfidf,minilm,minilm+wordllama,learn,without]
        [--budget 120s] [--episodes 1000] [--out runs/benchmark-language]

DATA holds `banking77/`, `clinc150/`, `protaugment_folds/` and `fewrel_val/` as their owners publish
them (language_data.py). `banking` and `clinc` are split by the five published folds of labels (of
training, validation and test: 25, 25, 27; 50, 50, 50); `domains` are five deals of CLINC150's ten
domains, 6 / 2 / 2; `nyt` and `pubmed` are relations of FewRel, learned from those of Wikipedia and
SemEval. Of each class 50 texts (BANKING77) or 40 are drawn once. Tasks are of 5 and 10 ways, 1 and
5 shots, 15 queries a class, inductive. Rows:

    tfidf       metaloop's tf-idf of words and letters, logistic regression (of unit length alone)
    NAME        features of that encoder: nearest class mean, centred on the training classes and of
                unit length; and logistic regression. Of relations: the two entities stand before
                the sentence, but for `minilm-entities`
    learn       what `learn` ends with in the budget, on all cores, with the encoders installed
    without     the same with none

Below the table are the differences of the last two from the others, paired over episodes.

C and the form of features of logistic regression are tuned on `search`, half of the validation
classes; the other half is `promotion`, by which the loop chooses. Each piece (data, fold, row) is a
file in `--out` and is not computed twice, so that a run that was stopped goes on. The table is of
the folds that are there: the mean, the 95 % interval over all their episodes, and in brackets that
for new classes, where classes of different folds count as different ones.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from frozen_heads import centroid, regression
from language_data import RELATIONS, reading

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.offered import AUTO, NONE
from metaloop.catalogue.sights import seen_family
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Result
from metaloop.engine.evaluation import evaluate
from metaloop.loop import Learned, learn
from metaloop.models import load_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import Reading

TASKS = ((5, 1), (5, 5), (10, 1), (10, 5))
FORMS = ("raw", "standardised", "unit")
TERMS = "words_and_characters"
LEARNED = {"learn": AUTO, "without": NONE}  # rows of the loop, and the backbones that it is offered

Row = tuple[str, int, int, str, Result, np.ndarray]


def frozen_rows(read: Reading, row: str, episodes: int) -> Iterator[Row]:
    """Yields head, ways, shots, what it is in words, the result on `test`, and that of episodes."""
    if row == "tfidf":
        family, _ = seen_family(class_family(read)[0], TERMS)
    else:
        opened = open_data(read, DataOptions(backbone=open_backbone(row, takes="texts")))
        assert isinstance(opened.family, ClassFamily)
        family = opened.family
    for ways, shots in TASKS:
        forms = ("unit",) if row == "tfidf" else FORMS
        heads = {"logistic regression": regression(family, shots, forms)}
        if row != "tfidf":
            heads = {"centroid": centroid()} | heads
        for head, candidate in heads.items():
            result, values = _scored(family, candidate, ways, shots, episodes)
            yield head, ways, shots, candidate.label, result, values


def _scored(
    family: ClassFamily, candidate: Candidate, ways: int, shots: int, episodes: int
) -> tuple[Result, np.ndarray]:
    spec = family.spec(ways, shots, part="test")
    learner = build_learner(candidate, family.input_format, spec.objective)
    phi = learner.init(spec, torch_stream(0, "benchmark"))
    result, scores = evaluate(learner, phi, family, "test", spec, episodes)
    return result, scores.values


def learned_rows(
    read: Reading, out: Path, budget: str, episodes: int, backbone: str
) -> Iterator[Row]:
    """Yields the same of what a run of the loop ends with; one model for all kinds of tasks."""
    shutil.rmtree(out, ignore_errors=True)
    asked = DataOptions(backbone=backbone)
    for event in learn(read, out=out, budget=budget, seed=0, options=asked):
        if not isinstance(event, Learned):
            continue
        model = load_model(event.report["model"])
        opened = open_data(read, view=model.view)
        assert isinstance(opened.family, ClassFamily)
        for ways, shots in TASKS:
            spec = opened.family.spec(ways, shots, part="test")
            result, scores = evaluate(
                model.learner, model.meta_params, opened.family, "test", spec, episodes
            )
            yield (
                f"learn {budget}, backbones {backbone}",
                ways,
                shots,
                model.candidate.label,
                result,
                scores.values,
            )


def piece(asked: argparse.Namespace, name: str, fold: int, row: str) -> list[dict[str, Any]]:
    """Returns the results of one row on one fold, from its file if it is there."""
    called = f"{name}-{fold}-{row}" + (f"-{asked.budget}" if row in LEARNED else "")
    path = Path(asked.out) / f"{called}-{asked.episodes}.json"
    if not path.exists():
        fronted = name in RELATIONS and row not in LEARNED and row != "minilm-entities"
        read = reading(asked.data, name, fold, fronted)
        if row in LEARNED:
            out = Path(asked.out) / called
            found = learned_rows(read, out, asked.budget, asked.episodes, LEARNED[row])
        else:
            found = frozen_rows(read, row, asked.episodes)
        results = [
            {"head": head, "ways": ways, "shots": shots, "label": label, "value": r.value,
             "ci95": r.ci95, "ci95_new": r.ci95_new, "list": r.protocol.list_hash,
             "episodes": list(map(float, scores))}
            for head, ways, shots, label, r, scores in found
        ]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    known: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return known


def lines(pieces: list[list[dict[str, Any]]], name: str, row: str) -> Iterator[str]:
    """Yields a line of the table for each head: means over folds, and both intervals."""
    for head in dict.fromkeys(each["head"] for each in pieces[0]):
        cells = []
        for ways, shots in TASKS:
            of = [
                each for found in pieces for each in found
                if (each["head"], each["ways"], each["shots"]) == (head, ways, shots)
            ]  # fmt: skip
            value = np.mean([each["value"] for each in of])
            spread, new = (
                np.sqrt(np.sum([(each[key] or np.nan) ** 2 for each in of])) / len(of)
                for key in ("ci95", "ci95_new")
            )
            cells.append(f"{100 * value:.1f} +/- {100 * spread:.1f} ({100 * new:.1f})")
        called = head if row in LEARNED else f"{row}, {head}"
        yield f"| {name} | {len(pieces)} | {called} | {' | '.join(cells)} |"


def differences(found: dict[str, list[list[dict[str, Any]]]], name: str) -> Iterator[str]:
    """Yields what rows of the loop have over every other, paired where episodes are the same."""
    for row in [row for row in found if row in LEARNED]:
        for other, pieces in found.items():
            for head in dict.fromkeys(each["head"] for each in pieces[0]) if other != row else ():
                cells = [_gain(found[row], pieces, head, *task) for task in TASKS]
                yield f"{name}: {row} over {other}, {head}: {' / '.join(cells)}"


def _gain(
    ours: list[list[dict[str, Any]]], theirs: list[list[dict[str, Any]]], head: str, *task: int
) -> str:
    gains, variances = [], []
    for mine, other in zip(ours, theirs, strict=True):
        first = next(e for e in mine if (e["ways"], e["shots"]) == task)
        second = next(e for e in other if (e["head"], e["ways"], e["shots"]) == (head, *task))
        a, b = (np.array(each["episodes"]) for each in (first, second))
        gains.append(float(a.mean() - b.mean()))
        paired = first["list"] == second["list"]
        variances.append(
            np.var(a - b) / len(a) if paired else np.var(a) / len(a) + np.var(b) / len(b)
        )
    spread = 1.96 * np.sqrt(np.sum(variances)) / len(gains)
    return f"{100 * np.mean(gains):+.1f} +/- {100 * spread:.1f}"


def main() -> None:
    """Prints the table, a row as soon as its folds are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data", dest="names", default="banking,clinc,domains,nyt,pubmed")
    parser.add_argument("--folds", default="1,2,3,4,5")
    parser.add_argument("--rows", default="tfidf,minilm,minilm+wordllama,learn,without")
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-language"))
    asked = parser.parse_args()
    print(f"{asked.episodes} episodes a fold; +/- 95 %, in brackets for new classes\n")
    print("| data | folds | row | " + " | ".join(f"{w}w{s}s" for w, s in TASKS) + " |")
    print("|---" * (3 + len(TASKS)) + "|", flush=True)
    folds = [int(fold) for fold in asked.folds.split(",")]
    told: list[str] = []
    for name in asked.names.split(","):
        found = {}
        for row in asked.rows.split(","):
            found[row] = [piece(asked, name, fold, row) for fold in folds]
            for line in lines(found[row], name, row):
                print(line, flush=True)
        told += differences(found, name)
    print("", *told, sep="\n")


if __name__ == "__main__":
    main()
