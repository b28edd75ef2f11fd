"""Tasks that are asked about other classes, too: what accepts, what it costs, and thresholds.

An open episode is an episode of `ways` classes with further queries, of `others`: classes of the
same part that are not in the task. *Evidence* says how much a query looks like one of the task's
classes; what has less than a threshold is rejected. A *false alarm* is a query of another class
that is accepted. Shapes: T tasks, N queries of both kinds, U units: a task's classes, then others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DivergenceError, EpisodeError
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams
from metaloop.core.likeness import Likeness, fit_likeness, means_of, nearest_cosine
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Part
from metaloop.core.rejection import RATES, Rejection, thresholds_of
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import FeatureCache, learner_outputs
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import ClassFamily, episode_list

MOST_OTHERS = 5  # classes outside of a task that it is asked about
_CLASSES, _EXAMPLES = 256, 20  # of training, at most, that a likeness is fitted to
_WAYS, _SHOTS, _QUERIES = (2, 5, 10, 20, 50), (1, 2, 5, 10, 20), 5  # of the table of thresholds
_EPISODES = 100  # of each part and entry of the table
_DEAR_EPISODES = 30  # where a learner has to be adapted for each
_CALIBRATED_ON: tuple[Part, ...] = ("search", "promotion")


@dataclass(frozen=True)
class OpenEpisodes:
    """Episodes whose queries are those of the task's classes, and behind them those of others.

    `classes` int64 `[N]`: the unit that a query belongs to, those from `ways` on are others;
    `units` int64 `[T, U]` are classes of the store.
    """

    episodes: Episodes
    classes: np.ndarray
    units: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Which queries are of the task's classes, bool `[N]`."""
        return self.classes < self.episodes.num_classes


@dataclass(frozen=True, eq=False)
class OpenAnswers:
    """What is said of the queries `[T, N]`: evidence, plain evidence, whether their class is told.

    `plain` is the cosine to the nearest class mean; None for learners without an embedding.
    """

    evidence: np.ndarray
    plain: np.ndarray | None
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Eyes:
    """The embedding in which evidence is looked for, with what its features are kept in."""

    learner: EmbeddingLearner
    meta_params: MetaParams
    cache: FeatureCache

    @classmethod
    def of(cls, learner: EmbeddingLearner, meta_params: MetaParams) -> Eyes:
        """Returns them with nothing seen yet."""
        return cls(learner, meta_params, FeatureCache(learner, meta_params))


def open_list(family: ClassFamily, part: Part, spec: TaskSpec, number: int) -> OpenEpisodes:
    """Returns the frozen list of open episodes of a part; content and spec decide it.

    Raises `EpisodeError` where a part has no further class.
    """
    left = family.largest_ways(part, spec.shots) - spec.ways
    if left < 1:
        raise EpisodeError(
            f"{family.name}: with {spec.ways} ways part '{part}' has no class that is not in a "
            f"task, which rejecting is about; the largest possible --ways is {spec.ways + left - 1}"
        )
    wide = replace(spec, ways=spec.ways + min(MOST_OTHERS, left))
    whole = episode_list(family, part, wide, number)
    support = _chosen(whole.support, whole.support.labels[0] < spec.ways)
    classes = whole.query.labels[0]
    query = replace(whole.query, labels=np.minimum(whole.query.labels, spec.ways - 1))
    return OpenEpisodes(Episodes(whole.store, support, query, spec.ways), classes, whole.units)


def answer(
    learner: Learner,
    meta_params: MetaParams,
    asked: OpenEpisodes,
    input_format: InputFormat,
    likeness: Likeness | None,
    eyes: Eyes | None,
) -> OpenAnswers:
    """Returns what the learner says of open episodes; without a likeness by its largest output.

    Raises `DivergenceError` for predictions that are not numbers.
    """
    episodes = asked.episodes
    own = eyes.cache if eyes is not None and eyes.learner is learner else None
    outputs = learner_outputs(learner, meta_params, episodes, input_format, own)
    if bool(outputs.isnan().any()):
        raise DivergenceError(f"{type(learner).__name__} predicted values that are not numbers")
    right = (outputs.argmax(-1).cpu().numpy() == episodes.query.labels) & asked.inside
    if likeness is None or eyes is None:
        evidence = outputs.amax(-1).double().cpu().numpy()
        return OpenAnswers(evidence, None, right)
    found = _evidence(asked, input_format, likeness, eyes)
    return OpenAnswers(found, _cosines(asked, input_format, likeness, eyes), right)


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
    likeness = None
    if eyes is not None:
        likeness = fit_likeness(*_training_features(family, eyes))
        if likeness is None:
            return None
        likeness = likeness.to(family.device)
    parts = [part for part in _CALIBRATED_ON if family.largest_ways(part, 1) > 2]
    if not parts:
        return None
    shots = _axis(_SHOTS, spec.shots, _most_shots(family, parts), likeness is None)
    most = min(family.largest_ways(part, shots[-1]) for part in parts) - 1
    ways = _axis(_WAYS, spec.ways, most, likeness is None)
    table = torch.empty(len(ways), len(shots), len(RATES), dtype=torch.float64)
    for row, num_ways in enumerate(ways):
        for column, num_shots in enumerate(shots):
            task = replace(spec, ways=num_ways, shots=num_shots, queries=_QUERIES)
            found = [
                _outside(learner, meta_params, family, part, task, likeness, eyes) for part in parts
            ]
            if not all(np.isfinite(each).all() for each in found):
                return None
            table[row, column] = torch.tensor(thresholds_of(np.concatenate(found)))
    return Rejection(
        ways, shots, table, None if likeness is None else likeness.to(torch.device("cpu"))
    )


def _axis(known: Sequence[int], own: int, most: int, dear: bool) -> tuple[int, ...]:
    """Returns the places of a table up to `most`: where each is dear, that of the task alone."""
    return (min(own, most),) if dear else tuple(n for n in known if n <= most) or (most,)


def _most_shots(family: ClassFamily, parts: Sequence[Part]) -> int:
    """Returns the shots that nearly as many classes allow as one shot does."""
    fit = [
        shots
        for shots in _SHOTS
        if all(
            family.largest_ways(part, shots) > max(2, 0.8 * family.largest_ways(part, 1) - 1)
            for part in parts
        )
    ]
    return fit[-1] if fit else 1


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
    asked = open_list(family, part, spec, _EPISODES if likeness is not None else _DEAR_EPISODES)
    episodes = asked.episodes
    outside = replace(asked, classes=asked.classes[~asked.inside], episodes=Episodes(
        episodes.store, episodes.support, _chosen(episodes.query, ~asked.inside),
        episodes.num_classes,
    ))  # fmt: skip
    there = outside.episodes.query.mask
    if likeness is None or eyes is None:
        outputs = learner_outputs(learner, meta_params, outside.episodes, family.input_format, None)
        found = outputs.amax(-1).double().cpu().numpy()
    else:
        found = _evidence(outside, family.input_format, likeness, eyes)
    kept: np.ndarray = found[there]
    return kept


def _evidence(
    asked: OpenEpisodes, input_format: InputFormat, likeness: Likeness, eyes: Eyes
) -> np.ndarray:
    """Returns the evidence `[T, N]`; every example is seen once, and task by task compared."""
    support, query, values = _seen_once(asked, input_format, likeness, eyes)
    means, counts = means_of(replace(support, inputs=values[support.features.long()]))
    pieces = [
        likeness.evidence(means[task], counts[task], values[query[task]])
        for task in range(len(query))
    ]
    return torch.stack(pieces).double().cpu().numpy()


def _cosines(
    asked: OpenEpisodes, input_format: InputFormat, likeness: Likeness, eyes: Eyes
) -> np.ndarray:
    sides = asked.episodes.support, asked.episodes.query
    store, features = asked.episodes.store, eyes.cache.features
    pieces = []
    for task in range(len(asked.episodes)):
        of_support, of_query = (
            features(store, side.examples[task], input_format) for side in sides
        )
        labels, mask = (torch.from_numpy(each[task]).to(of_support.device)
                        for each in (sides[0].labels, sides[0].mask))  # fmt: skip
        examples = Examples(of_support, labels, mask, asked.episodes.num_classes)
        pieces.append(nearest_cosine(likeness.center, examples, of_query))
    return torch.stack(pieces).double().cpu().numpy()


def _seen_once(
    asked: OpenEpisodes, input_format: InputFormat, likeness: Likeness, eyes: Eyes
) -> tuple[Examples, Tensor, Tensor]:
    """Returns supports and queries as places in a list of examples, and that list as it is seen."""
    episodes = asked.episodes
    sides = (episodes.support.examples, episodes.query.examples)
    examples, places = np.unique(np.concatenate([s.ravel() for s in sides]), return_inverse=True)
    values = likeness.seen(eyes.cache.features(episodes.store, examples, input_format))
    device, split = values.device, sides[0].size
    support, query = (
        torch.from_numpy(where.reshape(side.shape)).to(device)
        for where, side in zip((places[:split], places[split:]), sides, strict=True)
    )
    labels = torch.from_numpy(episodes.support.labels).to(device)
    mask = torch.from_numpy(episodes.support.mask).to(device)
    return Examples(support, labels, mask, episodes.num_classes, True), query, values


def _training_features(family: ClassFamily, eyes: Eyes) -> tuple[Tensor, Tensor]:
    """Returns features of training examples and their classes: a fixed sample of both."""
    family = family.original
    examples, labels = family.labelled("train")
    rng = numpy_stream(0, "likeness")
    classes = np.sort(rng.permutation(len(family.parts["train"]))[:_CLASSES])
    kept = [
        np.sort(rng.permutation(np.flatnonzero(labels == number))[:_EXAMPLES]) for number in classes
    ]
    rows = np.concatenate(kept) if kept else np.empty(0, np.int64)
    features = eyes.cache.features(family.store, examples[rows], family.input_format)
    return features, torch.from_numpy(labels[rows])


def _chosen(side: Indices, columns: np.ndarray) -> Indices:
    return Indices(side.examples[:, columns], side.labels[:, columns], side.mask[:, columns])
