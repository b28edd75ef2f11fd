"""Tasks that are asked about other classes, too, and what a learner says of all their queries.

An open episode is an episode of `ways` classes with further queries, of `others`: classes of the
same part that are not in the task. *Evidence* says how much a query looks like one of the task's
classes; what has less than a threshold is rejected. A *false alarm* is a query of another class
that is accepted. Shapes: T tasks, N queries of both kinds, U units: a task's classes, then others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DivergenceError, EpisodeError
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams
from metaloop.core.likeness import Likeness, means_of, nearest_cosine
from metaloop.core.records import Part
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import FeatureCache, learner_outputs
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import ClassFamily, episode_list

MOST_OTHERS = 5  # classes outside of a task that it is asked about
_NUMBERS_AT_ONCE = 1 << 22  # floats of a stack of tasks


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

    @property
    def of_others(self) -> OpenEpisodes:
        """The same tasks, asked about other classes alone."""
        whole = self.episodes
        query = _chosen(whole.query, ~self.inside)
        asked = Episodes(whole.store, whole.support, query, whole.num_classes)
        return OpenEpisodes(asked, self.classes[~self.inside], self.units)


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
    found = evidence_on(asked, input_format, likeness, eyes)
    return OpenAnswers(found, _cosines(asked, input_format, likeness, eyes), right)


def evidence_on(
    asked: OpenEpisodes, input_format: InputFormat, likeness: Likeness, eyes: Eyes
) -> np.ndarray:
    """Returns the evidence `[T, N]`; every example is seen once, stacks of tasks are compared."""
    support, query, values = _seen_once(asked, input_format, likeness, eyes)
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, query.shape[1] * values.shape[1]))
    pieces = []
    for start in range(0, len(query), at_once):
        some = slice(start, start + at_once)
        rows = support.features[some]
        examples = Examples(
            values[rows], support.targets[some], support.mask[some], support.num_classes, True
        )
        means, counts = means_of(examples)
        pieces.append(likeness.evidence(means, counts, values[query[some]]))
    return torch.cat(pieces).double().cpu().numpy()


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


def _chosen(side: Indices, columns: np.ndarray) -> Indices:
    return Indices(side.examples[:, columns], side.labels[:, columns], side.mask[:, columns])
