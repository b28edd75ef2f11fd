"""Metrics beside the primary one: by hand, masked, and as means that have intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from metaloop.core import metrics
from metaloop.core.metric import Metric
from metaloop.core.metrics import BINS
from metaloop.core.objective import CLASSIFICATION, OBJECTIVES, REGRESSION, higher_is_better, metric

RNG = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(40, 6, 4, generator=RNG)
LABELS = torch.randint(0, 4, (40, 6), generator=RNG)
MASK = torch.rand(40, 6, generator=RNG) < 0.7
MASK[:, 0] = True


def whole(one: Metric, outputs: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor) -> float:
    """What a metric is on a whole list."""
    assert one.score is not None and one.unit_scores is not None
    values = one.score(outputs, targets, mask).numpy()
    units = one.unit_scores(outputs, targets, mask, 4).numpy()
    if one.pooled is not None:
        values, units = one.pooled(values, units)
    assert values.shape == (len(outputs),) and units.shape[0] == len(outputs)
    return float(values.mean())


def test_the_log_loss_is_the_mean_surprise_of_real_queries() -> None:
    found = metrics.log_loss(LOGITS, LABELS, MASK)
    for task in range(3):
        real = MASK[task]
        expected = functional.cross_entropy(LOGITS[task][real].double(), LABELS[task][real])
        torch.testing.assert_close(found[task], expected)


def test_a_wrong_certainty_costs_much_and_not_infinitely_much() -> None:
    impossible = torch.tensor([[[0.0, -torch.inf]]])
    found = metrics.log_loss(impossible, torch.tensor([[1]]), torch.tensor([[True]]))
    assert float(found) == pytest.approx(15 * math.log(10))


def test_units_have_the_log_loss_of_their_own_queries() -> None:
    found = metrics.log_loss_of_classes(LOGITS, LABELS, MASK, 4)
    own = MASK[0] & (LABELS[0] == LABELS[0, 0])
    expected = functional.cross_entropy(LOGITS[0][own].double(), LABELS[0][own])
    torch.testing.assert_close(found[0, LABELS[0, 0]], expected)
    absent = sorted(set(range(4)) - set(LABELS[0][MASK[0]].tolist()))
    assert bool(found[0, absent].isnan().all())


def test_calibration_is_the_expected_error_over_all_queries() -> None:
    mask = torch.ones_like(MASK)
    confidence, answers = torch.softmax(LOGITS.double(), -1).max(-1)
    right = (answers == LABELS).double()
    expected = 0.0
    for lowest in range(BINS):
        within = (confidence >= lowest / BINS) & (confidence < (lowest + 1) / BINS)
        if bool(within.any()):
            gap = confidence[within].mean() - right[within].mean()
            expected += float(within.double().mean() * gap.abs())
    assert whole(metrics.CALIBRATION, LOGITS, LABELS, mask) == pytest.approx(expected)


def test_who_is_right_as_often_as_it_is_sure_is_calibrated() -> None:
    logits = torch.log(torch.tensor([0.75, 0.25])).expand(1000, 4, 2)
    labels = torch.tensor([0, 0, 0, 1]).expand(1000, 4)
    mask = torch.ones(1000, 4, dtype=torch.bool)
    assert whole(metrics.CALIBRATION, logits, labels, mask) == pytest.approx(0, abs=1e-6)
    assert whole(metrics.CALIBRATION, 100 * logits, labels, mask) == pytest.approx(0.25)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_what_is_explained_is_the_share_of_variance_within_tasks(scale: float) -> None:
    outputs, targets = scale * LOGITS[..., :2], scale * LOGITS[..., 2:]
    error = whole(metrics.SQUARED_ERROR, outputs, targets, MASK)
    within = [
        float(t[m].double().var(0, correction=0).mean()) for t, m in zip(targets, MASK, strict=True)
    ]
    expected = 1 - error / np.mean(within)
    assert whole(metrics.EXPLAINED, outputs, targets, MASK) == pytest.approx(expected)
    assert whole(metrics.EXPLAINED, targets, targets, MASK) == pytest.approx(1)


def test_what_is_explained_of_targets_that_do_not_vary_is_not_a_number() -> None:
    constant = torch.ones(3, 5, 1)
    mask = torch.ones(3, 5, dtype=torch.bool)
    assert math.isnan(whole(metrics.EXPLAINED, 2 * constant, constant, mask))


def test_absolute_errors_are_means_over_real_examples() -> None:
    outputs, targets = LOGITS[..., :2], LOGITS[..., 2:]
    found = metrics.absolute_error(outputs, targets, MASK)
    expected = (outputs - targets).abs()[1][MASK[1]].double().mean()
    assert float(found[1]) == pytest.approx(float(expected))


@given(st.lists(st.integers(-100, 100), min_size=3, max_size=8, unique=True))
def test_no_constant_answer_has_a_smaller_error_than_the_one_that_gains_are_counted_from(
    values: list[int],
) -> None:
    targets = torch.tensor(values, dtype=torch.float64).view(1, -1, 1)
    mask = torch.ones(1, len(values), dtype=torch.bool)
    for one in (metrics.SQUARED_ERROR, metrics.ABSOLUTE_ERROR):
        best = one.constant(targets, mask, 0)
        for answer in (*values, sum(values) / len(values)):
            guessed = torch.full_like(targets, answer)
            assert whole(one, guessed, targets, mask) >= best - 1e-9
    of_mean = targets.mean().expand_as(targets)
    expected = whole(metrics.EXPLAINED, of_mean, targets, mask)
    assert metrics.EXPLAINED.constant(targets, mask, 0) == pytest.approx(expected, abs=1e-9)


def test_guessing_has_the_metrics_that_gains_are_counted_from() -> None:
    labels = torch.arange(4).repeat(10, 1)
    mask = torch.ones(10, 4, dtype=torch.bool)
    for one in CLASSIFICATION.metrics:
        guessed = whole(one, torch.zeros(10, 4, 4), labels, mask)
        assert guessed == pytest.approx(one.constant(labels, mask, 4), abs=1e-6)


BY_TENSORS = sorted(n for n, one in OBJECTIVES.items() if one.primary.score is not None)


@pytest.mark.parametrize("name", BY_TENSORS)
def test_who_is_always_right_reaches_what_is_perfect(name: str) -> None:
    real = OBJECTIVES[name].target_kind == "real"
    targets = LOGITS[..., :1] if real else LABELS
    if name == "ranking":  # had, or not, and in every task both
        places = MASK.cumsum(-1) % 2
        targets = places.float().unsqueeze(-1)
    outputs = targets if real else 1e4 * functional.one_hot(LABELS, 4).float()
    if OBJECTIVES[name].target_kind == "inputs":  # what came was certain: its logarithm is zero
        outputs = torch.zeros_like(LOGITS[..., :1])
    for one in OBJECTIVES[name].metrics:
        assert whole(one, outputs, targets, MASK) == pytest.approx(one.scale.perfect, abs=1e-9)


def test_scores_of_a_list_do_not_depend_on_the_pieces_it_was_scored_in() -> None:
    for objective, targets in ((CLASSIFICATION, LABELS), (REGRESSION, LOGITS + 1)):
        whole_list = objective.scores(LOGITS, targets, MASK, 4)
        pieces = [
            objective.scores(LOGITS[i:j], targets[i:j], MASK[i:j], 4) for i, j in ((0, 7), (7, 40))
        ]
        for name, (values, units) in whole_list.items():
            assert torch.equal(values, torch.cat([piece[name][0] for piece in pieces]))
            joined = torch.cat([piece[name][1] for piece in pieces])
            torch.testing.assert_close(units, joined, equal_nan=True, atol=0, rtol=0)


def test_every_metric_is_found_by_its_name() -> None:
    every = {id(one): one for known in OBJECTIVES.values() for one in known.metrics}
    names = [one.name for one in every.values()]  # objectives may share a metric
    assert len(set(names)) == len(names)
    assert all(metric(name).name == name for name in names)
    assert higher_is_better("accuracy") and not higher_is_better("log_loss")
