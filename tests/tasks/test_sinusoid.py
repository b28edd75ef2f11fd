"""The sinusoid family: the numbers of the MAML paper, parts that are different tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS
from metaloop.tasks.family import episode_list
from metaloop.tasks.sinusoid import SinusoidFamily

FAMILY = SinusoidFamily()
SPEC = FAMILY.spec(5, 10, 40)


def test_the_spec_is_of_a_regression() -> None:
    assert (SPEC.ways, SPEC.objective, SPEC.target_shape) == (0, "regression", (1,))


def test_points_lie_on_sinusoids_of_the_papers_range() -> None:
    batch = FAMILY.sample("train", SPEC, 300, np.random.default_rng(0)).gather(FAMILY.input_format)
    x = torch.cat([batch.support.inputs, batch.query.inputs], 1).squeeze(-1)  # type: ignore[list-item]
    y = torch.cat([batch.support.targets, batch.query.targets], 1).squeeze(-1)
    assert 4.9 < float(x.abs().max()) <= 5
    amplitudes = []
    for xs, ys in zip(x.double(), y.double(), strict=True):
        basis = torch.stack(
            [xs.sin(), xs.cos()], -1
        )  # a sin(x - p) = a cos p sin x - a sin p cos x
        a, b = torch.linalg.lstsq(basis, ys[:, None]).solution.flatten().tolist()
        torch.testing.assert_close(basis @ torch.tensor([a, b]).double(), ys, atol=1e-4, rtol=1e-4)
        amplitudes.append(np.hypot(a, b))
        assert 0 <= np.arctan2(-b, a) + 1e-3 <= np.pi + 2e-3
    assert 0.1 <= min(amplitudes) < 0.3
    assert 4.8 < max(amplitudes) <= 5.0001


def test_support_and_query_are_different_points() -> None:
    episodes = FAMILY.sample("train", SPEC, 4, np.random.default_rng(0))
    assert not set(episodes.support.examples.flat) & set(episodes.query.examples.flat)
    assert episodes.num_classes == 0


def test_parts_are_different_tasks_even_from_one_seed() -> None:
    drawn = {
        part: FAMILY.sample(part, SPEC, 2, numpy_stream(0, "same")).store.inputs for part in PARTS
    }
    for one in PARTS:
        again = FAMILY.sample(one, SPEC, 2, numpy_stream(0, "same")).store.inputs
        assert torch.equal(drawn[one], again)
        assert all(not torch.equal(drawn[one], drawn[other]) for other in PARTS if other != one)


def test_frozen_lists_span_several_blocks() -> None:
    short, long = (episode_list(FAMILY, "test", SPEC, number) for number in (100, 230))
    first, whole = short.gather(FAMILY.input_format), long.gather(FAMILY.input_format)
    assert whole.num_tasks == 230
    assert torch.equal(whole.query.targets[:100], first.query.targets)
    assert torch.equal(whole.support.inputs[:100], first.support.inputs)  # type: ignore[index]
    assert not torch.equal(whole.query.targets[100:200], first.query.targets)
    assert long.list_hash == episode_list(FAMILY, "test", SPEC, 230).list_hash


def test_inputs_are_standardised_by_their_distribution() -> None:
    episodes = FAMILY.sample("train", SPEC, 400, np.random.default_rng(0))
    normalised = FAMILY.input_format.normalise(episodes.store.inputs)
    assert float(normalised.mean()) == pytest.approx(0, abs=0.03)
    assert float(normalised.std()) == pytest.approx(1, abs=0.03)
