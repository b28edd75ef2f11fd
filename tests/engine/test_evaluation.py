"""Evaluation: cached features equal direct prediction; results carry their protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.core.errors import DivergenceError
from metaloop.core.examples import Examples
from metaloop.core.randomness import torch_stream
from metaloop.core.statistics import estimate, mean_with_interval
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.engine.beginning import initial_state
from metaloop.engine.evaluation import FeatureCache, evaluate, score_episodes
from metaloop.tasks.family import episode_list
from metaloop.tasks.sinusoid import SinusoidFamily


def _direct(job: Any, meta_params: Any, number: int) -> list[float]:
    """Scores by `adapt` and `predict`, one task after the other."""
    batch = episode_list(job.family, "test", job.spec, number).gather(job.family.input_format)
    scores = []
    for t in range(number):
        side = batch.support
        support = Examples(side.inputs[t], side.targets[t], side.mask[t], 5)  # type: ignore[index]
        with torch.no_grad():
            state = job.learner.adapt(meta_params, support)
            real = batch.query.mask[t]
            outputs = job.learner.predict(meta_params, state, batch.query.inputs[t][real])  # type: ignore[index]
        right = outputs.argmax(-1) == batch.query.targets[t][real]
        scores.append(float(right.double().mean()))
    return scores


LEARNERS = ["protonet", "simpleshot", "soft_means", "rfs", "ridge", "baselinepp", "maml"]


@pytest.mark.parametrize("side", [0, 16])
@pytest.mark.parametrize("name", LEARNERS)
def test_scores_equal_those_of_adapt_and_predict(new_job: Any, name: str, side: int) -> None:
    job = new_job(name, side=side)
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    result, scores = evaluate(job.learner, meta_params, job.family, "test", job.spec, 12)
    assert scores.values.dtype == np.float64
    assert scores.values.tolist() == pytest.approx(_direct(job, meta_params, 12))
    assert (result.metric, result.episodes) == ("accuracy", 12)
    plain = mean_with_interval(scores.values)
    assert (result.value, result.ci95) == (plain.value, plain.ci95)


@pytest.mark.parametrize("name", ["protonet", "soft_means"])
def test_uneven_queries_count_each_real_query_once(
    new_job: Any, new_family: Any, name: str
) -> None:
    job = new_job(name)
    job = replace(job, family=new_family(size=4), spec=replace(job.spec, shots=2, queries=6))
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    _, scores = evaluate(job.learner, meta_params, job.family, "test", job.spec, 9)
    assert scores.values.tolist() == pytest.approx(_direct(job, meta_params, 9))
    assert np.allclose(
        scores.values * 10, np.round(scores.values * 10)
    )  # 5 classes with 2 queries left


def test_every_class_of_an_episode_has_the_accuracy_of_its_own_queries(
    new_job: Any, new_family: Any
) -> None:
    job = new_job("protonet")
    job = replace(job, family=new_family(size=4), spec=replace(job.spec, shots=2, queries=6))
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    result, scores = evaluate(job.learner, meta_params, job.family, "test", job.spec, 9)
    episodes = episode_list(job.family, "test", job.spec, 9)
    targets = job.family.store.targets.numpy()
    for task in range(9):  # the classes of an episode are those of its queries, by name
        real = episodes.query.mask[task]
        assert set(scores.units[task]) == set(targets[episodes.query.examples[task][real]])
    assert scores.unit_values.mean(1) == pytest.approx(scores.values)  # all have 2 queries left
    assert result.units == len(np.unique(scores.units)) <= len(job.family.parts["test"])
    assert result.ci95_new == estimate(scores).ci95_new is not None


def test_a_function_of_a_family_of_functions_is_a_unit_of_its_own() -> None:
    family = SinusoidFamily()
    spec = family.spec(0, 5, 5)
    episodes = episode_list(family, "search", spec, 230)
    units = episodes.units
    assert units.shape == (230, 1) and len(np.unique(units)) == 230
    assert np.array_equal(episodes[120:].units, units[120:])
    assert np.array_equal(episode_list(family, "search", spec, 130).units, units[:130])


def _by_query_batch(new_job: Any, new_family: Any) -> Any:
    """A job whose classes have 2 queries where 6 are asked for, by the query batch's statistics."""
    job = new_job("maml", side=16)
    learner = replace(job.learner, norm="query batch")
    spec = replace(job.spec, shots=2, queries=6)
    return replace(job, learner=learner, family=new_family(side=16, size=4), spec=spec)


def test_padding_has_no_say_in_what_a_query_batch_is_normalised_by(
    new_job: Any, new_family: Any
) -> None:
    job = _by_query_batch(new_job, new_family)
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    episodes = episode_list(job.family, "test", job.spec, 5)
    real = episodes.query.mask
    assert real.sum() == 5 * 5 * 2
    for task in range(5):
        batch = episodes[task : task + 1].gather(job.family.input_format)
        side = batch.support
        support = Examples(side.features[0], side.targets[0], side.mask[0], 5)
        there = torch.from_numpy(real[task])
        with torch.no_grad():
            state = job.learner.adapt(meta_params, support)
            alone = job.learner.predict(meta_params, state, batch.query.features[0][there])
        right = (alone.argmax(-1) == batch.query.targets[0][there]).double().mean()
        (score,) = score_episodes(
            job.learner, meta_params, episodes[task : task + 1], job.family.input_format
        ).values
        assert score == pytest.approx(float(right))


@pytest.mark.parametrize("over_tasks", [loop_over_tasks, vmap_over_tasks])
def test_padding_has_no_say_in_the_loss_by_a_query_batch(
    new_job: Any, new_family: Any, over_tasks: Any
) -> None:
    job = _by_query_batch(new_job, new_family)
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    batch = episode_list(job.family, "train", job.spec, 2).gather(job.family.input_format)
    noise = torch.rand(batch.query.features.shape, generator=torch_stream(0, "noise"))
    padding = ~batch.query.mask[..., None, None, None]
    query = batch.query.with_inputs(torch.where(padding, noise, batch.query.features))
    losses = [
        float(job.learner.meta_loss(meta_params, replace(batch, query=side), None, over_tasks).loss)
        for side in (batch.query, query)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_result_carries_its_protocol(new_job: Any) -> None:
    job = new_job("protonet", side=16)
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    result, _ = evaluate(job.learner, meta_params, job.family, "promotion", job.spec, 5)
    protocol = result.protocol
    assert (protocol.part, protocol.ways, protocol.shots, protocol.queries) == (
        "promotion",
        5,
        1,
        3,
    )
    assert protocol.norm_policy == "running"
    assert protocol.data_hash == job.family.digest
    assert protocol.list_hash == episode_list(job.family, "promotion", job.spec, 5).list_hash


def test_every_example_is_embedded_once(new_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = new_job("protonet")
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    rows = []
    embed = type(job.learner).embed
    monkeypatch.setattr(
        type(job.learner), "embed", lambda s, m, x: (rows.append(len(x)), embed(s, m, x))[1]
    )
    cache = FeatureCache(job.learner, meta_params)
    for _ in range(2):
        evaluate(job.learner, meta_params, job.family, "test", job.spec, 150, cache)
    classes = len(job.family.parts["test"])
    assert sum(rows) <= classes * 12


def test_predictions_that_are_not_numbers_are_a_divergence(new_job: Any) -> None:
    for name in ("protonet", "maml"):
        job = new_job(name)
        meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
        meta_params["net.1.weight"] *= torch.nan
        episodes = episode_list(job.family, "test", job.spec, 3)
        with pytest.raises(DivergenceError, match="not numbers"):
            score_episodes(job.learner, meta_params, episodes, job.family.input_format)
