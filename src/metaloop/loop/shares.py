"""How long lines are trained at a time: shares of the budget.

A share of a budget in seconds is one of what `AT_ONCE` workers compute at most: more of them train
more lines, each as long as before. Else a tenth of what 64 workers compute were six budgets long.
"""

from __future__ import annotations

from collections.abc import Collection

from metaloop.loop.population import Node, Population

SEGMENT_SHARE = 0.1  # of the budget: one continuation
SHORTER = 4  # times, where most continuations made lines surely worse
SHORTEST_SHARE = SEGMENT_SHARE / SHORTER**2
LAST_SEGMENT = 2.5  # times a usual one, at most: a line's last continuation takes what is left
LAST_AT = 0.5  # spent share of the budget after which a line may have its last continuation
AT_ONCE = 4  # workers


def at_once(workers: int) -> int:
    """Returns how many workers a share of the budget is one of."""
    return min(workers, AT_ONCE)


def segment_share(population: Population) -> float:
    """Returns the share of a continuation: what is learned by heart soon needs short ones."""
    share = SEGMENT_SHARE
    while share > SHORTEST_SHARE and population.is_harmed_by(share):
        share /= SHORTER
    return share


def last_share(
    population: Population, tip: Node, going_on: Collection[int], spent: float, workers: int | None
) -> float | None:
    """Returns the share of a line's last continuation; None if there will be others.

    The rate falls to zero once instead of twice: a short segment at the end ruins what it began
    with, and has no time to mend it. `going_on`: lines that will be trained further; `workers`:
    who train at the same time, None under a budget in steps.
    """
    if spent < LAST_AT or segment_share(population) < SEGMENT_SHARE:
        return None
    last = {
        node.line
        for node in population.known
        if node.continues and node.proposal.share > SEGMENT_SHARE
    }
    lines: float = len({*going_on} - last | {tip.line})
    if workers is not None:  # others go on at the same time
        lines = at_once(workers) * max(1.0, lines / workers)
    left = (1 - spent) / lines
    return left if SEGMENT_SHARE < left < LAST_SEGMENT * SEGMENT_SHARE else None
