"""Drawn classes as learning data: against augmentation of the same images, in pairs.

    python benchmarks/drawn_classes.py DATA MODEL [--steps 300] [--episodes 1000] [--ways 20]
        [--shots 1] [--seeds 0,1,2] [--temperature 0.5] [--number 1000] [--classes 0]

DATA are images with classes, MODEL is one of `metaloop train DATA --objective generation`. A
ProtoNet of the usual plan is trained for so many steps on each of

    original        training classes as they are, without augmentation
    + augmentation  the same, every image under a random affine map: the control
    + drawn         the same, half of the episodes of drawn classes, `generated(T)`, unaugmented
    + both          drawn classes, and augmentation

and scored on one list of test episodes, in pairs. Steps are equal, and so is what they see of data
that was made; what drawing costs is told beside it. `--classes N` learns from N training classes
alone, which is where more data may help; MODEL knows the others, too, unless it was trained so.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.drawing import drawer_of
from metaloop.catalogue.families import open_data
from metaloop.core.budget import parse_budget
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Choice
from metaloop.engine.evaluation import score_episodes
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.generators.generate import generate
from metaloop.generators.recipes import parse_recipe
from metaloop.loop.others import drawer_among
from metaloop.tasks.family import ClassFamily, episode_list

NAMES = ("original", "+ augmentation", "+ drawn", "+ both")


def main() -> None:
    """Prints the accuracy of each, and the paired differences from the first two."""
    asked = _asked()
    torch.set_num_threads(1)
    opened = open_data(asked.data)
    drawer_among([asked.model], opened)  # refuses one that knows what is held back
    family = opened.family
    assert isinstance(family, ClassFamily)
    gathered: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for seed in map(int, asked.seeds.split(",")):
        known = _some(family, asked.classes, seed)
        start = time.process_time()
        recipe = parse_recipe(f"generated({asked.temperature}, number={asked.number})")
        drawn = generate(known, recipe, seed, draw=drawer_of(asked.model))
        made = len(drawn.parts["train"]) - len(known.parts["train"])
        seconds = time.process_time() - start
        print(f"seed {seed}: {made} classes drawn in {seconds:.0f} CPU-seconds", flush=True)
        for name in NAMES:
            data = drawn if name in ("+ drawn", "+ both") else known
            changed = name in ("+ augmentation", "+ both")
            start = time.process_time()
            gathered[name].append(_scores(data, family, changed, seed, asked))
            spent = time.process_time() - start
            print(f"  {name:16} {100 * gathered[name][-1].mean():.2f}  {spent:.0f} s", flush=True)
    told = {name: np.mean(each, 0) for name, each in gathered.items()}
    for name in NAMES:
        print(f"{name:32} {_figure(told[name])}")
    for one, other in ((2, 0), (1, 0), (2, 1), (3, 1)):
        label = f"{NAMES[one]} - {NAMES[other]}"
        print(f"{label:32} {_figure(told[NAMES[one]] - told[NAMES[other]], '+.2f')}")


def _scores(
    data: ClassFamily, family: ClassFamily, changed: bool, seed: int, asked: argparse.Namespace
) -> np.ndarray:
    """The accuracy in each test episode `[episodes]` of a ProtoNet trained on `data`."""
    spec = family.spec(asked.ways, asked.shots, 5)
    candidate = make_candidate("protonet", family.input_format, spec)
    plan = candidate.plan if changed else replace(candidate.plan, augmentation=Choice("none"))
    learner = build_learner(candidate, family.input_format, spec.objective)
    events = train(
        learner, data, plan, parse_budget(f"{asked.steps}steps"), spec, seed=seed, evaluations=0
    )
    finished = [event for event in events if isinstance(event, Finished)][-1]
    episodes = episode_list(family, "test", spec, asked.episodes)
    scores = score_episodes(
        learner, finished.meta_params, episodes, family.input_format, spec.objective
    )
    return np.asarray(scores.values, np.float64)


def _some(family: ClassFamily, number: int, seed: int) -> ClassFamily:
    """The family with so many of its training classes, drawn; all of them for 0."""
    train_classes = family.parts["train"]
    if not number or number >= len(train_classes):
        return family
    kept = numpy_stream(seed, "some classes").choice(train_classes, number, replace=False)
    parts = {**family.parts, "train": np.sort(kept)}
    return replace(family, parts=parts, given_format=family.input_format)


def _figure(values: np.ndarray, form: str = ".2f") -> str:
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return f"{100 * values.mean():{form}} ± {100 * half:.2f}"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--ways", type=int, default=20)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
