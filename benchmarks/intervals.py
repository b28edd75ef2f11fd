"""Do the intervals hold? Draws of classes of photographs, and how often the truth is covered.

    .venv/bin/python benchmarks/intervals.py DATA [--draws 400] [--episodes 400] [--used 400]
        [--seed 0] [--runs runs/intervals] [--json]

DATA is `tiny_imagenet_fewshot`. Two nets are trained on its training part, 40 seconds each, and
kept in the folder of runs; the 60 classes of its validation and test parts are what no learner was
trained on. A draw is K of them *with* replacement (a class drawn twice is two units of one
content, and no episode holds both), with its episodes at 1 and at 5 shots, 5-way with 15 queries.
The truth is the mean over 60,000 episodes of all 60. Reported are single learners, paired
differences of two heads on one net and of two nets, and the mean over both shots, which is what
the loop's judge compares. "wrong" is how often a one-sided test at 2.5 % says "surely more" and
"surely less" of what is exactly the truth.

Three kinds of intervals: `new units` are metaloop's (`core/statistics.py`); `episodes` ignore that
classes are a sample; `class means` take the mean of each class as one observation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.learner import CENTER, EmbeddingLearner
from metaloop.core.randomness import numpy_stream
from metaloop.core.statistics import EpisodeScores, estimate, mean_of
from metaloop.models import train_model
from metaloop.models.model import Model, load_model
from metaloop.models.training import Trained
from metaloop.nets.prototypes import squared_distances
from metaloop.tasks.family import ClassFamily

WAYS, SHOTS, QUERIES = 5, (1, 5), 15
CLASSES = (6, 12, 25, 36)
TRUE_EPISODES = 60_000
NETS = {"simpleshot": "strided", "protonet": "conv4"}
LEARNERS = ("simpleshot", "ridge", "protonet")
PAIRS = {"two heads": ("ridge", "simpleshot"), "two nets": ("simpleshot", "protonet")}
KINDS = ("new units", "episodes", "class means")
ASKED = DataOptions(image_size=32)
AT_ONCE = 200  # episodes
DIRECTIONS = 96  # principal ones of the features: a draw takes a twentieth of the time

# Shapes: T episodes, W ways, S shots, Q queries of each class, D features.


def features_of(model: Model, family: ClassFamily) -> Tensor:
    """Returns features `[60, examples, D]` of all classes that the model has not seen."""
    learner = model.learner
    assert isinstance(learner, EmbeddingLearner)
    store = family.store
    unseen = [int(k) for part in ("search", "promotion", "test") for k in family.parts[part]]
    features = []
    with torch.no_grad():
        for index in unseen:
            inputs = store.taken(store.examples_of[index])
            features.append(learner.embed(model.meta_params, model.input_format.to_float(inputs)))
    return torch.stack(features)


def trained(data: str, name: str, folder: Path) -> Model:
    """Returns the model of this name, trained now if it is not in the folder."""
    path = folder / f"{name}.metaloop"
    if not path.exists():
        for event in train_model(data, name, net=NETS[name], budget="40s", options=ASKED):
            if isinstance(event, Trained):
                event.model.save(path)
    return load_model(path)


def nearest_centroid(support: Tensor, query: Tensor) -> Tensor:
    """Returns logits `[T, Q', W]` of queries `[T, Q', D]` by support `[T, W, S, D]`."""
    return -squared_distances(query, support.mean(2))


def ridge(support: Tensor, query: Tensor) -> Tensor:
    """Returns the logits of a ridge regression onto one-hot labels, lambda = 1."""
    ways, shots = support.shape[1:3]
    rows = support.flatten(1, 2)
    labels = torch.eye(ways).repeat_interleave(shots, 0).expand(len(rows), -1, -1)
    system = rows @ rows.mT + torch.eye(ways * shots)
    weights: Tensor = rows.mT @ torch.linalg.solve(system, labels)
    return query @ weights


@dataclass(frozen=True)
class Contestant:
    """A head on features `[classes, examples, D]`."""

    features: Tensor
    head: Callable[[Tensor, Tensor], Tensor]

    def scores(self, classes: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Returns how many queries of each class are right, `[T, W]`.

        `classes [T, W]` of the 60, `examples [T, W, S + Q]` of each class.
        """
        pieces = []
        for start in range(0, len(classes), AT_ONCE):
            piece = slice(start, start + AT_ONCE)
            index = torch.from_numpy(classes[piece])[:, :, None]
            taken = self.features[index, torch.from_numpy(examples[piece])]
            support, query = taken[:, :, :-QUERIES], taken[:, :, -QUERIES:]
            answers = self.head(support, query.flatten(1, 2)).argmax(-1)
            right = answers.view(-1, WAYS, QUERIES) == torch.arange(WAYS)[:, None]
            pieces.append(right.sum(-1).numpy())
        return np.concatenate(pieces).astype(np.uint8)


def contestants(data: str, folder: Path) -> dict[str, Contestant]:
    """Returns the learners that are compared, on features of all classes that are new to them."""
    family = open_data(data, ASKED).family
    assert isinstance(family, ClassFamily)
    models = {name: trained(data, name, folder) for name in NETS}
    plain = {name: features_of(model, family) for name, model in models.items()}
    directions = plain["simpleshot"] - models["simpleshot"].meta_params[CENTER]
    directions = torch.nn.functional.normalize(directions, dim=-1)
    few = {"simpleshot": _principal(directions), "protonet": _principal(plain["protonet"])}
    return {
        "simpleshot": Contestant(few["simpleshot"], nearest_centroid),
        "ridge": Contestant(few["simpleshot"], ridge),
        "protonet": Contestant(few["protonet"], nearest_centroid),
    }


def _principal(features: Tensor) -> Tensor:
    """Returns the features in their `DIRECTIONS` directions of largest variance."""
    rows = features.flatten(0, 1)
    rows = rows - rows.mean(0)
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    directions: Tensor = vectors[:, -DIRECTIONS:]
    return (rows @ directions).view(*features.shape[:2], -1).contiguous()


def drawn_episodes(drawn: np.ndarray, episodes: int, rng: np.random.Generator) -> np.ndarray:
    """Returns places `[T, W]` in the draw, never two of the same class in one episode."""
    found = np.empty((0, WAYS), dtype=np.int64)
    while len(found) < episodes:
        places = rng.random((2 * episodes, len(drawn))).argsort(1)[:, :WAYS]
        classes = np.sort(drawn[places], axis=1)
        found = np.concatenate([found, places[(np.diff(classes, axis=1) > 0).all(1)]])
    return found[:episodes]


def examples_of(episodes: int, shots: int, available: int, rng: np.random.Generator) -> np.ndarray:
    """Returns different examples `[T, W, S + Q]` for each class of each episode."""
    keys = rng.random((episodes, WAYS, available), dtype=np.float32)
    return keys.argpartition(shots + QUERIES, -1)[..., : shots + QUERIES]


Draw = dict[int, dict[str, EpisodeScores]]  # by shots and learner


def draws(
    learners: dict[str, Contestant], count: int, asked: argparse.Namespace, folder: Path
) -> Iterator[Draw]:
    """Yields draws of that many classes; kept in the folder, for that is what takes time."""
    path = folder / f"draws-{count}-{asked.draws}-{asked.episodes}-{asked.seed}.npz"
    if not path.exists():
        np.savez_compressed(path, allow_pickle=False, **_made(learners, count, asked))
    with np.load(path) as kept:
        arrays = dict(kept)
    for number in range(asked.draws):
        yield {
            shots: {
                name: _scores(arrays[f"{shots} {name}"][number], arrays[f"{shots} places"][number])
                for name in learners
            }
            for shots in SHOTS
        }


def _made(
    learners: dict[str, Contestant], count: int, asked: argparse.Namespace
) -> dict[str, np.ndarray]:
    total, available = next(iter(learners.values())).features.shape[:2]
    shape = (asked.draws, asked.episodes, WAYS)
    names = [f"{shots} {name}" for shots in SHOTS for name in (*learners, "places")]
    made = {name: np.empty(shape, dtype=np.uint8) for name in names}
    for number in range(asked.draws):
        rng = numpy_stream(asked.seed, "draw", count, number)
        drawn = rng.integers(total, size=count)
        while len(np.unique(drawn)) < WAYS:
            drawn = rng.integers(total, size=count)
        for shots in SHOTS:
            places = drawn_episodes(drawn, asked.episodes, rng)
            examples = examples_of(asked.episodes, shots, available, rng)
            made[f"{shots} places"][number] = places
            for name, learner in learners.items():
                made[f"{shots} {name}"][number] = learner.scores(drawn[places], examples)
    return made


def _scores(right: np.ndarray, places: np.ndarray) -> EpisodeScores:
    values = right / QUERIES
    return EpisodeScores(values.mean(1), values, places.astype(np.int64))


def truth(learners: dict[str, Contestant], folder: Path) -> dict[str, float]:
    """Returns every quantity over episodes of all 60 classes."""
    path = folder / "truth.json"
    if not path.exists():
        total, available = next(iter(learners.values())).features.shape[:2]
        means: dict[int, dict[str, list[float]]] = {s: {n: [] for n in learners} for s in SHOTS}
        for block in range(TRUE_EPISODES // 1000):
            rng = numpy_stream(0, "truth", block)
            for shots in SHOTS:
                classes = drawn_episodes(np.arange(total), 1000, rng)
                examples = examples_of(1000, shots, available, rng)
                for name, learner in learners.items():
                    right = learner.scores(classes, examples)
                    means[shots][name].append(float(right.mean()) / QUERIES)
        each = {s: {n: float(np.mean(m)) for n, m in of.items()} for s, of in means.items()}
        path.write_text(json.dumps(_true_quantities(each)), encoding="utf-8")
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _true_quantities(means: dict[int, dict[str, float]]) -> dict[str, float]:
    both = {name: float(np.mean([means[s][name] for s in SHOTS])) for name in LEARNERS}
    by_shots = {**{f"{shots} shots": of for shots, of in means.items()}, "both": both}
    found: dict[str, float] = {}
    for label, of in by_shots.items():
        found |= {f"{name}, {label}": value for name, value in of.items()}
        found |= {f"{pair}, {label}": of[a] - of[b] for pair, (a, b) in PAIRS.items()}
    return found


def quantities(draw: Draw) -> Iterator[tuple[str, EpisodeScores]]:
    """Yields the label and the scores of every quantity of a draw; paired ones are differences."""
    both = {name: mean_of([draw[shots][name] for shots in SHOTS]) for name in LEARNERS}
    by_shots = {**{f"{shots} shots": of for shots, of in draw.items()}, "both": both}
    for label, of in by_shots.items():
        for name, scores in of.items():
            yield f"{name}, {label}", scores
        for pair, (first, second) in PAIRS.items():
            yield f"{pair}, {label}", of[first] - of[second]


def half_widths(scores: EpisodeScores) -> tuple[float, np.ndarray]:
    """Returns the value and the half-widths of the three kinds of intervals."""
    found = estimate(scores)
    assert found.ci95_new is not None
    columns = scores.units.ravel()
    means = np.bincount(columns, scores.unit_values.ravel()) / np.bincount(columns)
    naive = stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / np.sqrt(len(means))
    return found.value, np.array([found.ci95_new, found.ci95, naive])


def measured(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns a row for every number of classes and quantity, in points of accuracy."""
    folder = Path(asked.runs)
    folder.mkdir(parents=True, exist_ok=True)
    learners = contestants(asked.data, folder)
    true = truth(learners, folder)
    rows = []
    for count in CLASSES:
        errors: dict[str, list[float]] = {label: [] for label in true}
        halves: dict[str, list[np.ndarray]] = {label: [] for label in true}
        for draw in draws(learners, count, asked, folder):
            for label, scores in quantities(draw):
                value, half = half_widths(scores[: asked.used])
                errors[label].append(100 * (value - true[label]))
                halves[label].append(100 * half)
        rows += [
            _row(count, label, 100 * true[label], np.array(errors[label]), np.array(halves[label]))
            for label in true
        ]
    return rows


def _row(
    count: int, label: str, true: float, errors: np.ndarray, halves: np.ndarray
) -> dict[str, Any]:
    quantity, shots = label.split(", ")
    row: dict[str, Any] = {"classes": count, "quantity": quantity, "shots": shots}
    row |= {"draws": len(errors), "truth": true, "standard deviation": float(errors.std())}
    for kind, half in zip(KINDS, halves.T, strict=True):
        row[kind] = {
            "covered": 100 * float(np.mean(np.abs(errors) <= half)),
            "half-width": float(half.mean()),
            "wrongly above": 100 * float(np.mean(errors > half)),
            "wrongly below": 100 * float(np.mean(errors < -half)),
        }
    return row


def pooled(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, int, dict[str, float]]]:
    """Yields what was measured, averaged over the single learners; each pair stands for itself.

    A mean over pairs would hide that one is covered too often and another just enough.
    """
    for group in ("single", *PAIRS):
        for shots in (*(f"{shots} shots" for shots in SHOTS), "both"):
            for count in CLASSES:
                chosen = [
                    row
                    for row in rows
                    if row["quantity"] in ((group,) if group in PAIRS else LEARNERS)
                    and (row["classes"], row["shots"]) == (count, shots)
                ]
                figures = {
                    f"{kind} {name}": float(np.mean([row[kind][name] for row in chosen]))
                    for kind in KINDS
                    for name in chosen[0][kind]
                }
                yield group, shots, count, figures


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints coverage and mean half-width of each kind, and how often the test is wrong."""
    print(f"{'':30s}" + "".join(f"{kind:>16s}" for kind in KINDS) + f"{'wrong +/-':>14s}")
    for group, shots, count, of in pooled(rows):
        cells = [f"{of[f'{k} covered']:6.1f} % {of[f'{k} half-width']:6.2f}" for k in KINDS]
        wrong = f"{of['new units wrongly above']:.1f} / {of['new units wrongly below']:.1f}"
        label = f"{group}, {shots}, {count} classes"
        print(f"{label:30s}" + "".join(f"{cell:>16s}" for cell in cells) + f"{wrong:>14s}")


def main() -> None:
    """Draws, measures, and prints coverage in percent and half-widths in points."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--episodes", type=int, default=400, help="made for every draw and task")
    parser.add_argument("--used", type=int, help="the first so many of them (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs/intervals")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = measured(asked)
    if asked.json:
        print(json.dumps(rows))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
