"""Ratings of new users: the package's learner against what has to be beaten, on anime titles.

    python benchmarks/recommendation.py DATA             the table of docs/results.md
    python benchmarks/recommendation.py DATA --features no
    python benchmarks/recommendation.py DATA --learn 120s      and the loop's own choice
    python benchmarks/recommendation.py --synthetic 100000 50000 30 --budget 100steps

DATA is the folder with `anime_ratings.tsv.gz` and `anime_info.tsv.gz`. Users are dealt once, by
seed: 3,299 to train, 472 to choose, 943 to test; of these, all with ten more ratings than are
known. Predictions are clipped to the scale. The rivals' settings are chosen on the 472, on which
the boosted stack is fitted, too. Intervals are over users (95 %), differences paired by user.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.rating import ranking_gain
from metaloop.domains.ratings.items import FACTORS
from metaloop.loop import Learned, learn
from metaloop.models.model import load_model
from metaloop.models.training import Trained, train_model
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers import read
from metaloop.tasks.readers.tables import read_table
from metaloop.tasks.store import PublishedPart

KNOWN = (5, 10)
MORE = 10  # ratings of a test user beside those known
DRAWS = 2
SIZES = {"train": 3299, "val": 472}
FEW = 20  # ratings by training users: an item with fewer is told apart
Case = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray, int
]  # items, values, asked, true, user
Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def anime(folder: Path, features: bool) -> GroupFamily:
    """The family of the protocol."""
    reading = read(folder / "anime_ratings.tsv.gz")
    users = reading.store.classes
    numbers = np.unique(read_table(folder / "anime_ratings.tsv.gz").columns["User_ID"])
    dealt = numbers[np.random.default_rng(0).permutation(len(numbers))]
    part: dict[str, PublishedPart] = {}
    for place, user in enumerate(dealt.tolist()):
        in_train, in_val = place < SIZES["train"], place < sum(SIZES.values())
        part[str(user)] = "train" if in_train else "val" if in_val else "test"
    classes = tuple(replace(info, part=part[info.name]) for info in users)
    reading = replace(reading, store=replace(reading.store, classes=classes))
    items = folder / "anime_info.tsv.gz" if features else None
    opened = open_data(reading, DataOptions(items=items))
    for note in opened.notes:
        print("read so", note)
    assert isinstance(opened.family, GroupFamily)
    return opened.family


class Data:
    """Ratings of a family as arrays, in the scale's own units."""

    def __init__(self, family: GroupFamily) -> None:
        assert family.raw is not None and family.raw.values is not None and family.view is not None
        self.items = family.raw.inputs.index.numpy()  # type: ignore[union-attr]
        self.values = family.raw.values[:, 0].numpy()
        self.users = family.raw.targets.numpy()
        self.rows = family.raw.examples_of
        self.parts = family.parts
        self.rated = family.view.assets["rated"].numpy()
        self.number = len(self.rated)
        self.table = family.view.assets["table"]

    def cases(self, users: np.ndarray, known: int, draws: int = DRAWS) -> list[Case]:
        found = []
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            for user in users.tolist():
                rows = self.rows[user]
                if len(rows) < known + MORE:
                    continue
                rows = rng.permutation(rows)
                support, query = rows[:known], rows[known:]
                found.append(
                    (self.items[support], self.values[support], self.items[query],
                     self.values[query], user)
                )  # fmt: skip
        return found


class Neighbours:
    """Item means with user biases, and item-kNN on what they leave."""

    def __init__(self, data: Data, users: np.ndarray) -> None:
        kept = np.isin(data.users, users)
        items, values = data.items[kept], data.values[kept]
        user = np.unique(data.users[kept], return_inverse=True)[1]
        number, people = data.number, int(user.max()) + 1
        self.mu = float(values.mean())
        count, of_user = np.bincount(items, minlength=number), np.bincount(user)
        self.mean = self.mu + np.bincount(items, values - self.mu, number) / (count + 5)
        for _ in range(3):
            bias = np.bincount(user, values - self.mean[items], people) / (of_user + 3)
            off = np.bincount(items, values - self.mu - bias[user], number)
            self.mean = self.mu + off / (count + 5)
        left = values - self.mean[items] - bias[user]
        ratings = sp.csr_matrix((left, (user, items)), (people, number))
        there = sp.csr_matrix((np.ones_like(left), (user, items)), (people, number))
        product = (ratings.T @ ratings).toarray().astype(np.float32)
        both = (there.T @ there).toarray().astype(np.float32)
        squares = (ratings.power(2).T @ there).toarray().astype(np.float32)
        self.likeness = np.maximum(product / (np.sqrt(squares * squares.T) + 1e-6), 0)
        self.likeness *= both / (both + 20)

    def biased(self, items: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.mean[asked] + (values - self.mean[items]).sum() / (len(items) + 3)
        return found

    def near(self, damping: float) -> Method:
        def predict(items: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
            left = values - self.mean[items]
            bias = left.sum() / (len(items) + 3)
            weights = self.likeness[np.ix_(asked, items)]
            moved = (weights @ (left - bias)) / (weights.sum(1) + damping)
            found: np.ndarray = self.mean[asked] + bias + moved
            return found

        return predict


class Stack:
    """Boosting on what the others predict and on what is known of item and user."""

    def __init__(self, data: Data, methods: list[Method]) -> None:
        self.table, self.methods = data.table.numpy(), methods

    def seen(self, items: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
        guesses = np.stack([method(items, values, asked) for method in self.methods], 1)
        of_user = [values.mean(), values.std(), values.min(), values.max(), len(values)]
        told = np.broadcast_to(of_user, (len(asked), len(of_user)))
        return np.concatenate([guesses, told, self.table[asked, :-FACTORS]], 1)

    def fit(self, cases: list[Case]) -> None:
        seen = np.concatenate([self.seen(*case[:3]) for case in cases])
        wanted = np.concatenate([case[3] for case in cases])
        weights = np.concatenate([np.full(len(c[3]), 1 / np.sqrt(len(c[3]))) for c in cases])
        self.trees = HistGradientBoostingRegressor(
            max_iter=120, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=200,
            l2_regularization=10.0, random_state=0,
        )  # fmt: skip
        self.trees.fit(seen, wanted - seen[:, 0], weights)

    def predict(self, items: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
        seen = self.seen(items, values, asked)
        return np.asarray(seen[:, 0] + self.trees.predict(seen))


def ours(
    family: GroupFamily, learner: str, budget: str, shots: int, seed: int = 0
) -> tuple[Any, float]:
    """The package's learner, trained, and the CPU-seconds that took."""
    began = time.process_time()
    *_, trained = train_model(family, learner, budget=budget, shots=shots, seed=seed)
    assert isinstance(trained, Trained)
    return trained.model, time.process_time() - began


def chosen_by_learn(family: GroupFamily, budget: str, shots: int, seed: int) -> Any:
    """The model that `learn` ends with, on one worker; it says what that is."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        *_, last = learn(
            family, out=out, budget=budget, shots=shots, queries=15, workers=1, seed=seed
        )
        assert isinstance(last, Learned)
        model = load_model(out / "model.metaloop")
    members = model.candidate.learner.options.get("members", [])
    told = [f"{one['weight']} x {one['name']}" for one in members]
    print(f"learn, {shots} known: {model.candidate.label} {', '.join(told)}, "
          f"{last.report['cpu_seconds']:.0f} CPU-seconds", flush=True)  # fmt: skip
    return model


def as_method(models: list[Any], table: torch.Tensor) -> Method:
    def predict(items: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
        targets = torch.from_numpy(values)[:, None]
        found = []
        for model in models:
            state = model.adapt(table[torch.from_numpy(items)], targets, 0)
            found.append(model.predict(state, table[torch.from_numpy(asked)])[:, 0].numpy())
        return np.asarray(np.mean(found, 0))

    return predict


def scores(
    method: Method, cases: list[Case], rated: np.ndarray
) -> dict[str, dict[int, list[float]]]:
    """Each user's values of each metric, a value a draw."""
    found: dict[str, dict[int, list[float]]] = {n: {} for n in ("rmse", "mae", "ndcg@10", "few")}
    for items, values, asked, true, user in cases:
        out = np.clip(method(items, values, asked), 1, 10)
        few = rated[asked] < FEW
        pair = [torch.from_numpy(x)[None, :, None] for x in (out, true)]
        told = {
            "rmse": float(np.sqrt(np.mean((out - true) ** 2))),
            "mae": float(np.mean(np.abs(out - true))),
            "ndcg@10": float(ranking_gain(pair[0], pair[1], torch.ones(1, len(true)).bool())),
        }
        if few.any():
            told["few"] = float(np.sqrt(np.mean((out - true)[few] ** 2)))
        for name, value in told.items():
            found[name].setdefault(user, []).append(value)
    return found


def interval(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ± {1.96 * values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def by_user(found: dict[int, list[float]], users: list[int]) -> np.ndarray:
    return np.array([np.mean(found[user]) for user in users])


def compare(args: argparse.Namespace) -> None:
    began = time.process_time()
    family = anime(args.data, args.features == "yes")
    print(f"read and items' tables: {time.process_time() - began:.0f} CPU-seconds")
    data = Data(family)
    choosing = np.concatenate([family.parts["search"], family.parts["promotion"]])
    near = Neighbours(data, family.parts["train"])
    results: dict[str, Any] = {}
    models = []
    for seed in range(args.nets):
        model, seconds = ours(family, args.learner, args.budget, args.shots, seed)
        models.append(model)
        print(
            f"{args.learner}: {seconds:.0f} CPU-seconds, {model.training.steps} steps", flush=True
        )
    for known in KNOWN:
        chosen = data.cases(choosing, known, 1)
        damping = min(
            (0.1, 0.3, 0.6, 1.0, 2.0),
            key=lambda d: np.mean(
                [np.mean(v) for v in scores(near.near(d), chosen, data.rated)["rmse"].values()]
            ),
        )
        plain = {
            name: as_method([ours(family, name, "1steps", args.shots)[0]], data.table)
            for name in ("item_mean", "user_bias", "fold_in", "item_knn")
        }
        knn = near.near(damping)
        stack = Stack(data, [knn, near.biased, plain["fold_in"]])
        stack.fit(data.cases(choosing, known, 4))
        methods = {
            **plain, f"item-kNN (damping {damping:g})": knn, "boosted stack": stack.predict,
            args.learner: as_method(models[:1], data.table),
        }  # fmt: skip
        if len(models) > 1:
            methods[f"{len(models)} x {args.learner}"] = as_method(models, data.table)
        for seed in range(args.seeds if args.learn else 0):
            model = chosen_by_learn(family, args.learn, known, seed)
            methods[f"learn, {args.learn}, seed {seed}"] = as_method([model], data.table)
        cases = data.cases(family.parts["test"], known)
        users = sorted({case[4] for case in cases})
        found = {name: scores(method, cases, data.rated) for name, method in methods.items()}
        last = list(methods)[-1]
        print(f"\n{known} known, {len(users)} users, {DRAWS} draws each")
        for name, each in found.items():
            few = [user for user in users if user in each["few"]]
            row = {
                metric: interval(by_user(each[metric], few if metric == "few" else users))
                for metric in ("rmse", "mae", "ndcg@10", "few")
            }
            for metric in ("rmse", "mae", "ndcg@10"):
                its = by_user(each[metric], users)
                apart = by_user(found[last][metric], users) - its
                row[f"{metric}, ours minus it"] = interval(apart)
                row[f"{metric}, percent"] = f"{100 * apart.mean() / its.mean():+.2f}"
            results[f"{known} {name}"] = row
            print(f"{name:26}", "  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    if args.out:
        Path(args.out).write_text(json.dumps(results, indent=1))
    support, values, asked = data.cases(family.parts["test"], 10, 1)[0][:3]
    method = as_method(models[:1], data.table)
    began = time.perf_counter()
    for _ in range(20):
        method(support, values, np.arange(data.number))
    seconds = (time.perf_counter() - began) / 20
    print(f"\na new user, all {data.number:,} items: {1000 * seconds:.1f} ms ({len(asked)} asked)")


def synthetic(users: int, items: int, each: int, budget: str) -> None:
    """Time and memory where there are many users and items."""
    rng = np.random.default_rng(0)
    width = 8
    of_users, of_items = rng.normal(size=(users, width)), rng.normal(size=(items, width))
    popular = 1 / np.arange(1, items + 1) ** 0.8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "u.data"
        with path.open("w") as file:
            for start in range(0, users, 2000):
                some = np.arange(start, min(start + 2000, users))
                who = np.repeat(some, each)
                what = rng.choice(items, len(who), p=popular / popular.sum())
                taste = (of_users[who] * of_items[what]).sum(1) / np.sqrt(width)
                stars = np.clip(np.rint(3.5 + taste + 0.5 * rng.normal(size=len(who))), 1, 5)
                rows = np.stack([who, what, stars.astype(int), np.arange(len(who))], 1)
                np.savetxt(file, rows, "%d", delimiter="\t")
        began = time.perf_counter()
        opened = open_data(path)
        family = opened.family
        print(opened.notes, f"read and tables: {time.perf_counter() - began:.0f} s", flush=True)
    assert isinstance(family, GroupFamily)
    print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True
    )
    model, seconds = ours(family, "deep_kernel", budget, 10)
    print(f"training, {budget}: {seconds:.0f} CPU-seconds", flush=True)
    data = Data(family)
    method = as_method([model], data.table)
    for known in (5, each // 2 - 1):
        support, values = data.cases(family.parts["test"][:50], known, 1)[0][:2]
        began = time.perf_counter()
        for _ in range(5):
            method(support, values, np.arange(data.number))
        print(
            f"{known} known, all {data.number:,} items: {(time.perf_counter() - began) / 5:.3f} s"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--learner", default="deep_kernel")
    parser.add_argument("--budget", default="1500steps")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--nets", type=int, default=1)
    parser.add_argument("--learn", help="a budget of the loop, such as 120s")
    parser.add_argument("--seeds", type=int, default=1, help="of the loop")
    parser.add_argument("--features", choices=("yes", "no"), default="yes")
    parser.add_argument("--out")
    parser.add_argument("--synthetic", type=int, nargs=3, metavar=("USERS", "ITEMS", "EACH"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.synthetic:
        users, items, each = args.synthetic
        synthetic(users, items, each, args.budget)
    elif args.data is None:
        parser.error("DATA, or --synthetic USERS ITEMS EACH")
    else:
        compare(args)


if __name__ == "__main__":
    main()
