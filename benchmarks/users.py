"""What is known of users beside their ratings: made ratings of two groups with opposite tastes.

    .venv/bin/python benchmarks/users.py [--users 240] [--items 60] [--each 20] [--noise 0.5]
        [--known 2] [--learners item_mean,fold_in,item_knn,deep_kernel] [--budget 150steps]

A flag tells which group a user is of. Every item is liked by one group as much as it is disliked by
the other, with that noise, on a scale of 1 to 5. Learners are trained by `metaloop train` without
and with `--users`; RMSE on users held out, of whom so many ratings are known, 400 tasks. The last
column is the model of the second one asked about users of whom nothing is said. No real data: it
shows what the columns can bring where they matter, not how often they do.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import metaloop as ml

EPISODES = 400


def write(folder: Path, asked: argparse.Namespace) -> tuple[Path, Path]:
    """Writes ratings and users; returns both files."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=asked.items)
    stars, people = ["user,item,rating"], ["user,group,age"]
    for user in range(asked.users):
        side = 1 if user % 2 else -1
        items = rng.choice(asked.items, asked.each, replace=False)
        rated = np.clip(3 + side * taste[items] + rng.normal(0, asked.noise, asked.each), 1, 5)
        stars += [f"u{user},i{item},{value:.2f}" for item, value in zip(items, rated, strict=True)]
        people.append(f"u{user},{'red' if side > 0 else 'blue'},{20 + user % 37}")
    for name, lines in (("ratings.csv", stars), ("people.csv", people)):
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder / "ratings.csv", folder / "people.csv"


def main() -> None:
    """Prints a row for each learner."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, usual in (("users", 240), ("items", 60), ("each", 20), ("known", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--learners", default="item_mean,fold_in,item_knn,deep_kernel")
    parser.add_argument("--budget", default="150steps")
    asked = parser.parse_args()
    print("| learner | without | with --users | the same, nothing said of the user |")
    print("|---" * 4 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        ratings, people = write(Path(folder), asked)
        for learner in asked.learners.split(","):
            print(f"| {learner} | {' | '.join(row(learner, ratings, people, asked))} |", flush=True)


def row(learner: str, ratings: Path, people: Path, asked: argparse.Namespace) -> list[str]:
    """Returns the RMSE without, with, and with a model that is told nothing, +/- over users."""
    cells = []
    for users, told in ((None, (None,)), (people, (people, None))):
        out = ratings.parent / f"{learner}-{users is None}.metaloop"
        ml.train(
            ratings, learner, budget=asked.budget, out=out, shots=asked.known, users=users,
            progress=False,
        )  # fmt: skip
        for each in told:
            found = ml.evaluate(out, ratings, users=each, episodes=EPISODES, progress=False)
            cells.append(f"{found.value:.3f} +/- {found.ci95:.3f}")
    return cells


if __name__ == "__main__":
    main()
