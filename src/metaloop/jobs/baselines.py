"""What a worker does with plain baselines: tunes them on `search`, measures the best of each.

Forms of the inputs and strengths of regularisation are tried by successive halving, with the shots
asked for and with five: all of them on few episodes, the best on more, and of every method in every
view the best one is what the loop has to beat. In a budget of seconds the share of it is small
(`SHARE`): where data are so large that it does not do for all, the last guesses are left out, and
at least the first of every method in every view is measured. In a budget of steps all are tried,
and nothing hangs on the clock.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from metaloop.core.records import Candidate
from metaloop.executors.base import Report
from metaloop.jobs.measured import Figures, Found
from metaloop.jobs.scoring import Scorer
from metaloop.jobs.workplace import TrainedNet, Workplace

SHARE = 0.02  # of the budget's CPU-seconds, for tuning; measuring the best of each is beside it
EPISODES = 50  # of each task, to measure the best: they are slow, and not needed exactly
RUNGS = (8, 25)  # episodes of each task
KEPT = 4  # one of so many goes on to the next rung, and the best of every method

Value = Callable[[Candidate, int], float]  # on so many episodes; more is better
Clock = Callable[[], float]


@dataclass(frozen=True)
class BaselinesRequest:
    """All candidates that may be tried, best guesses first; `episodes` to measure the best on.

    `cpu_seconds` for trying them, None for no limit.
    """

    candidates: tuple[Candidate, ...]
    seed: int
    episodes: int
    cpu_seconds: float | None


@dataclass(frozen=True)
class BaselinesResult:
    """The best candidate of each method, best first; nothing is trained."""

    found: tuple[Found, ...]
    steps: int = 0
    flops: float | None = 0.0


def measure_baselines(
    workplace: Workplace, request: BaselinesRequest, report: Report
) -> BaselinesResult:
    """Returns the best candidate of each method with its figures on `search`."""
    assembled = partial(workplace.assemble, net=TrainedNet({}), seed=request.seed)

    def figures(candidate: Candidate, episodes: int) -> Figures:
        with warnings.catch_warnings():  # a solver that does not converge shows in the figures
            warnings.simplefilter("ignore")
            scorer = Scorer(workplace, "search", episodes, candidate.view)
            return scorer.figures(partial(assembled, candidate))

    def value(candidate: Candidate, episodes: int) -> float:
        return figures(candidate, episodes).goodness

    seconds = math.inf if request.cpu_seconds is None else request.cpu_seconds
    best = best_of_each(request.candidates, value, seconds)
    return BaselinesResult(tuple(Found(one, figures(one, request.episodes)) for one in best))


def best_of_each(
    grid: Sequence[Candidate],
    value: Value,
    cpu_seconds: float = math.inf,
    rungs: Sequence[int] = RUNGS,
    clock: Clock = time.process_time,
) -> list[Candidate]:
    """Returns for every method of the grid, in every view, its best candidate, best first.

    `value` is asked for the candidates in the order of the grid; what is as good as an earlier one
    does not take its place. Once the seconds are spent nothing more is tried, but for the first of
    each method.
    """
    start = clock()

    def is_over() -> bool:
        return clock() - start >= cpu_seconds

    known: list[tuple[float, Candidate]] = []
    for candidate in grid:
        if not is_over() or _method(candidate) not in _methods(known):
            known.append((value(candidate, rungs[0]), candidate))
    known = _ordered(known)
    for episodes in rungs[1:]:
        if is_over():
            break
        number, leaders = math.ceil(len(known) / KEPT), _leaders(known)
        again, others = [], []
        for place, (earlier, candidate) in enumerate(known):  # the best first: time may run out
            if (place < number or (earlier, candidate) in leaders) and not is_over():
                again.append((value(candidate, episodes), candidate))
            else:
                others.append((earlier, candidate))
        known = _ordered(again) + others  # values on more episodes go before those on few
    return [candidate for _, candidate in _leaders(known)]


def _method(candidate: Candidate) -> tuple[str, str]:
    return candidate.learner.name, candidate.view


def _methods(known: Sequence[tuple[float, Candidate]]) -> set[tuple[str, str]]:
    return {_method(candidate) for _, candidate in known}


def _ordered(known: list[tuple[float, Candidate]]) -> list[tuple[float, Candidate]]:
    """Returns the best first; of equals the earlier stays before the later."""
    return sorted(known, key=lambda each: -each[0])


def _leaders(known: Sequence[tuple[float, Candidate]]) -> list[tuple[float, Candidate]]:
    """Returns the first of every method."""
    first: dict[tuple[str, str], tuple[float, Candidate]] = {}
    for each in known:
        first.setdefault(_method(each[1]), each)
    return list(first.values())
