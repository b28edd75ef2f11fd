"""Damping: directions in which examples of one class differ most count less once training ends."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.nets import NETS
from metaloop.core.budget import Budget
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.engine.damping import POWER, _damping, damped
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.learners.simpleshot import SimpleShot
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.lean import lean
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

_CLASSES, _EACH, _WIDE = 24, 20, 16
NAME = "buffers.net.2.damping"


def learner(**options: object) -> SimpleShot:
    inputs = InputFormat("vector", (_WIDE,), (0.0,) * _WIDE, (1.0,) * _WIDE)
    build = partial(NETS["mlp"].constructor, width=8, depth=1, residual=True, **options)
    return SimpleShot(FunctionalNet(inputs, build=build))


def fresh(made: SimpleShot, family: ClassFamily) -> MetaParams:
    return made.init(family.spec(5, 1, 5), torch_stream(0, "init"))


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    """Classes that differ in all directions; their examples in the first far more than else."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(_CLASSES), _EACH)
    vectors = rng.normal(0, 2, (_CLASSES, _WIDE))[labels] + rng.normal(0, 0.3, (480, _WIDE))
    vectors[:, 0] += rng.normal(0, 9, len(labels))
    return class_family(read_arrays(vectors, labels))[0]


def test_the_direction_in_which_a_class_varies_is_damped_and_others_are_not(
    family: ClassFamily,
) -> None:
    made = learner(damped=1)
    before = fresh(made, family)
    assert not before[NAME].any()
    after = damped(made, before, family)
    inputs = torch.eye(_WIDE)
    kept = (made.embed(after, inputs) / made.embed(before, inputs)).diagonal()
    assert kept[0] < 0.75 and bool((kept[1:] > 0.97).all())
    assert set(after) == set(before)
    again = damped(made, after, family)  # what is damped already is measured as it was before
    torch.testing.assert_close(again[NAME], after[NAME])


def test_a_lean_net_is_damped_when_training_ends_and_keeps_its_tensors(new_job: Any) -> None:
    job = new_job("simpleshot", side=12)
    options: dict[str, Any] = {"widths": (12, 8, 8)}
    net = FunctionalNet(job.family.input_format, build=partial(lean, **options, damped=64))
    plain = FunctionalNet(job.family.input_format, build=partial(lean, **options))
    job = replace(job, learner=replace(job.learner, net=net))
    last = list(train(*job, Budget(steps=4), job.spec, evaluations=0))[-1]
    assert isinstance(last, Finished) and last.status == "finished"
    (name,) = set(net.init(torch_stream(0, "x"))) - set(plain.init(torch_stream(0, "x")))
    assert last.meta_params[name].shape == (2, 8)  # a quarter of the features at most
    assert last.meta_params[name].any() and not last.state.meta_params[name].any()
    images = torch.rand(6, *job.family.input_format.shape)
    damped_features = net(last.meta_params, images)[0]
    features = plain({n: t for n, t in last.meta_params.items() if n != name}, images)[0]
    damping = last.meta_params[name]
    torch.testing.assert_close(damped_features, features - features @ damping.T @ damping)
    assert lean((1, 12, 12), (12, 8, 8), pooling="flatten", damped=64)(images).shape[1] % 8 == 0


def test_how_much_is_a_power_of_the_variance() -> None:
    rng = torch_stream(0, "test")
    deviations = torch.tensor([16.0, 4.0] + [1.0] * 62)
    features = torch.randn(4000, 64, generator=rng) * deviations
    damping = _damping(features, torch.arange(4000) % 40, 2)
    kept = 1 - damping.square().sum(0)
    raised = 0.1 * deviations.square().mean()
    expected = ((deviations.square() + raised) / (1 + raised)) ** -POWER
    torch.testing.assert_close(kept[:2], expected[:2], atol=0.02, rtol=0)
    assert (kept[2:] > 0.98).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_examples_and_values_that_are_not_finite_damp_nothing(count: int) -> None:
    features = torch.randn(count, 8, generator=torch_stream(0, "test"))
    assert not _damping(features, torch.arange(count), 2).any()
    spoiled = torch.full((6, 8), torch.nan)
    assert not _damping(spoiled, torch.arange(6) % 2, 2).any()


def test_nets_without_it_are_left_as_they_are(family: ClassFamily) -> None:
    made = learner()
    before = fresh(made, family)
    assert damped(made, before, family) is before
    assert not any(name.endswith("damping") for name in fresh(learner(damped=0), family))
    assert fresh(learner(damped=9), family)[NAME].shape == (_WIDE // 4, _WIDE)
