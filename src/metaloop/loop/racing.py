"""Step 1 and the first half of step 2: who has a short first segment, and who then goes on.

Every contender has one, in the order of the portfolio. Where no other net can be a companion of the
best, the best contenders then begin again on all data, with every kind of generated class at once:
what a net has learned by heart it does not forget when there are more classes later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.core.records import Candidate
from metaloop.loop.arms import ALL_DATA
from metaloop.loop.changes import Changes
from metaloop.loop.population import Node
from metaloop.loop.proposal import CATALOGUE, Proposal, heads_for

RACE_SHARE = 0.05  # of the budget, for the first segment of all contenders together
SURVIVORS = 2  # of the race, where no net of another kind could be a line's companion
NUM_ON_ALL_DATA = 4  # contenders that begin again
REACH = 0.0625  # of what can be gained, behind the best line (5 points at 5 ways): further is out


@dataclass(frozen=True)
class Race:
    """The contenders, each with its heads; `origins`: by identity, where some of them are from.

    `has_companions`: whether the best can have another net for a companion, so that it alone goes
    on. `on_all_data`: whether the best begin again with all kinds of generated classes.
    """

    contenders: Sequence[tuple[Candidate, ...]]
    changes: Changes
    origins: Mapping[str, str]
    has_companions: bool
    on_all_data: bool

    def next(self, known: list[Node]) -> Proposal | None:
        """Returns the next first segment; None when there is nobody left."""
        return self._next_contender(known) or self._next_on_all_data(known)

    def _next_contender(self, known: list[Node]) -> Proposal | None:
        begun = {node.recipe.identity for node in known if node.parent is None}
        for heads in self.contenders:
            if heads[0].identity not in begun:
                operator = self.origins.get(heads[0].identity, CATALOGUE)
                share = RACE_SHARE / len(self.contenders)
                return Proposal("train", heads, operator, share=share)
        return None

    def _next_on_all_data(self, known: list[Node]) -> Proposal | None:
        begun = [node.parent for node in known if node.arm == ALL_DATA]
        if not self.on_all_data or len(begun) >= NUM_ON_ALL_DATA:
            return None
        contenders = [
            node
            for node in self.changes.population.of_kind("train")
            if node.parent is None
            and node.best is not None
            and node.number not in begun
            and self.changes.applies(ALL_DATA, node.recipe)  # an archive's may have them
        ]
        if not contenders:
            return None
        parent = max(contenders, key=_promise)
        variation = self.changes.with_data(ALL_DATA, parent.recipe)
        return Proposal(
            "train",
            heads_for(variation.candidate, parent),
            variation.operator,
            arm=ALL_DATA,
            parent=parent.number,
            share=parent.share,
            filtered_by=parent.number,
        )

    def survivors(self, alive: list[Node]) -> list[Node]:
        """Returns the lines worth going on with: the best contenders, and bred ones; one at least.

        One that has fallen back stays there: a new line from the best one is worth more. A line
        that was not continued yet is compared with those of its age only.
        """
        nodes = self.changes.population.nodes
        reach = REACH * self.changes.population.gain
        best = max((line.value for line in alive), default=-np.inf)
        contenders = [line for line in alive if nodes[line.line].parent is None]
        contenders.sort(key=lambda line: _promise(nodes[line.line]), reverse=True)
        first = _promise(nodes[contenders[0].line]) if contenders else -np.inf
        ahead = {line.line for line in contenders[: 1 if self.has_companions else SURVIVORS]}

        def is_near(line: Node) -> bool:
            if nodes[line.line].parent is not None:
                return not line.rung or line.value >= best - reach
            if line.line not in ahead:
                return False
            return line.value >= best - reach if line.rung else _promise(line) >= first - reach

        return [line for line in alive if is_near(line)] or alive[:1]


def _promise(first: Node) -> float:
    """Returns what a contender's first segment promises: its figure on the task asked for alone.

    With several shots nets that hardly differ from fresh ones do well, too (LOG.md).
    """
    if first.best is None or first.best.search is None:
        return -np.inf
    return first.best.search.asked_value
