"""What a chooser is worth on a scenario: cross-validated by the scenario's own folds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from metaloop.selecting.instances.forests import TREES, learned
from metaloop.selection.per_instance import Gap, Scenario, gap_closed, single_best


@dataclass(frozen=True)
class Judged:
    """The gap closed over all folds, the scores of each instance, and what was chosen.

    `single` names the algorithm that is best alone on all instances; `gave_up` counts folds in
    which that was chosen always, because out of bag nothing was better; `presolvers` counts folds.
    """

    scenario: str
    gap: Gap
    single: str
    chosen: dict[str, int]
    presolvers: dict[str, int]
    gave_up: int
    scores: np.ndarray


def judged(scenario: Scenario, seed: int = 0, trees: int = TREES) -> Judged:
    """Returns what choosing by features is worth, on instances that were not learned from.

    The single best algorithm is that of the training folds, as the chooser would have had it.
    """
    count = len(scenario.instances)
    single, chosen = np.zeros(count), np.zeros(count)
    picks: Counter[str] = Counter()
    presolvers: Counter[str] = Counter()
    gave_up = 0
    for fold in np.unique(scenario.folds):
        held = scenario.folds == fold
        chooser = learned(scenario.part(~held), seed, trees)
        there = scenario.part(held)
        single[held] = there.scores[:, chooser.single]
        chosen[held] = chooser.scores_on(there)
        picks.update(scenario.algorithms[place] for place in chooser.choose(there.features))
        gave_up += chooser.forest is None
        if chooser.forest is not None and chooser.presolver is not None:
            before = chooser.presolver
            presolvers[f"{scenario.algorithms[before.algorithm]}, {before.seconds:g} s"] += 1
    return Judged(
        scenario.name,
        gap_closed(single, chosen, scenario.scores.min(axis=1)),
        scenario.algorithms[single_best(scenario)],
        dict(picks.most_common()),
        dict(presolvers.most_common()),
        gave_up,
        chosen,
    )
