"""CIFAR-10 by `metaloop select` beside what people write by hand, at equal CPU-seconds.

    python benchmarks/cifar10.py DATA [--seeds 3] [--budgets 125s 270s] [--backbone none] [--keras]

DATA: CIFAR-10's original files (a folder), or an npz with X, y and split. One thread for all.
CPU-seconds are of the whole process tree: reading, search, training and the test are in them.

- `by hand`: three layers of convolution, batch norm, relu and max-pool (64, 128, 256 channels would
  be usual on a GPU; 32, 64, 128 here), mirror images, SGD with one cycle, bfloat16, 3 and 4 epochs;
- `textbook` (with --keras): what the learner `keras_cnn` does in its process (Conv 32, max-pool,
  Dense 128, Adam, 10 epochs, batches of 32), in Keras on whichever backend is configured;
- `select`: one worker, so that the CPU-seconds of all are its budget and some 20 of reading and the
  test: 125 and 270 seconds for 150 and 300. On a busy machine a budget in steps (560steps,
  1150steps) buys as much as on a quiet one. What it took is measured, that of choosing shown apart.
  `--archive` is that of a run on other data; `--backbone auto` lets installed ones take part.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HAND_EPOCHS, HAND_BATCH, HAND_RATE = (3, 4), 128, 0.2


def main() -> None:
    """Prints a table: pipeline, seed, test accuracy, CPU-seconds, of which choosing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budgets", nargs="*", default=["125s", "270s"])
    parser.add_argument("--backbone", default="none")
    parser.add_argument("--archive")
    parser.add_argument("--keras", action="store_true")
    parser.add_argument("--only", choices=["hand", "keras", "select"])
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "SEED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(_child(asked.data, asked.child[0], int(asked.child[1]))))
        return
    print(f"{'pipeline':<24} {'seed':>4} {'test %':>7} {'CPU s':>7} {'choosing':>9}")
    kinds = [f"hand {epochs}" for epochs in HAND_EPOCHS] if asked.only in (None, "hand") else []
    kinds += ["keras"] if asked.keras or asked.only == "keras" else []
    kinds += [f"select {n}" for n in asked.budgets] if asked.only in (None, "select") else []
    for kind in kinds:
        rows = [_measured(asked, kind, seed) for seed in range(asked.seeds)]
        for seed, row in enumerate(rows):
            _print(kind, str(seed), row)
        _print(kind, "mean", {k: float(np.mean([row[k] for row in rows])) for k in rows[0]})


def _print(kind: str, seed: str, row: dict[str, float]) -> None:
    print(
        f"{kind:<24} {seed:>4} {100 * row['accuracy']:7.2f} {row['cpu']:7.1f} "
        f"{row['choosing']:9.1f}",
        flush=True,
    )


def _measured(asked: argparse.Namespace, kind: str, seed: int) -> dict[str, float]:
    """What a pipeline has in a process of its own, and the CPU-seconds of it and its children."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = _children_cpu()
    with tempfile.TemporaryDirectory() as folder:
        if kind.startswith("select"):
            words = [sys.executable, "-m", "metaloop", "select", str(asked.data), "--workers", "1"]
            words += ["--budget", kind.split()[1], "--seed", str(seed), "--quiet", "--json"]
            words += ["--out", str(Path(folder) / "run"), "--backbone", asked.backbone]
            words += ["--archive", asked.archive] if asked.archive else []
        else:
            words = [sys.executable, __file__, str(asked.data), "--child", kind, str(seed)]
        done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if kind.startswith("select"):
        found = json.loads(done.stdout)
        choosing = found["search"]["cpu_seconds"]
        found = {"accuracy": found["test"]["value"], "choosing": choosing}
    return {**found, "cpu": _children_cpu() - before}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _child(data: Path, kind: str, seed: int) -> dict[str, float]:
    from metaloop.tasks.readers import read

    reading = read(data)
    assert reading.example_parts is not None
    train, test = (np.flatnonzero(reading.example_parts == part) for part in ("train", "test"))
    images, targets = reading.store.taken(np.arange(len(reading.store))), reading.store.targets
    parts = [(images[rows], targets[rows]) for rows in (train, test)]
    run = _keras if kind == "keras" else _by_hand
    return {"accuracy": run(parts, seed, kind), "choosing": 0.0}


def _by_hand(parts: list[tuple[Any, Any]], seed: int, kind: str) -> float:
    """The net that a practitioner writes in an hour, untuned."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(seed)
    (images, targets), (test_images, test_targets) = parts
    layers: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    epochs = int(kind.split()[1])
    steps = epochs * (len(images) // HAND_BATCH)
    optimiser = torch.optim.SGD(net.parameters(), HAND_RATE, 0.9, weight_decay=5e-4, nesterov=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, HAND_RATE, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=rng)
        for start in range(0, len(images) - HAND_BATCH + 1, HAND_BATCH):
            rows = order[start : start + HAND_BATCH]
            batch = _normalised(images[rows])
            mirrored = torch.rand(len(rows), generator=rng) < 0.5
            batch[mirrored] = batch[mirrored].flip(3)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(batch.contiguous(memory_format=torch.channels_last))
            nn.functional.cross_entropy(logits.float(), targets[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            cycle.step()
            optimiser.zero_grad()
    net.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(test_images), 500):
            logits = net(_normalised(test_images[start : start + 500]))
            right += int((logits.argmax(1) == test_targets[start : start + 500]).sum())
    return right / len(test_images)


def _normalised(images: Any) -> Any:
    return (images.float() / 255 - 0.473) / 0.251


def _keras(parts: list[tuple[Any, Any]], seed: int, kind: str) -> float:
    """The textbook program of the field: the learner `keras_cnn`, here and not in its process."""
    from metaloop.guests.keras import KerasCnn
    from metaloop.guests.keras.__main__ import Guest
    from metaloop.guests.keras.installed import keras_here

    keras_here("the textbook's program")
    (images, targets), (test_images, test_targets) = (
        (x.numpy() / np.float32(255), y.numpy()) for x, y in parts
    )
    classes = int(targets.max()) + 1
    net = Guest(KerasCnn().recipe, {}, seed, classes).fit(images, targets)
    return float((net.predict(test_images).argmax(1) == test_targets).mean())


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:,.0f} s", file=sys.stderr)
