"""What a run of `select` on other photographs is worth for CIFAR-10: the same run with its archive.

    python benchmarks/known_pipelines.py DATA [--seeds 3] [--first 60s] [--budgets 60s 125s]

DATA holds `tiny_imagenet_fewshot/` and `cifar10/` as their owners publish them. First `select` is
run on twenty classes of Tiny ImageNet, shrunk to 32 pixels, then on CIFAR-10, once without the
archive of that run and once with it: same seed and budget, one worker and one thread each, no
backbone. Printed are the accuracy on CIFAR-10's test images, what was tried, and the CPU-seconds in
all and of choosing; then the differences, paired by seed, with 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import t as student

CLASSES, SIDE = 20, 32
COLUMNS = ("accuracy", "tried", "cpu", "choosing")


def main() -> None:
    """Prints a line for each run on CIFAR-10, then the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", default="60s", help="the budget on the other photographs")
    parser.add_argument("--budgets", nargs="*", default=["60s", "125s"])
    asked = parser.parse_args()
    other = asked.data / "tiny_imagenet_fewshot" / "tiny_imagenet_fewshot.npz"
    cifar = asked.data / "cifar10" / "cifar10_jpeg.npz"
    print(f"{'budget':<8} {'archive':<8} {'seed':>4} " + " ".join(f"{n:>9}" for n in COLUMNS))
    found: dict[tuple[str, bool], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "others.npz"
        write_others(other, first)
        for seed in range(asked.seeds):
            run = Path(folder) / f"first-{seed}"
            selected(first, run, asked.first, seed, None)
            for budget in asked.budgets:
                for knows in (False, True):
                    out = Path(folder) / f"{budget}-{knows}-{seed}"
                    archive = run / "archive.sqlite" if knows else None
                    row = selected(cifar, out, budget, seed, archive)
                    found.setdefault((budget, knows), []).append(row)
                    shown = " ".join(f"{row[name]:9.2f}" for name in COLUMNS)
                    told = "with" if knows else "without"
                    print(f"{budget:<8} {told:<8} {seed:>4} {shown}", flush=True)
    for budget in asked.budgets:
        for name in COLUMNS:
            pairs = zip(found[budget, True], found[budget, False], strict=True)
            apart = _told([knowing[name] - other[name] for knowing, other in pairs])
            print(f"{budget}: {name}, with minus without: {apart}")


def write_others(path: Path, to: Path) -> None:
    """Writes photographs of the first classes of Tiny ImageNet, 32 pixels, as an npz of `X, y`."""
    packed = np.load(path)
    encoded, ends, labels = packed["jpeg"], packed["offsets"], packed["label"].astype(int)
    rows = np.flatnonzero(labels < CLASSES)
    images = [
        np.asarray(
            Image.open(io.BytesIO(encoded[ends[i] : ends[i + 1]].tobytes()))
            .convert("RGB")
            .resize((SIDE, SIDE), Image.Resampling.BOX)
        )
        for i in rows.tolist()
    ]
    np.savez(to, X=np.stack(images), y=packed["class_wnid"][labels[rows]])


def selected(
    data: Path, out: Path, budget: str, seed: int, archive: Path | None
) -> dict[str, float]:
    """Runs `select` in a process of its own; returns accuracy in percent, pipelines tried, and the
    CPU-seconds of the process and its children, in all and of choosing.
    """
    words = [sys.executable, "-m", "metaloop", "select", str(data), "--out", str(out)]
    words += ["--budget", budget, "--seed", str(seed), "--workers", "1", "--backbone", "none"]
    words += ["--quiet", "--json", *(["--archive", str(archive)] if archive else [])]
    before = _children_cpu()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return {
        "accuracy": 100 * told["test"]["value"],
        "tried": told["search"]["tried"],
        "cpu": _children_cpu() - before,
        "choosing": told["search"]["cpu_seconds"],
    }


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _told(differences: list[float]) -> str:
    mean = f"{np.mean(differences):+.2f}"
    if len(differences) < 2:
        return mean
    spread = np.std(differences, ddof=1) / len(differences) ** 0.5
    return f"{mean} +/- {student.ppf(0.975, len(differences) - 1) * spread:.2f}"


if __name__ == "__main__":
    main()
