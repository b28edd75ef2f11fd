"""Events without ratings: all items in the order of what a new user would have next.

    python benchmarks/events.py EVENTS [--budget 1500steps] [--shots 5]
    python benchmarks/events.py --ratings anime_ratings_5k   # what was rated 8 or more, as events

Test users are in no table and were not trained on (strong generalisation, Liang et al. 2018). Some
of what each had is known, *all* other items are ranked, and the rest of what she had should come
first. Rivals: how many users had an item; item-kNN by the cosine, damped; EASE (Steck 2019,
arXiv:1905.03375), whose strength is chosen on users of `search` and `promotion`, as is kNN's. Two
draws a user; intervals are over users, differences are paired.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.models.training import Trained, train_model
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers.tables import read_table

KNOWN = (5, 10)
MORE = 5  # items of a test user beside those known
DRAWS = 2
AT = 10, 50
Case = tuple[int, np.ndarray, np.ndarray]  # user, known, wanted
Score = Callable[[np.ndarray], np.ndarray]  # known items -> a score for each item


def liked(folder: Path, least: float = 8.0) -> Path:
    """Ratings of at least so much, as a table of events."""
    columns = read_table(folder / "anime_ratings.tsv.gz").columns
    kept = np.asarray(columns["Feedback"]) >= least
    rows = zip(columns["User_ID"][kept], columns["Anime_ID"][kept], strict=True)
    path = Path(tempfile.mkdtemp()) / "events.csv"
    path.write_text("user,item\n" + "".join(f"{int(u)},{int(i)}\n" for u, i in rows))
    return path


class Data:
    """Who had what, by places in the model's table of items."""

    def __init__(self, family: GroupFamily) -> None:
        assert family.raw is not None and family.view is not None
        self.items = family.raw.inputs.index.numpy()  # type: ignore[union-attr]
        self.users = family.raw.targets.numpy()
        self.rows, self.parts = family.raw.examples_of, family.parts
        self.number = family.num_items
        self.table = family.view.assets["table"]

    def of_train(self) -> sp.csr_matrix:
        kept = np.isin(self.users, self.parts["train"])
        user = np.unique(self.users[kept], return_inverse=True)[1]
        shape = (int(user.max()) + 1, self.number)
        return sp.csr_matrix((np.ones(kept.sum()), (user, self.items[kept])), shape)

    def cases(self, users: np.ndarray, known: int, draws: int) -> list[Case]:
        found = []
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            for user in users.tolist():
                had = self.items[self.rows[user]]
                if len(had) >= known + MORE:
                    had = rng.permutation(had)
                    found.append((user, had[:known], had[known:]))
        return found


def figures(score: Score, cases: list[Case]) -> dict[str, dict[int, list[float]]]:
    names = [f"{what}@{k}" for what in ("ndcg", "recall") for k in AT]
    found: dict[str, dict[int, list[float]]] = {name: {} for name in names}
    for user, known, wanted in cases:
        scores = score(known).astype(np.float64)
        scores[known] = -np.inf
        best = np.argsort(-scores, kind="stable")[: max(AT)]
        hit = np.isin(best, wanted)
        discount = 1 / np.log2(np.arange(len(best)) + 2)
        for k in AT:
            most = min(k, len(wanted))
            gain = (hit * discount)[:k].sum() / discount[:most].sum()
            found[f"ndcg@{k}"].setdefault(user, []).append(gain)
            found[f"recall@{k}"].setdefault(user, []).append(hit[:k].sum() / most)
    return found


def neighbours(had: sp.csr_matrix, damping: float) -> Score:
    product = (had.T @ had).toarray().astype(np.float32)
    count = np.diag(product).copy()
    likeness = product / np.maximum(np.sqrt(np.outer(count, count)) + damping, 1e-6)
    np.fill_diagonal(likeness, 0)
    return lambda known: likeness[known].sum(0)


def ease(had: sp.csr_matrix, strength: float) -> Score:
    gram = (had.T @ had).toarray()
    gram[np.diag_indices_from(gram)] += strength
    inverse = np.linalg.inv(gram)
    weights = (-inverse / np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return lambda known: weights[known].sum(0)


def ours(family: GroupFamily, table: torch.Tensor, learner: str, budget: str, shots: int) -> Score:
    began = time.process_time()
    *_, last = train_model(family, learner, budget=budget, shots=shots, seed=0)
    assert isinstance(last, Trained)
    model = last.model
    seconds = time.process_time() - began
    print(f"{learner}: {seconds:.0f} CPU-seconds, {model.training.steps} steps", flush=True)

    def score(known: np.ndarray) -> np.ndarray:
        rows = table[torch.from_numpy(known)]
        state = model.adapt(rows, torch.ones(len(rows), 1, dtype=torch.float64), 0)
        return model.predict(state, table[:-1])[:, 0].numpy()

    return score


def by_user(found: dict[int, list[float]]) -> np.ndarray:
    return np.array([np.mean(found[user]) for user in sorted(found)])


def interval(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ± {1.96 * values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def compare(family: GroupFamily, args: argparse.Namespace) -> dict[str, dict[str, str]]:
    data = Data(family)
    had = data.of_train()
    choosing = np.concatenate([family.parts["search"], family.parts["promotion"]])
    popular = np.asarray(had.sum(0)).ravel()
    trained = {
        name: ours(family, data.table, name, args.budget, args.shots)
        for name in dict.fromkeys(["spectral", *args.learner])
    }
    near = {f"item-kNN, damping {d:g}": neighbours(had, d) for d in (0, 10, 50)}
    steck = {}
    if data.number <= args.most_items:
        steck = {f"EASE, strength {s:g}": ease(had, s) for s in (100, 300, 1000)}
    told = {}
    for known in KNOWN:
        chosen = data.cases(choosing, known, 1)

        def best(several: dict[str, Score], chosen: list[Case] = chosen) -> dict[str, Score]:
            names = sorted(
                several, key=lambda n: -by_user(figures(several[n], chosen)["ndcg@10"]).mean()
            )
            return {name: several[name] for name in names[:1]}

        methods: dict[str, Score] = {"popularity": lambda known: popular.copy()}
        methods |= {**best(near), **best(steck), **trained}
        cases = data.cases(family.parts["test"], known, DRAWS)
        found = {name: figures(score, cases) for name, score in methods.items()}
        mine = by_user(found["spectral"]["ndcg@10"])
        print(f"\n{known} known, {len(mine)} users, {data.number:,} items, {DRAWS} draws each")
        for name, each in found.items():
            row = {metric: interval(by_user(values)) for metric, values in each.items()}
            row["spectral minus it, ndcg@10"] = interval(mine - by_user(each["ndcg@10"]))
            told[f"{known} {name}"] = row
            print(f"{name:24}", "  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path, nargs="?")
    parser.add_argument("--ratings", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--learner", nargs="*", default=[], help="further ones, trained")
    parser.add_argument("--budget", default="1500steps")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--most-items", type=int, default=10_000, help="that EASE is run on")
    parser.add_argument("--out")
    args = parser.parse_args()
    if (args.events is None) == (args.ratings is None):
        parser.error("EVENTS, or --ratings FOLDER")
    torch.set_num_threads(1)
    opened = open_data(args.events or liked(args.ratings), DataOptions(items=args.items))
    print(*opened.notes, sep="\n")
    assert isinstance(opened.family, GroupFamily)
    told = compare(opened.family, args)
    if args.out:
        Path(args.out).write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
