"""Which lines are worth going on with where inputs can be seen in several views.

Whether a frozen net helps differs from data to data. Lines that progress from far below progress
quickly, and would take as much of the budget as the best one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metaloop.loop.population import Node, Population

FAR_BEHIND = 0.05  # of what there is to gain, as the mean over shots


def in_hopeful_views(population: Population, tips: Sequence[Node]) -> list[Node]:
    """Returns the tips, the best first, without those whose view is far behind that of the best.

    Views are compared as they were when they had gone on as often as the tip has.
    """
    if not tips:
        return []
    best = tips[0].candidate.view
    return [
        tip
        for tip in tips
        if _reached(population, best, tip) - _reached(population, tip.candidate.view, tip)
        <= FAR_BEHIND * population.gain
    ]


def _reached(population: Population, view: str, tip: Node) -> float:
    """The best figure in that view among those that have gone on as often as the tip."""
    values = (
        node.value
        for node in population.of_kind("train")
        if node.candidate.view == view and node.proposal.rung == tip.proposal.rung
    )
    return max((value for value in values if np.isfinite(value)), default=tip.value)
