"""Folders of 10 classes of 20 photographs, as users have them: `select` beside plain heads.

    python benchmarks/folders.py DATA [--folders 20] [--backbone lite0] [--budget 10s] [--first 0]

DATA: an npz of encoded images with `jpeg`, `offsets` and `label`. Each folder is drawn from it by
class; five times a fifth of every class is sealed, and `select` is given the rest. Nearest centroid
and tuned logistic regression on the same backbone are in every run, on the same sealed examples.
Printed are the mean accuracies, and the paired difference with its interval over folders. `auto`
lets nets that are trained from scratch take part, too, and takes the whole budget.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import t as student

import metaloop as ml

CLASSES, EACH, FOLDS = 10, 20, 5


def main() -> None:
    """Prints a line for each folder, then the means and the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--folders", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the number of the first folder")
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--budget", default="10s")
    asked = parser.parse_args()
    packed = np.load(asked.data)
    cpu, rows = time.process_time(), []
    for number in range(asked.first, asked.first + asked.folders):
        images, labels = drawn(packed, number)
        rows.append(of_folder(images, labels, asked.backbone, asked.budget, number))
        print(number, " ".join(f"{name} {100 * v:.1f}" for name, v in rows[-1].items()), flush=True)
    print(f"{(time.process_time() - cpu) / len(rows) / FOLDS:.1f} CPU-seconds a run of select")
    for name in rows[0]:
        print(f"{name:<32} {100 * np.mean([row[name] for row in rows]):.2f}")
    for name in rows[0]:
        if name != "select":
            apart = 100 * np.array([row["select"] - row[name] for row in rows])
            half = student.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
            print(f"select - {name}: {apart.mean():+.2f} +/- {half:.2f}, worst {apart.min():+.2f}")


def drawn(packed: Any, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images uint8 `[200, h, w, 3]` and labels of the folder of that number."""
    rng = np.random.default_rng([2026, number])
    labels, ends = packed["label"].astype(int), packed["offsets"]
    chosen = rng.choice(np.unique(labels), CLASSES, replace=False)
    rows = [rng.choice(np.flatnonzero(labels == one), EACH, replace=False) for one in chosen]
    encoded = packed["jpeg"]
    images = [
        np.asarray(Image.open(io.BytesIO(encoded[ends[i] : ends[i + 1]].tobytes())).convert("RGB"))
        for i in np.concatenate(rows).tolist()
    ]
    return np.stack(images), np.repeat([f"class {one:03}" for one in chosen], EACH)


def of_folder(
    images: np.ndarray, labels: np.ndarray, backbone: str, budget: str, number: int
) -> dict[str, float]:
    """Returns the mean accuracies over five folds of `select` and of every baseline."""
    rng = np.random.default_rng([2027, number])
    folds = np.concatenate([rng.permutation(EACH) % FOLDS for _ in range(CLASSES)])
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(FOLDS):
            data = Path(folder) / f"{fold}.npz"
            split = np.where(folds == fold, "test", "train")
            np.savez(data, X=images, y=labels, split=split)
            run = ml.select(
                data, out=Path(folder) / f"run-{fold}", budget=budget, workers=1,
                backbone=backbone, seed=fold, progress=False,
            )  # fmt: skip
            assert run.test is not None
            found.setdefault("select", []).append(run.test.value)
            for row in run.content["leaderboard"]:
                if row["baseline"]:
                    found.setdefault(row["name"], []).append(row["test"]["value"])
    return {name: float(np.mean(values)) for name, values in found.items()}


if __name__ == "__main__":
    main()
