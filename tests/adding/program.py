"""Learns with all that the files beside it add, and tells what came of it as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metaloop.executors.noting import Noting

import metaloop as ml
from metaloop.catalogue import make_candidate
from metaloop.core.inputs import InputFormat
from metaloop.core.spec import TaskSpec
from metaloop.jobs.table import works_in
from metaloop.loop.settings import Settings
from metaloop.modelfile import read_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, Reading, Store

FEW = Settings(
    learners=("medians", "nearest_centroid"), race_episodes=20, episodes=20, join_episodes=20,
    round_episodes=20, final_episodes=40, test_episodes=60,
)  # fmt: skip
HOW: dict[str, Any] = {
    "ways": 3, "queries": 3, "settings": FEW, "budget": "30steps", "progress": False,
    "generates": ml.loop.Generates(algorithms=False, data=False),
}  # fmt: skip


class Surely(ClassFamily):
    """Classes that are to be told apart surely."""

    def spec(self, *args: Any, **options: Any) -> TaskSpec:
        return replace(super().spec(*args, **options), objective="sure")


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    """16 classes of 8 series of 2 channels and 6 steps."""
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(16, 1, 2, 6)) + 0.3 * rng.normal(size=(16, 8, 2, 6))
    inputs = torch.from_numpy(shapes.reshape(-1, 2, 6).astype(np.float32))
    return inputs, torch.arange(16).repeat_interleave(8)


def as_columns(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    """Returns rows as columns by name."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def main(folder: Path) -> None:
    """Runs `learn` in this process with everything, then on a worker with learner and net."""
    inputs, targets = examples()
    infos = tuple(ClassInfo(f"shape {number}") for number in range(16))
    series = InputFormat("series", (2, 6), (0.0, 0.0), (1.0, 1.0))
    reading = Reading("series", "series", Store(inputs, targets, infos))
    family, _ = class_family(reading, input_format=series)
    executors: list[Noting] = []

    def start(workplace: Any, workers: int) -> Noting:
        executors.append(Noting(works_in(workplace)))
        return executors[0]

    surely = Surely(family.name, family.store, family.parts, series)
    run = ml.learn(surely, out=folder / "here", executor=start, **HOW)
    best = next(row for row in run.leaderboard if row["learner"] == "medians")
    assert run.test is not None
    rows = Reading("rows", "rows", Store(inputs.flatten(1), targets, infos))
    vectors = InputFormat("vector", (12,), (0.0,) * 12, (1.0,) * 12)
    only = make_candidate("medians", vectors, TaskSpec(3, 1, 3, (12,)), "thin")
    other = ml.learn(rows, out=folder / "worker", workers=1, candidates=[only], **HOW)
    trained = next(row for row in other.leaderboard if row["learner"] == "medians")
    words = ["a lazy fox", "zebras jump", "my cup", "we vow", "no ink", "big bad", "hills", "quite"]
    rows_of_texts = [
        {"text": f"{word} {turn * 'yz'} {word[: 1 + k]}", "label": f"{word} {turn}"}
        for word in words
        for turn in (1, 2, 3)
        for k in range(6)
    ]
    texts = as_columns(rows_of_texts)
    seen = ml.learn(texts, view="letters", out=folder / "texts", workers=1, **HOW)
    saved = read_model(seen.path)
    assert saved.view is not None and saved.assets is not None
    told = {
        "view": saved.view.name,
        "seen so": len(saved.assets["rarity"]),
        "package": str(Path(ml.__file__).parent),
        "here": {"learner": best["learner"], "net": best["net"], "metric": run.test.metric},
        "jobs": executors[0].noted,
        "value": run.test.value,
        "page": run.report().read_text(),
        "worker": {key: trained[key] for key in ("learner", "net")}
        | {"metric": other.test.metric if other.test else None},
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
