"""Losses and metrics: by hand, masked, for one task and for stacks."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from torch.nn import functional

from metaloop.core.errors import UnknownNameError
from metaloop.core.objective import (
    CLASSIFICATION,
    OBJECTIVES,
    REGRESSION,
    objective,
    probabilities,
)

RNG = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 6, 4, generator=RNG)
LABELS = torch.randint(0, 4, (3, 6), generator=RNG)
MASK = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] * 2 + [False] * 4])


def test_masked_queries_do_not_count_in_the_cross_entropy() -> None:
    expected = functional.cross_entropy(LOGITS[MASK], LABELS[MASK])
    torch.testing.assert_close(CLASSIFICATION.loss(LOGITS, LABELS, MASK), expected)
    alone = CLASSIFICATION.loss(LOGITS[1], LABELS[1], MASK[1])
    torch.testing.assert_close(alone, functional.cross_entropy(LOGITS[1, :4], LABELS[1, :4]))


def test_masked_queries_do_not_count_in_the_accuracy() -> None:
    right = LOGITS.argmax(-1) == LABELS
    expected = torch.stack([right[t][MASK[t]].double().mean() for t in range(3)])
    torch.testing.assert_close(CLASSIFICATION.primary.score(LOGITS, LABELS, MASK), expected)


def test_the_accuracy_of_a_class_is_that_of_its_own_queries() -> None:
    found = CLASSIFICATION.primary.unit_scores(LOGITS, LABELS, MASK, 4)
    right = LOGITS.argmax(-1) == LABELS
    for task in range(3):
        for label in range(4):
            own = right[task][MASK[task] & (LABELS[task] == label)].double()
            assert torch.equal(found[task, label].isnan(), torch.tensor(not len(own)))
            if len(own):
                torch.testing.assert_close(found[task, label], own.mean())


def test_the_squared_error_of_a_task_is_that_of_its_one_unit() -> None:
    outputs, targets = LOGITS[..., :2], LOGITS[..., 2:]
    found = REGRESSION.primary.unit_scores(outputs, targets, MASK, 1)
    torch.testing.assert_close(found[:, 0], REGRESSION.primary.score(outputs, targets, MASK))


def test_impossible_classes_of_masked_queries_do_no_harm() -> None:
    logits = LOGITS.clone().requires_grad_()
    masked = logits.masked_fill(torch.tensor([False, False, False, True]), -torch.inf)
    labels = torch.where(MASK, LABELS.clamp(max=2), 3)
    loss = CLASSIFICATION.loss(masked, labels, MASK)
    (slope,) = torch.autograd.grad(loss, logits)
    assert bool(loss.isfinite()) and bool(slope.isfinite().all())


def test_squared_errors_are_means_over_real_examples() -> None:
    outputs, targets = LOGITS[..., :2], LOGITS[..., 2:]
    errors = (outputs - targets) ** 2
    torch.testing.assert_close(REGRESSION.loss(outputs, targets, MASK), errors[MASK].mean())
    scores = REGRESSION.primary.score(outputs, targets, MASK)
    expected = torch.stack([errors[t][MASK[t]].double().mean() for t in range(3)])
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-6)


def test_shapes_that_differ_are_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"outputs \(3, 6, 1\)"):
        REGRESSION.loss(torch.zeros(3, 6, 1), torch.zeros(3, 6), MASK)


def test_probabilities_sum_to_one() -> None:
    torch.testing.assert_close(probabilities(LOGITS).sum(-1), torch.ones(3, 6))


def test_objectives_are_found_by_name() -> None:
    assert objective("regression") is REGRESSION
    with pytest.raises(UnknownNameError, match="did you mean 'classification'"):
        objective("clasification")


def test_what_can_be_gained_is_between_a_constant_answer_and_a_perfect_one() -> None:
    accuracy = CLASSIFICATION.primary
    assert (accuracy.scale.perfect, accuracy.constant(LABELS, MASK, 4)) == (1.0, 0.25)
    targets = LOGITS[..., 2:]
    mean = targets[MASK].mean(0).expand_as(targets)
    expected = REGRESSION.loss(mean, targets, MASK)
    assert REGRESSION.primary.constant(targets, MASK, 0) == pytest.approx(float(expected), rel=1e-5)
    assert REGRESSION.primary.scale.perfect == 0.0


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_learners_that_hold_an_objective_can_be_sent_to_another_process(name: str) -> None:
    known = OBJECTIVES[name]
    assert ForkingPickler.loads(bytes(ForkingPickler.dumps(known))) == known
