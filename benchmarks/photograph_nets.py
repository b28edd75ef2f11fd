"""What the same time teaches different nets of photographs, on one thread.

    .venv/bin/python benchmarks/photograph_nets.py DATA [--seconds 220] [--size 64] [--seed 0]
        [--nets lean,narrow] [--episodes 1000] [--json]

DATA holds `tiny_imagenet_fewshot/` as its owner publishes it; images are brought to `--size`
pixels. Each net is trained by `simpleshot` on the 100 training classes, the first 40 % of the time
on images of half the side, then on whole ones (`narrow small`: on small ones throughout), each part
by the usual plan with a rate that falls at its end. Time is that of the wall, so nothing else
should run. Printed: steps, and accuracy on test classes, 5-way, with one and five shots; in
brackets the half-width for new classes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.budget import Budget
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.records import Choice
from metaloop.engine.evaluation import FeatureCache, evaluate
from metaloop.engine.events import Finished
from metaloop.engine.memory import keep_large_blocks
from metaloop.engine.training import train
from metaloop.tasks.family import TaskFamily

NARROW = Choice("resnet10", {"widths": [32, 64, 128, 160]})
NETS = {
    "lean": Choice("lean"),
    "lean wider": Choice("lean", {"widths": [32, 48, 96, 192]}),
    "narrow": NARROW,
    "narrow small": NARROW,
}
SHARE = 0.4  # of the time, on shrunk images


def measured(net: str, family: TaskFamily, asked: argparse.Namespace) -> dict[str, Any]:
    """Returns steps and accuracies of one net."""
    spec = family.spec(5, 1)
    candidate = make_candidate("simpleshot", family.input_format, spec)
    plan = replace(candidate.plan, schedule="trapezoid")
    whole, state = NETS[net], None
    small = Choice(whole.name, {**whole.options, "shrink": 2})
    for choice, share in ((small, SHARE), (small if "small" in net else whole, 1 - SHARE)):
        part = replace(candidate, net=choice, plan=plan)
        learner = build_learner(part, family.input_format, spec.objective)
        budget = Budget(wall_seconds=share * asked.seconds)
        for event in train(
            learner, family, plan, budget, spec, seed=asked.seed, state=state, evaluations=0
        ):
            if isinstance(event, Finished):
                state = event.state.segment()
    assert state is not None and isinstance(learner, EmbeddingLearner)
    found: dict[str, Any] = {"net": net, "steps": state.step}
    cache = FeatureCache(learner, state.meta_params)
    for shots in (1, 5):
        asked_for = family.spec(5, shots, part="test")
        result, _ = evaluate(
            learner, state.meta_params, family, "test", asked_for, asked.episodes, cache
        )
        found[str(shots)] = {key: getattr(result, key) for key in ("value", "ci95", "ci95_new")}
    return found


def main() -> None:
    """Prints a line for each net."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=220.0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nets", default="lean,narrow,narrow small", help=", ".join(NETS))
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_large_blocks()
    source = asked.data / "tiny_imagenet_fewshot" / "tiny_imagenet_fewshot.npz"
    family = open_data(source, DataOptions(image_size=asked.size)).family
    if not asked.json:
        print("| net | steps | 5-way 1-shot | 5-way 5-shot |\n|---|---|---|---|", flush=True)
    for net in asked.nets.split(","):
        row = measured(net, family, asked)
        if asked.json:
            print(json.dumps(row), flush=True)
            continue
        cells = [
            f"{100 * row[s]['value']:.1f} ± {100 * row[s]['ci95']:.1f} "
            f"({100 * row[s]['ci95_new']:.1f})"
            for s in ("1", "5")
        ]
        print(f"| {net} | {row['steps']:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
