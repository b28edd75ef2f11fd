"""Laws of every learner: order of classes and of examples, padding, classes without support."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.examples import Examples
from metaloop.core.inner_loop import GradientLearner
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.programs.gradient import EvolvedGradient

CLOSE = {"atol": 2e-4, "rtol": 1e-4}


def _black_box(case: Any) -> bool:
    return isinstance(case.learner, BlackBoxLearner)


def _chosen(support: Examples, index: Tensor) -> Examples:
    return replace(
        support,
        inputs=support.inputs[index],  # type: ignore[index]
        targets=support.targets[index],
        mask=support.mask[index],
    )


def _skip_if_random(case: Any) -> None:
    if case.name == "extra_trees":
        pytest.skip("its trees are random: their seed follows from the support as it is given")


def test_permuting_classes_permutes_predictions(image_case: Any) -> None:
    _skip_if_random(image_case)
    support, inputs, _ = image_case.task(spread=1.0)
    order = torch.tensor([2, 0, 4, 1, 3])  # class k becomes order[k]
    renamed = replace(support, targets=order[support.targets])
    torch.testing.assert_close(
        image_case.predict(renamed, inputs)[:, order],
        image_case.predict(support, inputs),
        **(CLOSE if not _black_box(image_case) else {"atol": 2e-2, "rtol": 1e-2}),
    )


def test_permuting_support_examples_changes_nothing(image_case: Any) -> None:
    _skip_if_random(image_case)
    support, inputs, _ = image_case.task(spread=1.0)
    shuffled = _chosen(support, torch.randperm(len(support.targets), generator=_rng()))
    torch.testing.assert_close(
        image_case.predict(shuffled, inputs), image_case.predict(support, inputs), **CLOSE
    )


@pytest.mark.parametrize("count", [1, 20])
def test_padding_the_support_changes_nothing(image_case: Any, count: int) -> None:
    support, inputs, _ = image_case.task(spread=1.0)
    assert isinstance(support.inputs, Tensor)
    garbage = torch.randn(count, *support.inputs.shape[1:], generator=_rng()) * 50
    padded = Examples(
        torch.cat([garbage, support.inputs]),
        torch.cat([torch.ones(count, dtype=torch.int64), support.targets]),
        torch.cat([torch.zeros(count, dtype=torch.bool), support.mask]),
        support.num_classes,
        padded=True,
    )
    torch.testing.assert_close(
        image_case.predict(padded, inputs), image_case.predict(support, inputs), **CLOSE
    )


def test_a_class_without_support_has_probability_zero(case: Any) -> None:
    if isinstance(case.learner, (GradientLearner, EvolvedGradient)):
        pytest.skip("its head has a row for every class, moved by the other classes' examples")
    support, inputs, _ = case.task()
    without = _chosen(support, (support.targets != 2).nonzero().flatten())
    outputs = case.predict(without, inputs)
    assert (outputs[:, 2] == -torch.inf).all()
    assert outputs[:, [0, 1, 3, 4]].isfinite().all()
    probabilities = torch.softmax(outputs, -1)
    assert (probabilities[:, 2] == 0).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(len(inputs)))


def test_vmap_over_tasks_equals_a_loop(case: Any) -> None:
    if not case.learner.vmappable:
        assert _black_box(case)
        return
    tasks = [case.task(seed, spread=1.0) for seed in range(3)]
    stacked = [
        torch.stack([support.inputs for support, _, _ in tasks]),
        torch.stack([support.targets for support, _, _ in tasks]),
        torch.stack([support.mask for support, _, _ in tasks]),
        torch.stack([inputs for _, inputs, _ in tasks]),
    ]

    def one_task(inputs: Tensor, targets: Tensor, mask: Tensor, queries: Tensor) -> Tensor:
        return case.predict(Examples(inputs, targets, mask, 5), queries)

    torch.testing.assert_close(
        vmap_over_tasks(one_task, *stacked), loop_over_tasks(one_task, *stacked), **CLOSE
    )


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(7)
