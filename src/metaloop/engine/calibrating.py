"""From how much evidence on a query is taken for one of a task's classes: a table of thresholds.

Everything is measured on `search` and `promotion`: no task of training had their classes. The
likeness itself is fitted on `train`; how far its covariance is shrunk is chosen by how well it
tells queries of tasks from others there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.learner import Learner, MetaParams
from metaloop.core.likeness import Likeness, fit_likenesses
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Part
from metaloop.core.rejection import RATES, Rejection, thresholds_of
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import learner_outputs
from metaloop.engine.open_set import Eyes, evidence_on, open_list
from metaloop.tasks.family import ClassFamily

# What is looked at, so that it costs a learner about as much as one evaluation: of training, at
# most, that a likeness has, and of each part that tasks are drawn from.
_CLASSES, _EXAMPLES, _TOGETHER = 128, 100, 1600
_CLASSES_ASKED, _EXAMPLES_ASKED = 32, 15
_SHRINKAGES = (0.1, 0.5, 0.9)  # few words or many intents, from a frozen net or from one's own
_WAYS, _SHOTS, _QUERIES = (2, 5, 15, 40), (1, 3, 10), 5  # of the table of thresholds
_EPISODES = 100  # of each part and entry of the table
_DEAR_EPISODES = 30  # where a learner has to be adapted for each
_CHOOSING_EPISODES = 50
_CALIBRATED_ON: tuple[Part, ...] = ("search", "promotion")


@torch.no_grad()
def calibrated(
    learner: Learner,
    meta_params: MetaParams,
    family: ClassFamily,
    spec: TaskSpec,
    eyes: Eyes | None,
) -> Rejection | None:
    """Returns the thresholds of a learner, measured on `search` and `promotion`.

    None where these parts have too few classes, or where training classes are too few for a
    likeness though the learner has `eyes`.
    """
    family = _sampled(family.original)
    parts = [part for part in _CALIBRATED_ON if family.largest_ways(part, 1) > 2]
    if not parts:
        return None
    dear = eyes is None
    shots = _axis(_SHOTS, spec.shots, _most_shots(family, parts), dear)
    ways = _axis(_WAYS, spec.ways, min(family.largest_ways(p, shots[-1]) for p in parts) - 1, dear)
    likeness = None
    if eyes is not None:
        likeness = _best_likeness(family, parts, replace(spec, ways=min(5, ways[-1])), shots, eyes)
        if likeness is None:
            return None
    table = torch.empty(len(ways), len(shots), len(RATES), dtype=torch.float64)
    for row, num_ways in enumerate(ways):
        for column, num_shots in enumerate(shots):
            task = replace(spec, ways=num_ways, shots=num_shots, queries=_QUERIES)
            found = np.concatenate(
                [_outside(learner, meta_params, family, p, task, likeness, eyes) for p in parts]
            )
            if not np.isfinite(found).all():
                return None
            table[row, column] = torch.tensor(thresholds_of(found))
    kept = None if likeness is None else likeness.to(torch.device("cpu"))
    return Rejection(ways, shots, table, kept)


def _best_likeness(
    family: ClassFamily, parts: Sequence[Part], spec: TaskSpec, shots: Sequence[int], eyes: Eyes
) -> Likeness | None:
    """Returns the likeness whose shrinkage is best on tasks with few and with several examples."""
    features, labels = _training_features(family, eyes)
    best: tuple[float, Likeness] | None = None
    for fitted in fit_likenesses(features, labels, _SHRINKAGES):
        likeness = fitted.to(family.device)
        values = []
        for part in parts:
            for number in {shots[0], min(5, shots[-1])}:
                task = replace(spec, shots=number, queries=_QUERIES)
                asked = open_list(family, part, task, _CHOOSING_EPISODES)
                evidence = evidence_on(asked, family.input_format, likeness, eyes)
                there = asked.episodes.query.mask
                inside = there & asked.inside
                values.append(_area(evidence[inside], evidence[there & ~asked.inside]))
        value = float(np.mean(values))
        if np.isfinite(value) and (best is None or value > best[0]):
            best = value, likeness
    return None if best is None else best[1]


def _area(inside: np.ndarray, outside: np.ndarray) -> float:
    """Returns the area under the ROC curve of all tasks together."""
    below = np.searchsorted(np.sort(outside), inside)
    return float(below.mean() / len(outside))


def _axis(known: Sequence[int], own: int, most: int, dear: bool) -> tuple[int, ...]:
    """Returns the places of a table up to `most`: where each is dear, that of the task alone."""
    return (min(own, most),) if dear else tuple(n for n in known if n <= most) or (most,)


def _most_shots(family: ClassFamily, parts: Sequence[Part]) -> int:
    """Returns the shots that nearly as many classes allow as one shot does."""

    def allowed(shots: int) -> bool:
        return all(
            family.largest_ways(part, shots) > max(2, 0.8 * family.largest_ways(part, 1) - 1)
            for part in parts
        )

    return max((shots for shots in _SHOTS if allowed(shots)), default=1)


def _outside(
    learner: Learner,
    meta_params: MetaParams,
    family: ClassFamily,
    part: Part,
    spec: TaskSpec,
    likeness: Likeness | None,
    eyes: Eyes | None,
) -> np.ndarray:
    """Returns the evidence on queries of other classes, one after another."""
    number = _DEAR_EPISODES if likeness is None else _EPISODES
    asked = open_list(family, part, spec, number).of_others
    if likeness is None or eyes is None:
        outputs = learner_outputs(learner, meta_params, asked.episodes, family.input_format)
        found = outputs.amax(-1).double().cpu().numpy()
    else:
        found = evidence_on(asked, family.input_format, likeness, eyes)
    kept: np.ndarray = found[asked.episodes.query.mask]
    return kept


def _sampled(family: ClassFamily) -> ClassFamily:
    """Returns the family with a fixed sample of classes and examples, as few as are needed."""
    rng = numpy_stream(0, "likeness")
    classes: dict[Part, np.ndarray] = {}
    rows = []
    for part, of_part in family.parts.items():
        most = _CLASSES if part == "train" else _CLASSES_ASKED * (part in _CALIBRATED_ON)
        chosen = np.sort(rng.permutation(of_part)[:most])
        each = _EXAMPLES_ASKED
        if part == "train":
            each = min(_EXAMPLES, max(2, _TOGETHER // max(1, len(chosen))))
        classes[part] = chosen
        rows += [rng.permutation(family.store.examples_of[c])[:each] for c in chosen]
    kept = np.concatenate([*classes.values(), np.empty(0, np.int64)])
    unused = np.ones(len(family.store), bool)
    unused[np.concatenate([*rows, np.empty(0, np.int64)])] = False
    gone = np.setdiff1d(np.arange(len(family.store.classes)), kept)
    store = family.store.without(gone, np.flatnonzero(unused))
    order = np.sort(kept)
    parts = {part: np.searchsorted(order, of_part) for part, of_part in classes.items()}
    return replace(
        family, store=store, parts=parts, given_format=family.input_format, raw=None, sights={}
    )


def _training_features(family: ClassFamily, eyes: Eyes) -> tuple[Tensor, Tensor]:
    """Returns features of training examples and their classes."""
    examples, labels = family.labelled("train")
    features = eyes.cache.features(family.store, examples, family.input_format)
    return features, torch.from_numpy(labels)
