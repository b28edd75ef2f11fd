"""Scoring a learner on frozen episodes, each example embedded once where the learner allows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner, on_one_thread
from metaloop.core.errors import DivergenceError
from metaloop.core.examples import Examples, Inputs
from metaloop.core.inputs import InputFormat, embedded_at_once
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams, outputs_present
from metaloop.core.metric import Scores
from metaloop.core.objective import Objective, objective
from metaloop.core.query_scores import QueryScores
from metaloop.core.records import Measure, Part, Protocol, Result
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores, Estimate, estimate
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.nets.functional import vmaps
from metaloop.tasks.episodes import Episodes, Indices, scored_by_tensors
from metaloop.tasks.family import TaskFamily, episode_list
from metaloop.tasks.store import Store

_NUMBERS_AT_ONCE = 1 << 23  # floats of a stack of tasks: about what a processor's cache holds
_ACTIVATIONS_PER_INPUT = 16
_EPISODES_FOR_TARGETS = 100  # to know how widely targets are spread

Scored = Callable[[Objective, Tensor, Tensor, Episodes], Mapping[str, Scores]]


class FeatureCache:
    """Features of a store's examples under one embedding, computed when first asked for.

    Heads that share a trained net share its cache.
    """

    def __init__(self, learner: EmbeddingLearner, meta_params: MetaParams) -> None:
        self.learner = learner
        self.meta_params = meta_params
        self._store: Store | None = None
        self._features = torch.empty(0)
        self._row = torch.empty(0, dtype=torch.int64)  # of an example in _features, or -1

    @property
    def width(self) -> int:
        """D, the number of features; 0 before anything is embedded."""
        return self._features.shape[1] if len(self._features) else 0

    def prepare(self, store: Store, examples: np.ndarray, input_format: InputFormat) -> None:
        """Embeds those of the examples that are not known yet, in batches."""
        if store is not self._store:
            self._store = store
            self._row = torch.full((len(store),), -1)
            self._features = torch.empty(0)
        wanted = torch.from_numpy(np.unique(examples))
        missing = wanted[self._row[wanted] < 0]
        pieces = [self._features] if len(self._features) else []
        known = len(self._features)
        for chunk in torch.split(missing, embedded_at_once(store.device)):
            rows = store.taken(chunk)
            pieces.append(self.learner.embed(self.meta_params, input_format.to_float(rows)))
        if len(missing):
            self._features = torch.cat(pieces)
            self._row[missing] = torch.arange(known, known + len(missing))

    def add(self, store: Store, examples: np.ndarray, features: Tensor) -> None:
        """Takes in features `[N, D]` of different examples, computed elsewhere, for all others."""
        self._store, self._features = store, features
        self._row = torch.full((len(store),), -1)
        self._row[torch.from_numpy(examples)] = torch.arange(len(examples))

    def features(self, store: Store, examples: np.ndarray, input_format: InputFormat) -> Tensor:
        """Returns features `[*examples.shape, D]`."""
        self.prepare(store, examples, input_format)
        rows = self._row[torch.from_numpy(examples)]
        return self._features[rows.to(self._features.device)]


@torch.no_grad()
def score_episodes(
    learner: Learner,
    meta_params: MetaParams,
    episodes: Episodes,
    input_format: InputFormat,
    objective_name: str = "classification",
    cache: FeatureCache | None = None,
    scored: Scored = scored_by_tensors,
) -> EpisodeScores:
    """Returns the primary metric of every episode, and of each of its units (the classes in it).

    Real targets are told in their own units. `scored` is the family's `score`. Raises
    `DivergenceError` if a prediction is not a number, `ValueError` if `scored` leaves the primary
    metric out or tells one that the objective does not have.
    """
    judge = objective(objective_name)
    asked = replace(judge, metrics=judge.metrics[:1])  # others take as long as a small head
    pieces = _scored_pieces(learner, meta_params, episodes, input_format, asked, cache, scored)
    return _whole(judge, pieces, episodes)[judge.metric]


@torch.no_grad()
def score_by_all_metrics(
    learner: Learner,
    meta_params: MetaParams,
    episodes: Episodes,
    input_format: InputFormat,
    objective_name: str = "classification",
    cache: FeatureCache | None = None,
    scored: Scored = scored_by_tensors,
) -> dict[str, EpisodeScores]:
    """Returns every metric of every episode, and of each of its units, the primary one first.

    Arguments and errors are those of `score_episodes`.
    """
    judge = objective(objective_name)
    pieces = _scored_pieces(learner, meta_params, episodes, input_format, judge, cache, scored)
    return _whole(judge, pieces, episodes)


@torch.no_grad()
def learner_outputs(
    learner: Learner,
    meta_params: MetaParams,
    episodes: Episodes,
    input_format: InputFormat,
    cache: FeatureCache | None = None,
) -> Tensor:
    """Returns the outputs `[T, N, ...]` on the queries of all episodes, as learners give them."""
    pieces = _output_pieces(learner, meta_params, episodes, input_format, cache)
    return torch.cat([outputs for _, outputs, _ in pieces])


def _scored_pieces(
    learner: Learner,
    meta_params: MetaParams,
    episodes: Episodes,
    input_format: InputFormat,
    asked: Objective,
    cache: FeatureCache | None,
    scored: Scored,
) -> list[Mapping[str, Scores]]:
    """Returns what is said of stacks of tasks, one behind the other."""
    pieces = []
    for piece, outputs, targets in _output_pieces(
        learner, meta_params, episodes, input_format, cache
    ):
        if bool(outputs.isnan().any()):
            raise DivergenceError(
                f"{type(learner).__name__} predicted values that are not numbers on "
                f"inputs of shape {piece.store.input_shape}; the adaptation diverged"
            )
        outputs, targets = input_format.raw_targets(outputs), input_format.raw_targets(targets)
        pieces.append(scored(asked, outputs, targets, piece))
    return pieces


def _output_pieces(
    learner: Learner,
    meta_params: MetaParams,
    episodes: Episodes,
    input_format: InputFormat,
    cache: FeatureCache | None,
) -> Iterator[tuple[Episodes, Tensor, Tensor]]:
    """Yields stacks of tasks with the outputs and targets `[T, N, ...]` of their queries."""
    if isinstance(learner, EmbeddingLearner) and cache is None:
        cache = FeatureCache(learner, meta_params)
    if cache is not None:
        sides = (episodes.support.examples, episodes.query.examples)
        everything = np.concatenate([side.ravel() for side in sides])
        cache.prepare(episodes.store, everything, input_format)
    chunk = _tasks_at_once(episodes, cache.width if cache is not None else 0)
    for start in range(0, len(episodes), chunk):
        piece = episodes[start : start + chunk]
        if cache is not None:
            assert isinstance(learner, EmbeddingLearner)
            features = partial(cache.features, input_format=input_format)
            yield (
                piece,
                *_embedded_outputs(learner, meta_params, features, piece, input_format),
            )
        else:
            yield (piece, *_general_outputs(learner, meta_params, piece, input_format))


def _whole(
    judge: Objective, pieces: Sequence[Mapping[str, Scores]], episodes: Episodes
) -> dict[str, EpisodeScores]:
    """Returns the scores of the whole list, of which the pieces are parts."""
    told, known = pieces[0], [metric.name for metric in judge.metrics]
    if judge.metric not in told or not set(told) <= set(known):
        raise ValueError(
            f"objective '{judge.name}' has the metrics {', '.join(known)}, the first of which must "
            f"be there; its family's score told of {', '.join(told) or 'none'}"
        )
    found, units = {}, episodes.units
    for metric in judge.metrics:
        if metric.name in told:
            sides = [
                torch.cat([piece[metric.name][side] for piece in pieces]).double().cpu().numpy()
                for side in range(len(told[metric.name]))
            ]
            values, unit_values = sides[:2]
            if metric.pooled is not None:
                values, unit_values = metric.pooled(values, unit_values)
            queries = _queries(sides[2], episodes) if len(sides) > 2 else None
            found[metric.name] = EpisodeScores(values, unit_values, units, queries)
    return found


def _queries(values: np.ndarray, episodes: Episodes) -> QueryScores:
    query = episodes.query
    return QueryScores(values, np.where(query.mask, query.examples, -1).astype(np.int64))


def evaluate(
    learner: Learner,
    meta_params: MetaParams,
    family: TaskFamily,
    part: Part,
    spec: TaskSpec,
    num_episodes: int,
    cache: FeatureCache | None = None,
) -> tuple[Result, EpisodeScores]:
    """Returns the result on the frozen list of `part`, and the scores of its episodes."""
    episodes = episode_list(family, part, spec, num_episodes)
    return evaluate_on(episodes, learner, meta_params, family, part, spec, cache)


def evaluate_on(
    episodes: Episodes,
    learner: Learner,
    meta_params: MetaParams,
    family: TaskFamily,
    part: Part,
    spec: TaskSpec,
    cache: FeatureCache | None = None,
) -> tuple[Result, EpisodeScores]:
    """Returns the result on these episodes of `part`, all metrics in it, and the primary scores."""
    found = score_by_all_metrics(
        learner, meta_params, episodes, family.input_format, spec.objective, cache, family.score
    )
    measured_by = protocol(learner, family, part, spec, episodes)
    metric = objective(spec.objective).metric
    scores = found.pop(metric)
    result = result_of(scores, metric, measured_by)
    others = (_measure(name, estimate(one)) for name, one in found.items())
    known = tuple(each for each in others if math.isfinite(each.value))
    return replace(result, metrics=known), scores


def _measure(metric: str, found: Estimate) -> Measure:
    return Measure(metric, found.value, found.ci95, found.ci95_new)


def result_of(scores: EpisodeScores, metric: str, measured_by: Protocol) -> Result:
    """Returns the mean of the scores with its intervals, as a record."""
    found = estimate(scores)
    return Result(
        metric=metric,
        value=found.value,
        ci95=found.ci95,
        episodes=found.episodes,
        protocol=measured_by,
        ci95_new=found.ci95_new,
        units=found.units,
    )


def possible_gain(family: TaskFamily, spec: TaskSpec) -> float:
    """Returns how far a perfect learner is from the best constant answer, in units of the metric.

    Measured on queries of `search` where it depends on the targets. Differences are judged as
    shares of it, so that they mean the same whatever the metric.
    """
    judge = objective(spec.objective)
    episodes = episode_list(family, "search", spec, _EPISODES_FOR_TARGETS)
    query = episodes.query
    targets = torch.from_numpy(query.labels)
    if judge.target_kind != "classes":
        targets = episodes.real_targets(query).cpu()
    metric, mask = judge.primary, torch.from_numpy(query.mask)
    gain = abs(metric.scale.perfect - metric.constant(targets, mask, spec.ways))
    return gain if gain > 0 else 1.0  # nothing to gain: any difference is as good as none


def protocol(
    learner: Learner, family: TaskFamily, part: Part, spec: TaskSpec, episodes: Episodes
) -> Protocol:
    """Returns how a result on these episodes is measured."""
    return Protocol(
        part=part,
        ways=spec.ways,
        shots=spec.shots,
        queries=spec.queries,
        norm_policy=learner.norm_policy,
        list_hash=episodes.list_hash,
        data_hash=family.digest,
    )


def _tasks_at_once(episodes: Episodes, feature_width: int) -> int:
    """Returns how many tasks fit; `feature_width` is 0 where inputs are not embedded beforehand."""
    queries = int(episodes.query.mask.shape[1])
    examples = queries + int(episodes.support.mask.shape[1])
    if feature_width:
        numbers = examples * feature_width + queries * max(episodes.num_classes, 1)
    else:
        numbers = examples * math.prod(episodes.store.input_shape) * _ACTIVATIONS_PER_INPUT
    return max(1, min(100, _NUMBERS_AT_ONCE // numbers))


def _embedded_outputs(
    learner: EmbeddingLearner,
    meta_params: MetaParams,
    features_of: Callable[[Store, np.ndarray], Tensor],
    episodes: Episodes,
    input_format: InputFormat,
) -> tuple[Tensor, Tensor]:
    """Returns outputs and targets `[T, N, ...]` of the queries, standardised where targets are."""

    def side(indices: Indices) -> tuple[Tensor, Tensor, Tensor]:
        features = features_of(episodes.store, indices.examples)
        labels = torch.from_numpy(indices.labels).to(features.device)
        if not episodes.num_classes:
            labels = input_format.standardise_targets(episodes.real_targets(indices))
        return features, labels, torch.from_numpy(indices.mask).to(features.device)

    support, support_targets, support_mask = side(episodes.support)
    query, targets, query_mask = side(episodes.query)
    padded = not bool(support_mask.all())
    uneven = learner.uses_query_batch and not bool(query_mask.all())

    def one_task(
        features: Tensor, labels: Tensor, present: Tensor, queries: Tensor, asked: Tensor
    ) -> Tensor:
        examples = Examples(features, labels, present, episodes.num_classes, padded)
        score = partial(learner.score, meta_params, learner.fit_head(meta_params, examples))
        return outputs_present(score, queries, asked) if uneven else score(queries)

    over_tasks = vmap_over_tasks if learner.vmappable and not uneven else loop_over_tasks
    outputs = over_tasks(one_task, support, support_targets, support_mask, query, query_mask)
    return outputs, targets


def _general_outputs(
    learner: Learner, meta_params: MetaParams, episodes: Episodes, input_format: InputFormat
) -> tuple[Tensor, Tensor]:
    batch = episodes.gather(input_format)
    support, query = batch.support, batch.query

    uneven = learner.uses_query_batch and query.padded

    def one_task(
        inputs: Inputs, targets: Tensor, mask: Tensor, queries: Inputs, present: Tensor
    ) -> Tensor:
        examples = Examples(inputs, targets, mask, support.num_classes, support.padded)
        state = learner.adapt(meta_params, examples)
        if uneven:
            return outputs_present(partial(learner.predict, meta_params, state), queries, present)
        return learner.predict(meta_params, state, queries)

    # Convolutions with weights of their own per task are slow under vmap on a CPU.
    images = len(episodes.store.input_shape) > 1
    one_by_one = images or uneven or not vmaps(learner)
    over_tasks = loop_over_tasks if one_by_one else vmap_over_tasks
    with on_one_thread() if isinstance(learner, BlackBoxLearner) else nullcontext():
        outputs = over_tasks(
            one_task, support.inputs, support.targets, support.mask, query.inputs, query.mask
        )
    return outputs, query.targets
