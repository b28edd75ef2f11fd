"""ARSC, few-shot sentiment of reviews: one row, called what it is, for its tasks are nearly one.

    .venv/bin/python benchmarks/arsc.py DATA [--backbone minilm] [--lines 60]

DATA holds `amazon_few_shot_arsc/` as its owners publish it. The twelve official test tasks (four
kinds of goods, three thresholds of stars), each with its official support of five reviews a class,
the first `--lines` lines of its test file as queries. Logistic regression (C = 10) on frozen
features: on the support of each task, and on *the supports of all twelve pooled*, which no few-shot
method may do. What matters is the balanced accuracy: supports are half positive and test files 57
to 94 %, so that always saying "positive" is right in most of them and has 50 % balanced.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from metaloop.catalogue.backbones import open_backbone

GOODS = ("books", "dvd", "electronics", "kitchen_housewares")
STARS = (2, 4, 5)

Reviews = tuple[tuple[str, ...], np.ndarray]  # texts, and whether they are positive


def reviews(packed: tarfile.TarFile, name: str, most: int | None = None) -> Reviews:
    """Returns the first reviews of a file of the archive."""
    file = packed.extractfile(f"Amazon_few_shot/{name}")
    assert file is not None
    lines = file.read().decode("utf-8").splitlines()[:most]
    pairs = [line.rsplit("\t", 1) for line in lines]
    return tuple(text for text, _ in pairs), np.array([int(label) > 0 for _, label in pairs])


def main() -> None:
    """Prints the row and, for each task, its parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--lines", type=int, default=60)
    asked = parser.parse_args()
    encoder = open_backbone(asked.backbone, takes="texts")
    supports, queries = [], []
    with tarfile.open(asked.data / "amazon_few_shot_arsc" / "Amazon_few_shot.tar.xz") as packed:
        for goods in GOODS:
            for stars in STARS:
                supports.append(reviews(packed, f"{goods}.t{stars}.train"))
                queries.append(reviews(packed, f"{goods}.t{stars}.test", asked.lines))
    seen = [(encoder.encode(texts).numpy(), labels) for texts, labels in supports]
    asked_of = [(encoder.encode(texts).numpy(), labels) for texts, labels in queries]
    pooled = tuple(np.concatenate(each) for each in zip(*seen, strict=True))
    found: dict[str, list[float]] = {"own support": [], "all supports": [], "positive": []}
    for own, (inputs, labels) in zip(seen, asked_of, strict=True):
        for row, (examples, answers) in (("own support", own), ("all supports", pooled)):
            head = LogisticRegression(C=10, max_iter=1000).fit(examples, answers)
            found[row].append(balanced_accuracy_score(labels, head.predict(inputs)))
        found["positive"].append(float(labels.mean()))
    print(f"balanced accuracy, mean of {len(queries)} tasks, {asked.backbone}")
    for row in ("own support", "all supports"):
        values = 100 * np.array(found[row])
        spread = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
        print(f"{row}: {values.mean():.1f} +/- {spread:.1f}")
    print(f"always positive: 50.0 balanced, {100 * np.mean(found['positive']):.1f} plain")


if __name__ == "__main__":
    main()
