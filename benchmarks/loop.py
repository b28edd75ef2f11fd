"""The proof: does the loop pay? The whole loop against single algorithms and random search.

    .venv/bin/python benchmarks/loop.py DATA [--families omniglot30,...] [--arms loop,single,...]
        [--seeds 0,1,2,3,4] [--budget 120s] [--results runs/benchmark-loop] [--summary] [--json]

DATA holds `omniglot/`, `tiny_imagenet_fewshot/` and `clinc150/` as their owners publish them. Every
run has the same budget on the same two cores and ends with 1,000 test episodes at 5-way 1-shot and
as many at 5-shot, of one model. Arms:

    loop           all of it
    single         (a) the best catalogue algorithm with its default recipe, chosen on `promotion`
                   by what the loop is judged on, the mean of 1 and 5 shots, among all of them
                   (each given the whole budget, the choice not charged); among them are plain
                   baselines, their view of the inputs and regularisation tuned on `search`
    tuned          (b) the best trained one: its default hyper-parameters and random ones get a
                   twelfth of the budget each, what is best on `promotion` then has the rest
    random         (c) random search over the loop's whole space, nets joined at its end, too
    no-algorithms  (d) the loop without programs, nets, plans and joined nets
    no-data        (e) the loop without generated data
    all-data       (f) the loop with every operator on from the start, and never chosen
    offered        the loop, offered the backbones that are installed as far as half of the budget
                   goes (another league): what having been offered one costs where it is no help

A run that is finished is kept in the results folder, with the scores of every episode and of every
class in it, and not run again; `--summary` needs no more than these (benchmarks/leads.py says how
leads and their intervals are reckoned, on these test classes and for new ones of the family).
Nothing else should run meanwhile: the budget is in wall seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from leads import is_whole, print_table, summary

from metaloop.catalogue.candidates import (
    build_learner,
    catalogue_candidates,
    plain_candidates,
    trunk_of,
)
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.offered import AUTO
from metaloop.catalogue.space import random_candidate
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.errors import DivergenceError
from metaloop.core.learner import AfterTraining, EmbeddingLearner, Learner, MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Part, candidate_from_json, to_json
from metaloop.core.statistics import EpisodeScores
from metaloop.engine.beginning import initial_state, mean_feature
from metaloop.engine.evaluation import FeatureCache, evaluate
from metaloop.generators.recipes import extended
from metaloop.jobs.baselines import best_of_each
from metaloop.loop import Generates, Learned, learn
from metaloop.loop.choosing import choose_field
from metaloop.loop.learning import default_workers
from metaloop.loop.racing import RACE_SHARE
from metaloop.models import train_model
from metaloop.models.evaluating import open_for
from metaloop.models.model import Model, load_model
from metaloop.models.training import Trained
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import PublishedPart, Reading, Store

WAYS, SHOTS, EPISODES = 5, (1, 5), 1000
CHOICE_EPISODES = 600  # of `promotion`, for each number of shots
FEW = ("omniglot30", "photos20", "intents20")
ARMS = ("loop", "single", "tuned", "random", "no-algorithms", "no-data", "all-data")
OFFERED = "offered"  # an arm that runs when it is asked for
TRIED, TRIED_SHARE = 4, 1 / 12  # hyper-parameters of arm `tuned`, and of the budget for each
_PUBLISHED: dict[Part, PublishedPart] = {
    "train": "train", "search": "val", "promotion": "val", "test": "test",
}  # fmt: skip


def omniglot(data: Path, number: int) -> Reading:
    """Upright characters only; `number` of the meta-training ones."""
    family = open_data(data / "omniglot").family
    assert isinstance(family, ClassFamily)
    upright = [i for i, c in enumerate(family.store.classes) if c.name.endswith("rot000")]
    return subset(f"omniglot{number}", family, number, np.array(upright))


def photos(data: Path, number: int) -> Reading:
    """Photographs at 32 pixels."""
    path = data / "tiny_imagenet_fewshot" / "tiny_imagenet_fewshot.npz"
    return subset(f"photos{number}", open_data(path, DataOptions(image_size=32)).family, number)


def intents(data: Path, number: int) -> Reading:
    """Intents of CLINC150 as vectors: TF-IDF of words, 256 singular directions of `train` alone."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, labels = clinc(data / "clinc150")
    names = sorted(set(labels))
    order = np.random.default_rng(0).permutation(len(names))
    parts = dict.fromkeys(range(75), "train") | dict.fromkeys(range(75, 112), "val")
    part_of = {names[k]: parts.get(place, "test") for place, k in enumerate(order)}
    learned = [text for text, label in zip(texts, labels, strict=True) if part_of[label] == "train"]
    vectoriser = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(learned)
    directions = TruncatedSVD(256, random_state=0).fit(vectoriser.transform(learned))
    vectors = directions.transform(vectoriser.transform(texts)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "intents.npz"
        np.savez(path, X=vectors, y=np.array(labels), split=np.array([part_of[n] for n in labels]))
        return subset(f"intents{number}", open_data(path).family, number)


def clinc(folder: Path) -> tuple[list[str], list[str]]:
    """Returns the sentences of CLINC150 with their intents, out-of-scope ones left out."""
    path = next(folder.rglob("*full*.json*"))
    content = path.read_bytes()
    if path.suffix == ".gz":
        import gzip

        content = gzip.decompress(content)
    splits = json.loads(content)
    pairs = [pair for name in ("train", "val", "test") for pair in splits[name]]
    return [text for text, _ in pairs], [label for _, label in pairs]


FAMILIES: dict[str, Callable[[Path], Reading]] = {
    "omniglot30": lambda data: omniglot(data, 30),
    "photos20": lambda data: photos(data, 20),
    "intents20": lambda data: intents(data, 20),
    "photos100": lambda data: photos(data, 100),
}


def subset(name: str, family: Any, number: int, among: np.ndarray | None = None) -> Reading:
    """Returns the family with `number` of its meta-training classes, drawn once and for all."""
    assert isinstance(family, ClassFamily)
    parts = {
        part: classes if among is None else np.intersect1d(classes, among)
        for part, classes in family.parts.items()
    }
    rng = np.random.default_rng(0)
    parts["train"] = np.sort(rng.choice(parts["train"], number, replace=False))
    order = np.concatenate([parts[part] for part in _PUBLISHED])
    store = family.store
    rows = np.flatnonzero(np.isin(store.targets.numpy(), order))
    place = {int(old): new for new, old in enumerate(order)}
    targets = torch.tensor([place[int(t)] for t in store.targets[torch.from_numpy(rows)]])
    published = {int(c): _PUBLISHED[part] for part, members in parts.items() for c in members}
    classes = tuple(replace(store.classes[c], part=published[int(c)]) for c in order)
    inputs = store.taken(rows)
    return Reading(name, "subset", Store(inputs, targets, classes, store.polarity))


def run(reading: Reading, out: Path, budget: str, seed: int, **options: Any) -> Model:
    """Returns the model that one run of the loop ends with."""
    shutil.rmtree(out, ignore_errors=True)
    for event in learn(reading, out=out, budget=budget, seed=seed, **options):
        if isinstance(event, Learned):
            return load_model(event.report["model"])
    raise AssertionError("no report")


def arm_model(
    arm: str, reading: Reading, results: Path, budget: str, seed: int, left_out: Sequence[str]
) -> tuple[Model, dict[str, Any]]:
    """Returns the model of an arm, and facts about how it came to be."""
    out = results / "runs" / f"{reading.name}-{arm}-{seed}"
    if arm == "loop":
        return run(reading, out, budget, seed), {}
    if arm == OFFERED:
        return run(reading, out, budget, seed, options=DataOptions(backbone=AUTO)), {}
    if arm == "random":
        return run(reading, out, budget, seed, generates=Generates(chance=True)), {}
    if arm == "no-algorithms":
        return run(reading, out, budget, seed, generates=Generates(algorithms=False)), {}
    if arm == "no-data":
        return run(reading, out, budget, seed, generates=Generates(data=False)), {}
    if arm == "all-data":
        candidates = [with_everything(c, reading) for c in contenders(reading, budget)]
        generates = Generates(data=False)
        return run(reading, out, budget, seed, candidates=candidates, generates=generates), {}
    choice = choose_single(reading, results, budget, left_out)
    if arm == "single":
        name = max(choice, key=lambda name: choice[name][1])
        return single(reading, choice[name][0], results, budget, seed), {"learner": name}
    trained = [name for name in choice if choice[name][0].plan.style != "none"]
    name = max(trained, key=lambda name: choice[name][1])  # nothing to draw of a plain one
    return tuned(reading, choice[name][0], budget, seed), {"learner": name}


def name_of(candidate: Candidate) -> str:
    """Returns a candidate's label with its options."""
    options = [f"{name}={value}" for name, value in candidate.learner.options.items()]
    return " ".join([candidate.label, *options])


def contestants(reading: Reading, left_out: Sequence[str] = ()) -> list[Candidate]:
    """Returns the catalogue's trained candidates, and the best tuned one of each plain method.

    Trained ones whose learner is among `left_out` are not.
    """
    family, _ = class_family(reading)
    spec = family.spec(WAYS, 1)

    def value(candidate: Candidate, episodes: int) -> float:
        learner = build_learner(candidate, family.input_format, spec.objective)
        phi = learner.init(spec, torch_stream(0, "plain"))
        return mean_value(scores_of(learner, phi, family, "search", episodes))

    trained = [
        candidate
        for candidate in catalogue_candidates(family.input_format, spec)
        if candidate.plan.style != "none" and candidate.learner.name not in left_out
    ]
    return [*best_of_each(plain_candidates(spec), value), *trained]


def scores_of(
    learner: Learner, phi: MetaParams, family: ClassFamily, part: Part, episodes: int
) -> dict[int, EpisodeScores]:
    """Returns the scores of as many episodes for every number of shots; inputs embedded once."""
    cache = FeatureCache(learner, phi) if isinstance(learner, EmbeddingLearner) else None
    return {
        shots: evaluate(learner, phi, family, part, family.spec(WAYS, shots), episodes, cache)[1]
        for shots in SHOTS
    }


def mean_value(scores: dict[int, EpisodeScores]) -> float:
    """Returns what the loop is judged on: the mean over shots."""
    return float(np.mean([scores[shots].values.mean() for shots in SHOTS]))


def promotion_value(model: Model, family: ClassFamily) -> float:
    """Returns what choices are made by: the mean over shots on `promotion`."""
    learner, phi = model.learner, model.meta_params
    return mean_value(scores_of(learner, phi, family, "promotion", CHOICE_EPISODES))


def contenders(reading: Reading, budget: str) -> list[Candidate]:
    """Returns what the loop's race would start with under such a budget."""
    family, _ = class_family(reading)
    wall = parse_budget(budget).wall_seconds
    assert wall is not None, "the proof is about seconds"
    seconds = RACE_SHARE * wall * default_workers()
    field = choose_field(family, family.spec(WAYS, 1), race_seconds=seconds, shrunk=True)
    return [head for heads in field.contenders for head in heads]


def with_everything(candidate: Candidate, reading: Reading) -> Candidate:
    """Returns the candidate with every operator that suits such inputs on."""
    data, used = candidate.data, set()
    for text in generator_arms(class_family(reading)[0].input_format):
        name = text.partition("(")[0]
        if name not in used:
            data = extended(data, text)
            used.add(name)
    return replace(candidate, data=data)


def single(reading: Reading, candidate: Candidate, results: Path, budget: str, seed: int) -> Model:
    """Returns one algorithm trained with all of the budget; those on one net share its training."""
    if candidate.plan.style == "none":
        return train_single(reading, candidate, parse_budget(budget), seed)
    family, _ = class_family(reading)
    known = catalogue_candidates(family.input_format, family.spec(WAYS, 1))
    first = next(one for one in known if trunk_of(one) == trunk_of(candidate))
    name = f"{reading.name}-{first.learner.name}-{budget}-{seed}.metaloop"
    path = results / "singles" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train_single(reading, first, parse_budget(budget), seed).save(path)
    return with_head(load_model(path), candidate, family)


def train_single(reading: Reading, candidate: Candidate, budget: Budget, seed: int) -> Model:
    """Returns the model of one algorithm on all cores."""
    for event in train_model(reading, candidate, budget=budget, ways=WAYS, shots=1, seed=seed):
        if isinstance(event, Trained):
            return event.model
    raise AssertionError("no model")


def with_head(model: Model, candidate: Candidate, family: ClassFamily) -> Model:
    """Returns another learner on the net of a model: both would have trained it alike."""
    spec = family.spec(WAYS, 1)
    learner = build_learner(candidate, family.input_format, spec.objective)
    own = initial_state(learner, family, spec, seed=0).meta_params
    known = {name: model.meta_params.get(name, tensor) for name, tensor in own.items()}
    if isinstance(learner, AfterTraining) and isinstance(learner, EmbeddingLearner):
        known = learner.finish(known, mean_feature(learner, known, family))
    return replace(model, learner=learner, meta_params=known, candidate=candidate)


def choose_single(
    reading: Reading, results: Path, budget: str, left_out: Sequence[str]
) -> dict[str, tuple[Candidate, float]]:
    """Returns every contestant of arm `single` with its `promotion` figure, of seed 0."""
    path = results / f"{reading.name}-{budget}-choice.json"
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    if not entries:
        entries = {name_of(c): {"candidate": to_json(c)} for c in contestants(reading, left_out)}
    family, _ = class_family(reading)
    for entry in entries.values():
        if "value" not in entry:
            candidate = candidate_from_json(entry["candidate"])
            model = single(reading, candidate, results, budget, 0)
            entry["value"] = promotion_value(model, family)
            path.write_text(json.dumps(entries, indent=1))
    return {
        name: (candidate_from_json(entry["candidate"]), entry["value"])
        for name, entry in entries.items()
    }


def tuned(reading: Reading, default: Candidate, budget: str, seed: int) -> Model:
    """Returns one method trained with the best of several hyper-parameters."""
    family, _ = class_family(reading)
    spec = family.spec(WAYS, 1)
    rng = np.random.default_rng(seed)
    learner = default.learner.name
    tried = [default]
    tried += [random_candidate(learner, family.input_format, spec, rng) for _ in range(TRIED - 1)]
    wall = parse_budget(budget).wall_seconds
    assert wall is not None, "the proof is about seconds"

    def trained(candidate: Candidate, share: float) -> tuple[float, Model | None]:
        seconds = Budget(wall_seconds=share * wall)
        try:
            model = train_single(reading, candidate, seconds, seed)
        except DivergenceError:  # what is drawn at random may be too much
            return -1.0, None
        return promotion_value(model, family), model

    tried.sort(key=lambda candidate: trained(candidate, TRIED_SHARE)[0], reverse=True)
    for candidate in tried:
        _, model = trained(candidate, 1 - TRIED * TRIED_SHARE)
        if model is not None:
            return model
    raise AssertionError("every candidate diverged")


def measure(
    arm: str, name: str, data: Path, results: Path, budget: str, seed: int, left_out: Sequence[str]
) -> None:
    """Runs an arm on a family with a seed, unless its results are there."""
    path = results / f"{name}-{arm}-{budget}-{seed}.npz"
    if path.exists() and is_whole(path, SHOTS):
        return
    reading = FAMILIES[name](data)
    model, facts = arm_model(arm, reading, results, budget, seed, left_out)
    family, _ = class_family(reading)
    if model.view is not None:
        seen = open_for(model, reading).family
        assert isinstance(seen, ClassFamily)
        family = seen
    arrays = {}
    found = scores_of(model.learner, model.meta_params, family, "test", EPISODES)
    for shots, scores in found.items():
        arrays[f"{shots}-shot"] = scores.values
        arrays[f"{shots}-shot-classes"] = scores.units
        arrays[f"{shots}-shot-of-classes"] = scores.unit_values
        value = 100 * scores.values.mean()
        print(f"{name} {arm} {seed}: {shots}-shot {value:.2f}", file=sys.stderr)
    facts |= {"candidate": model.candidate.label, "cpu_seconds": model.training.cpu_seconds}
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, facts=json.dumps(facts), **arrays)
    temporary.replace(path)


def main() -> None:
    """Reads the arguments, runs what is missing, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--leave-out", default="", help="learners that `single` is not among")
    parser.add_argument("--results", type=Path, default=Path("runs/benchmark-loop"))
    parser.add_argument("--summary", action="store_true", help="run nothing")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    names, arms = asked.families.split(","), asked.arms.split(",")
    asked.results.mkdir(parents=True, exist_ok=True)
    if not asked.summary:
        for seed in map(int, asked.seeds.split(",")):
            for name in names:
                for arm in arms:
                    if name in FEW or arm in ("loop", "single", "random", OFFERED):
                        measure(
                            arm, name, asked.data, asked.results, asked.budget, seed,
                            asked.leave_out.split(","),
                        )  # fmt: skip
    table = summary(asked.results, asked.budget, names, arms, SHOTS)
    if asked.json:
        print(json.dumps(table))
        return
    print_table(table)


if __name__ == "__main__":
    main()
