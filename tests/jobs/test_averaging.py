"""Which learners are counted how often in a mean: greedily, as long as it gets better."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from metaloop.jobs.averaging import MOST_COUNTED, select_mean

TRUTH = torch.linspace(-1, 1, 400)


def goodness(outputs: Tensor) -> float:
    return -float((outputs - TRUTH).square().mean().sqrt())


def erring(size: float, seed: int) -> Tensor:
    return TRUTH + size * torch.randn(len(TRUTH), generator=torch.Generator().manual_seed(seed))


def test_learners_that_err_apart_are_counted_by_how_well_they_know() -> None:
    """Of errors of one and two the best mean is by one over their squares: four to one."""
    chosen = select_mean([erring(2.0, 0), erring(1.0, 1)], goodness)
    assert chosen[0] == 1
    counted = Counter(chosen)
    assert 0.1 < counted[0] / len(chosen) < 0.34
    mean = sum(([erring(2.0, 0), erring(1.0, 1)][place] for place in chosen), torch.zeros(()))
    assert goodness(mean / len(chosen)) > goodness(erring(1.0, 1))


def test_who_knows_nothing_of_its_own_is_left_out() -> None:
    best = erring(0.5, 0)
    assert select_mean([best, best + 5.0, best.clone()], goodness) == [0]


def test_opposite_errors_cancel() -> None:
    error = torch.randn(400, generator=torch.Generator().manual_seed(3))
    assert select_mean([TRUTH + error, TRUTH - error], goodness)[:2] in ([0, 1], [1, 0])


def test_outputs_that_are_not_numbers_count_for_nothing() -> None:
    broken = erring(0.1, 0)
    broken[7] = np.nan
    assert select_mean([broken, erring(1.0, 1)], goodness) == [1]
    assert select_mean([broken], goodness) == []


def test_it_ends_however_many_would_help() -> None:
    many = [erring(1.0, seed) for seed in range(40)]
    assert MOST_COUNTED - 2 <= len(select_mean(many, goodness)) <= MOST_COUNTED
    assert len(select_mean(many, goodness, most=3)) == 3
