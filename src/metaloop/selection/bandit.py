"""Credit: which operator to try next, learned from what each has brought per CPU-second.

An arm is an operator as text; a use of it is rewarded with the paired difference between child and
parent on the same episodes, divided by the CPU-seconds of the child.

    rates ~ N(0, s^2), correlated by 0.3      if one operator hurts here, others may, too
    reward_i ~ N(rate, e_i^2 + s^2 / 2)       e_i its standard error; and parents differ
    weight_i = forgetting ^ (credits since)   what helped early may hurt late

so the posterior is normal, and `choose` draws all rates from it and takes the largest (Thompson
sampling). The operator "do nothing" has rate 0 for sure: if no draw is above it, none is chosen, so
that an operator that hurts is never forced. s is estimated from all rewards. Nothing is drawn
anywhere else: with the same credits and generators a resumed run chooses the same.
Thompson 1933, Biometrika 25; discounting after Raj & Kalyani 2017, arXiv:1707.09727.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.archive.reading import Reading
from metaloop.core.errors import unknown_name
from metaloop.core.randomness import numpy_stream

_FORGETTING = 0.97  # half the weight after 23 credits: about a run of some minutes
_EARLIER_WEIGHT = 0.5  # of uses in earlier runs, that may have been on other data
_CORRELATION = 0.3  # of rates, before anything is known
_BETWEEN_PARENTS = 0.5  # variance of one operator's rate over parents, in s^2
_LEAST_SPREAD = 0.3  # of s, in usual standard errors: without it, noise alone would end the search
_STANDARD_ERRORS_OF_INTERVAL = 1.96
_TABLE_DRAWS = 4000


@dataclass(frozen=True)
class Use:
    """One use of an arm: child minus parent (positive: better), its standard error, what it cost.

    `arm` None: a round in which nothing was chosen; it only makes older uses count less.
    """

    arm: str | None
    difference: float
    standard_error: float
    cpu_seconds: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.difference) or not self.standard_error >= 0:
            raise ValueError(
                f"a use has a finite difference and a standard error of 0 or more, got "
                f"{self.difference} +/- {self.standard_error}"
            )
        if not 0 < self.cpu_seconds < math.inf:
            raise ValueError(f"a use costs a positive number of seconds, got {self.cpu_seconds}")

    @property
    def reward(self) -> float:
        """Difference per CPU-second."""
        return self.difference / self.cpu_seconds

    @property
    def reward_error(self) -> float:
        """Standard error of the reward."""
        return self.standard_error / self.cpu_seconds


@dataclass(frozen=True)
class ArmRow:
    """What is known of an arm: for the report.

    `rate` is the posterior mean, per CPU-second, in `low` to `high` with 95 %; `mean_difference`
    the plain mean over its `uses` in this run (not a number without any); `chance` how likely it
    is to be chosen next.
    """

    arm: str
    uses: int
    earlier_uses: int
    cpu_seconds: float
    mean_difference: float
    rate: float
    low: float
    high: float
    chance: float


class Bandit:
    """Chooses among arms by their posterior gain per CPU-second; starts from `earlier` uses.

    Uses of arms it does not have still tell how large rewards are.
    """

    def __init__(
        self, arms: Sequence[str], earlier: Sequence[Use] = (), *, forgetting: float = _FORGETTING
    ) -> None:
        if not arms or len(set(arms)) < len(arms):
            raise ValueError(f"a bandit needs arms, each once; got {list(arms)}")
        if not 0 < forgetting <= 1:
            raise ValueError(f"forgetting is a factor above 0, at most 1; got {forgetting}")
        self.arms = tuple(arms)
        self.earlier = tuple(use for use in earlier if use.arm is not None)
        self.forgetting = forgetting
        self.uses: list[Use] = []

    def choose(self, rng: np.random.Generator, among: Collection[str] | None = None) -> str | None:
        """Returns the arm to use next, of those in `among` (default: all), or None: use none."""
        mean, factor = self._posterior()
        drawn = mean + factor @ rng.normal(size=len(self.arms))
        if among is not None:
            drawn[[arm not in among for arm in self.arms]] = -np.inf
        best = int(np.argmax(drawn))
        return self.arms[best] if drawn[best] > 0 else None

    def credit(
        self, arm: str | None, difference: float, standard_error: float, cpu_seconds: float
    ) -> None:
        """Notes a use of an arm; None notes a round without one, which costs nothing.

        Raises `UnknownNameError` for an arm it does not have, `ValueError` for a difference that
        is not finite: a child that failed has no difference.
        """
        if arm is not None and arm not in self.arms:
            raise unknown_name("arm", arm, self.arms)
        self.uses.append(Use(arm, difference, standard_error, cpu_seconds))

    def passed(self) -> None:
        """Notes a round in which no arm was used, so that older uses count less."""
        self.credit(None, 0.0, 0.0, 1.0)

    def table(self) -> tuple[ArmRow, ...]:
        """Returns a row per arm, the best rate first."""
        mean, factor = self._posterior()
        deviation = np.linalg.norm(factor, axis=1)
        rng = numpy_stream(0, "credit table")
        drawn = mean + rng.normal(size=(_TABLE_DRAWS, len(self.arms))) @ factor.T
        best = np.where(drawn.max(1) > 0, drawn.argmax(1), -1)
        rows = [
            self._row(arm, float(mean[k]), float(deviation[k]), float((best == k).mean()))
            for k, arm in enumerate(self.arms)
        ]
        return tuple(sorted(rows, key=lambda row: -row.rate))

    def _row(self, arm: str, mean: float, deviation: float, chance: float) -> ArmRow:
        own = [use for use in self.uses if use.arm == arm]
        differences = [use.difference for use in own]
        half = _STANDARD_ERRORS_OF_INTERVAL * deviation
        return ArmRow(
            arm=arm,
            uses=len(own),
            earlier_uses=sum(use.arm == arm for use in self.earlier),
            cpu_seconds=math.fsum(use.cpu_seconds for use in own),
            mean_difference=float(np.mean(differences)) if own else math.nan,
            rate=mean,
            low=mean - half,
            high=mean + half,
            chance=chance,
        )

    def _posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of the rates `[arms]`, and a factor of their covariance `[arms, arms]`."""
        rounds = len(self.uses)
        weighted = [(use, _EARLIER_WEIGHT * self.forgetting**rounds) for use in self.earlier]
        weighted += [
            (use, self.forgetting ** (rounds - 1 - index)) for index, use in enumerate(self.uses)
        ]
        spread = _spread([use for use, _ in weighted if use.arm is not None])
        place = {arm: index for index, arm in enumerate(self.arms)}
        precision, total = np.zeros(len(self.arms)), np.zeros(len(self.arms))  # in units of s
        for use, weight in weighted:
            if use.arm in place:
                share = weight / ((use.reward_error / spread) ** 2 + _BETWEEN_PARENTS)
                precision[place[use.arm]] += share
                total[place[use.arm]] += share * use.reward / spread
        prior = np.full((len(self.arms),) * 2, _CORRELATION)
        np.fill_diagonal(prior, 1.0)
        covariance = np.linalg.inv(np.linalg.inv(prior) + np.diag(precision))
        return spread * (covariance @ total), spread * np.linalg.cholesky(covariance)


def uses_in(archive: Reading, arm_of: Callable[[str], str | None]) -> list[Use]:
    """Returns the uses of arms that an archive's verdicts tell of, oldest first: a warm start.

    A verdict counts where one side is a parent of the other. `arm_of` turns the operator that made
    the child into an arm, or None. The child is charged all its trials.
    """
    with archive.snapshot():
        candidates = {stored.identity: stored for stored in archive.candidates()}
        trials, verdicts = archive.trials(), archive.verdicts()
    cpu_seconds: dict[str, float] = defaultdict(float)
    for stored in trials:
        cpu_seconds[stored.trial.candidate] += stored.trial.cpu_seconds
    uses = []
    for verdict in (stored.verdict for stored in verdicts):
        winner, loser = candidates.get(verdict.winner), candidates.get(verdict.loser)
        if winner is None or loser is None:
            continue
        if loser.identity in winner.parents:
            child, difference = winner, verdict.difference
        elif winner.identity in loser.parents:
            child, difference = loser, -verdict.difference
        else:
            continue
        arm, cost = arm_of(child.operator), cpu_seconds[child.identity]
        error = (verdict.difference - verdict.low) / _STANDARD_ERRORS_OF_INTERVAL
        if arm is not None and cost > 0 and math.isfinite(difference) and error >= 0:
            uses.append(Use(arm, difference, error, cost))
    return uses


def _spread(uses: Sequence[Use]) -> float:
    """Returns s: how far rates are from 0, beyond what their errors explain; 1 without any use."""
    uses = [use for use in uses if math.isfinite(use.reward_error)]
    if not uses:
        return 1.0
    rewards = np.array([use.reward for use in uses])
    errors = np.array([use.reward_error for use in uses])
    usual = float(np.median(errors))
    least = max(_LEAST_SPREAD * usual, 1e-12)
    weights = 1 / (errors**2 + max(usual, least) ** 2)
    beyond = float((weights * (rewards**2 - errors**2)).sum() / weights.sum())
    return max(least, math.sqrt(max(0.0, beyond)))
