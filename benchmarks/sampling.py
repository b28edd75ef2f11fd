"""How many batches of episodes are sampled and gathered per second, on one core.

    .venv/bin/python benchmarks/sampling.py [--seconds 5] [--json]

A batch is 32 tasks, 5-way 1-shot 15-query, of 28x28 grey images: 2,560 images drawn from 2,000
classes of 20 made-up images, as indices (`sample`) and then as float tensors (`gather`).
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS
from metaloop.engine.memory import keep_large_blocks
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import ClassInfo, Store

TASKS, WAYS, SHOTS, QUERIES, SIDE = 32, 5, 1, 15, 28
CLASSES, EXAMPLES = 2000, 20


def made_up_family() -> ClassFamily:
    """Returns a family of random images: what is in them does not matter here."""
    rng = numpy_stream(0, "sampling benchmark")
    images = rng.integers(0, 256, (CLASSES * EXAMPLES, 1, SIDE, SIDE), dtype=np.uint8)
    store = Store(
        torch.from_numpy(images),
        torch.arange(CLASSES).repeat_interleave(EXAMPLES),
        tuple(ClassInfo(str(index)) for index in range(CLASSES)),
    )
    parts = dict(zip(PARTS, np.array_split(np.arange(CLASSES), 4), strict=True))
    return ClassFamily("made up", store, parts)


def main() -> None:
    """Samples for the given time, with and without gathering."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_large_blocks()
    family = made_up_family()
    spec = family.spec(WAYS, SHOTS, QUERIES, part="train")
    rates = {}
    for gather in (False, True):
        batches, start = 0, time.perf_counter()
        while time.perf_counter() - start < options.seconds:
            rng = numpy_stream(0, "batch", batches)
            episodes = family.sample("train", spec, TASKS, rng)
            if gather:
                episodes.gather(family.input_format)
            batches += 1
        rates["sample and gather" if gather else "sample"] = batches / options.seconds
    if options.json:
        print(json.dumps({name: round(rate, 1) for name, rate in rates.items()}))
    else:
        for name, rate in rates.items():
            print(f"{name}: {rate:.0f} batches of {TASKS} tasks per second")


if __name__ == "__main__":
    main()
