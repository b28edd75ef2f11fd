"""Views that are far behind are not trained further, however quickly they progress."""

from __future__ import annotations

import numpy as np
import pytest
from tests.loop.test_proposing import measured

from metaloop.core.records import Candidate, Choice, Plan
from metaloop.loop.hopeful import FAR_BEHIND, in_hopeful_views
from metaloop.loop.population import Node, Population
from metaloop.loop.proposal import CATALOGUE, Proposal

GAIN = 0.8


def population(*lines: tuple[str, float, int]) -> Population:
    """Lines that stand so: the view, the figure, and how often they have gone on."""
    made, rng = Population(GAIN), np.random.default_rng(0)
    for number, (view, value, rung) in enumerate(lines):
        candidate = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"), view=view)
        node = Node(number, Proposal("train", (candidate,), CATALOGUE, rung=rung), line=number)
        node.heads = [measured(candidate, value, rng)]
        made.nodes[number] = node
        made.current[number] = number
    return made


def hopeful(*lines: tuple[str, float, int]) -> list[int]:
    made = population(*lines)
    return sorted(node.number for node in in_hopeful_views(made, made.tips))


def test_a_view_far_below_sleeps_and_one_that_is_near_goes_on() -> None:
    far, near = 0.9 - 2 * FAR_BEHIND * GAIN, 0.9 - FAR_BEHIND * GAIN / 2
    assert hopeful(("", 0.9, 0), ("lite0", far, 0), ("", far, 0)) == [0, 2]
    assert hopeful(("", 0.9, 0), ("lite0", near, 0)) == [0, 1]
    assert hopeful(("lite0", 0.9, 0), ("", far, 0), ("", near, 0)) == [0, 1, 2]
    assert in_hopeful_views(Population(GAIN), []) == []


@pytest.mark.parametrize("later", [0.95, 0.8])
def test_views_are_compared_as_they_were_when_they_had_gone_on_as_often(later: float) -> None:
    # the best line has gone on twice; the other one has just begun, where the best began as low
    assert hopeful(("", 0.97, 2), ("", 0.7, 0), ("lite0", 0.72, 0)) == [0, 1, 2]
    # a view that nobody has gone on as often in is not judged yet
    assert hopeful(("", 0.97, 0), ("lite0", later, 1)) == [0, 1]
