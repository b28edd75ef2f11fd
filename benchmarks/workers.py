"""Workers and threads: what the cores train in all, as one process each or as one for all.

    .venv/bin/python benchmarks/workers.py [--seconds 20] [--repeats 3] [--json]

Whole-class training of the strided net on synthetic 32-pixel images, the loop's most frequent job.
For n cores: n workers of one thread against one worker of n threads, in turn, `repeats` times; the
figures are steps per second of all workers together. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np

from metaloop.catalogue.candidates import make_candidate
from metaloop.core.budget import Budget
from metaloop.executors.base import Job
from metaloop.executors.local_pool import LocalPool
from metaloop.jobs.table import arguments_of, worker_command
from metaloop.jobs.training import TrainRequest
from metaloop.jobs.workplace import TrainingData, prepare
from metaloop.tasks.family import class_family
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading


def steps_per_second(folder: Path, workers: int, threads: int, seconds: float) -> float:
    """Returns the steps per second that so many workers take together."""
    family = class_family(_reading())[0]
    spec = family.spec(5, 1)
    prepare(folder, family, spec)
    candidate = make_candidate("simpleshot", family.input_format, spec)
    steps = 0
    with LocalPool(worker_command(folder), workers, threads=threads) as pool:
        for number in range(workers):
            budget = Budget(wall_seconds=seconds)
            data = TrainingData(seed=number)
            request = TrainRequest(number, (candidate,), budget, number, 20, data)
            pool.submit(Job(number, "train", arguments_of(request)))
        ended = 0
        while ended < workers:
            for outcome in pool.wait(1.0):
                assert outcome.value is not None, outcome.message
                ended, steps = ended + 1, steps + outcome.value["steps"]
    return steps / seconds


def _reading() -> Reading:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60 * 20, 32, 32, 3)).astype(np.uint8)
    return read_arrays(images, np.repeat(np.arange(60), 20), name="noise", image_size=32)


def main() -> None:
    """Measures both ways in turn and prints the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    ways = {f"{cores} workers x 1 thread": (cores, 1), f"1 worker x {cores} threads": (1, cores)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.repeats):
        for name, (workers, threads) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(steps_per_second(Path(folder), workers, threads, asked.seconds))
    medians = {name: statistics.median(values) for name, values in found.items()}
    many, one = medians.values()
    if asked.json:
        print(json.dumps({"steps per second": medians, "ratio": many / one}))
        return
    for name, values in found.items():
        each = ", ".join(f"{value:.1f}" for value in values)
        print(f"{name:24s} {medians[name]:6.1f} steps/s  ({each})")
    print(f"ratio {many / one:.2f}")


if __name__ == "__main__":
    main()
