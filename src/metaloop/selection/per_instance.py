"""Which algorithm for which instance: what a choice costs, and how much of the gap it closes.

A scenario is a matrix of what each algorithm needed on each instance. Where there is a time limit,
the score is PAR10: the seconds until solved, or ten times the limit. A chosen algorithm starts
after the features are computed, and maybe after a short run of another one that needs none
(a presolver); both are paid. Gap closed is 0 for the single best algorithm of the training
instances, and 1 for the best on each instance, known by an oracle. Bischl et al., "ASlib: a
benchmark library for algorithm selection", Artificial Intelligence 237, 2016; presolvers: Xu et
al., "SATzilla", JAIR 32, 2008.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaloop.core.randomness import numpy_stream

PENALTY = 10.0  # PAR10
_PRESOLVER_SHARES = (0.001, 0.003, 0.01, 0.03, 0.1)  # of the limit
_DRAWS = 1000


@dataclass(frozen=True)
class Scenario:
    """What algorithms need on instances, and what is known of instances before.

    `costs [instances, algorithms]` are seconds, or for a `limit` of None any cost, less is better;
    `solved [instances, algorithms]` within the limit. `features [instances, features]` with NaN
    where unknown cost `feature_seconds [instances]` together; `presolved [instances]` are those
    that were solved while features were computed. `folds [instances]` are those of the scenario.
    Raises `ValueError` for shapes that do not fit, and costs that are not finite where solved.
    """

    name: str
    instances: tuple[str, ...]
    algorithms: tuple[str, ...]
    costs: np.ndarray
    solved: np.ndarray
    limit: float | None
    features: np.ndarray
    feature_names: tuple[str, ...]
    feature_seconds: np.ndarray
    presolved: np.ndarray
    folds: np.ndarray

    def __post_init__(self) -> None:
        count, width = len(self.instances), len(self.algorithms)
        shapes = (self.costs.shape, self.solved.shape, self.features.shape)
        if shapes != ((count, width), (count, width), (count, len(self.feature_names))):
            raise ValueError(f"{count} instances of {width} algorithms do not fit shapes {shapes}")
        if any(len(each) != count for each in (self.feature_seconds, self.presolved, self.folds)):
            raise ValueError(f"seconds, presolved and folds need {count} values each")
        if not np.isfinite(self.costs[self.solved]).all():
            raise ValueError("costs are finite where an instance was solved")

    @property
    def scores(self) -> np.ndarray:
        """PAR10 `[instances, algorithms]`, or the costs where there is no limit."""
        if self.limit is None:
            return self.costs
        return np.where(self.solved, self.costs, PENALTY * self.limit)

    def part(self, rows: np.ndarray) -> Scenario:
        """Returns the scenario of these instances alone."""
        places = np.arange(len(self.instances))[rows]
        return Scenario(
            self.name,
            tuple(self.instances[place] for place in places),
            self.algorithms,
            self.costs[places],
            self.solved[places],
            self.limit,
            self.features[places],
            self.feature_names,
            self.feature_seconds[places],
            self.presolved[places],
            self.folds[places],
        )


@dataclass(frozen=True)
class Presolver:
    """An algorithm that is run for so many seconds before anything else."""

    algorithm: int
    seconds: float


def single_best(scenario: Scenario) -> int:
    """Returns the algorithm with the least mean score."""
    return int(scenario.scores.mean(axis=0).argmin())


def scores_of_choice(
    scenario: Scenario, chosen: np.ndarray, presolver: Presolver | None = None
) -> np.ndarray:
    """Returns the score `[instances]` of running `chosen [instances]`, with all that is paid for.

    Without a limit nothing is paid: a choice costs what the algorithm costs.
    """
    rows = np.arange(len(scenario.instances))
    if scenario.limit is None:
        return np.asarray(scenario.costs[rows, chosen])
    begun = np.zeros(len(rows))
    early = np.full(len(rows), np.inf)
    if presolver is not None:
        needed = np.where(scenario.solved, scenario.costs, np.inf)[:, presolver.algorithm]
        early = np.where(needed <= presolver.seconds, needed, np.inf)
        begun += presolver.seconds
    begun = begun + scenario.feature_seconds
    run = np.where(scenario.solved[rows, chosen], scenario.costs[rows, chosen], np.inf)
    total = np.minimum(early, np.where(scenario.presolved, begun, begun + run))
    return np.where(total <= scenario.limit, total, PENALTY * scenario.limit)


def best_presolver(scenario: Scenario, chosen: np.ndarray) -> Presolver | None:
    """Returns the presolver that lowers the mean score of these choices most; None if none does.

    To be taken it has to lower it by more than a standard error: of many tried, one always does.
    """
    if scenario.limit is None:
        return None
    without = scores_of_choice(scenario, chosen)
    best, most = None, 0.0
    for algorithm in range(len(scenario.algorithms)):
        for share in _PRESOLVER_SHARES:
            tried = Presolver(algorithm, share * scenario.limit)
            gains = without - scores_of_choice(scenario, chosen, tried)
            error = gains.std() / np.sqrt(len(gains))
            if gains.mean() > max(most, float(error)):
                best, most = tried, float(gains.mean())
    return best


def chosen_by_means(means: np.ndarray, overall: np.ndarray, shrinkage: float = 0.0) -> np.ndarray:
    """Returns for each new instance the algorithm with the least mean score.

    `means [instances, algorithms]` are those of known instances that are like it, shrunk towards
    those of all known ones, `overall [algorithms]`: at 1 the single best is chosen always.
    """
    shrunk = (1 - shrinkage) * means + shrinkage * overall
    return np.asarray(shrunk.argmin(axis=1))


@dataclass(frozen=True)
class Gap:
    """The share of the gap between single best and oracle that is closed, with its 95 % interval.

    `low` and `high` are from 1,000 draws of instances; means are those of all instances.
    """

    closed: float
    low: float
    high: float
    single_best: float
    chosen: float
    oracle: float
    instances: int


def gap_closed(single: np.ndarray, chosen: np.ndarray, oracle: np.ndarray) -> Gap:
    """Returns the gap that scores `[instances]` close; raises `ValueError` if there is no gap."""
    gains, gap = single - chosen, single - oracle
    if not gap.mean() > 0:
        raise ValueError("the single best algorithm is the best on every instance: no gap to close")
    drawn = numpy_stream(0, "gap closed").integers(len(gap), size=(_DRAWS, len(gap)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = gains[drawn].mean(axis=1) / gap[drawn].mean(axis=1)
    low, high = np.nanquantile(ratios, (0.025, 0.975))
    return Gap(
        float(gains.mean() / gap.mean()),
        float(low),
        float(high),
        float(single.mean()),
        float(chosen.mean()),
        float(oracle.mean()),
        len(gap),
    )
