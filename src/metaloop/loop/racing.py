"""Step 1 and the first half of step 2: who has a short first segment, and who then goes on.

Every contender has one, in the order of the portfolio, but for those in a view that is out: once
its first ones are far behind another view's, the rest would be too. Where no other net can be a
companion of the best, the best contenders then begin again on all data, with every kind of
generated class at once: what a net has learned by heart it does not forget when there are more
classes later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.catalogue.nets import companions
from metaloop.core.objective import objective
from metaloop.core.records import Candidate
from metaloop.loop.arms import ALL_DATA
from metaloop.loop.changes import Changes
from metaloop.loop.heads import heads_for
from metaloop.loop.population import Node
from metaloop.loop.proposal import CATALOGUE, Proposal

RACE_SHARE = 0.05  # of the budget, for the first segment of all contenders together
LATE = 4.0  # times as long, where objectives are told late: a likelihood falls for minutes (LOG.md)
SURVIVORS = 2  # of the race, where no net of another kind could be a line's companion
NUM_ON_ALL_DATA = 4  # contenders that begin again
TOLD_BY = 2  # contenders in a view: what it is worth is known by then
REACH = 0.0625  # of what can be gained, behind the best line (5 points at 5 ways): further is out
# After seconds nets that began from nothing are far behind features that others have trained, and
# they learn faster: the best one has a continuation in which to come near. A guess, not measured.
FRESH_REACH = 4 * REACH


@dataclass(frozen=True)
class Race:
    """The contenders, each with its heads; `origins`: by identity, where some of them are from.

    `joins`: whether nets may be joined, so that where the best can have another net for a companion
    it alone goes on. `on_all_data`: whether the best of those that can have none begin again with
    all kinds of generated classes.
    """

    contenders: Sequence[tuple[Candidate, ...]]
    changes: Changes
    origins: Mapping[str, str]
    joins: bool
    on_all_data: bool

    def next(self, known: list[Node]) -> Proposal | None:
        """Returns the next first segment; None when there is nobody left."""
        return self._next_contender(known) or self._next_on_all_data(known)

    def _next_contender(self, known: list[Node]) -> Proposal | None:
        begun = {node.candidate.identity for node in known if node.parent is None}
        by_view = Counter(heads[0].view for heads in self.contenders)
        out = self._views_out(by_view)
        for heads in self.contenders:
            if heads[0].identity not in begun and heads[0].view not in out:
                operator = self.origins.get(heads[0].identity, CATALOGUE)
                late = objective(self.changes.spec.objective).told_late
                share = RACE_SHARE * (LATE if late else 1.0)
                share /= max(by_view.values())  # as long as without the other views
                return Proposal("train", heads, operator, share=share)
        return None

    def _views_out(self, views: Iterable[str]) -> set[str]:
        """Returns the views whose best contender is out of reach of another's, and stays there.

        Gradient learners on tf-idf took half of a minute's race beside an encoder that was fifteen
        points ahead (LOG.md). Nets that see for themselves come near later, and are waited for.
        """
        measured: dict[str, list[float]] = {view: [] for view in views}
        for node in self.changes.population.of_kind("train"):
            if node.parent is None and np.isfinite(_promise(node)):
                measured.setdefault(node.candidate.view, []).append(_promise(node))
        first = max((max(values) for values in measured.values() if values), default=-np.inf)
        reach = REACH * self.changes.population.gain
        return {
            view
            for view, values in measured.items()
            if len(values) >= TOLD_BY
            and max(values) < first - reach
            and not companions(self.changes.formats[view])
        }

    def _next_on_all_data(self, known: list[Node]) -> Proposal | None:
        begun = [node.parent for node in known if node.proposal.arm == ALL_DATA]
        if not self.on_all_data or len(begun) >= NUM_ON_ALL_DATA:
            return None
        contenders = [
            node
            for node in self.changes.population.of_kind("train")
            if node.parent is None
            and node.best is not None
            and node.number not in begun
            and not self.changes.has_companions(node.candidate)
            and self.changes.applies(ALL_DATA, node.candidate)  # an archive's may have them
        ]
        if not contenders:
            return None
        parent = max(contenders, key=_promise)
        variation = self.changes.with_data(ALL_DATA, parent.candidate)
        return Proposal(
            "train",
            heads_for(variation.candidate, parent),
            variation.operator,
            arm=ALL_DATA,
            parent=parent.number,
            share=parent.proposal.share,
            filtered_by=parent.number,
        )

    def survivors(self, tips: list[Node]) -> list[Node]:
        """Returns the tips of lines worth going on with: of the best contenders, and bred ones.

        There is one at least, and of another view the best, if it is near; one whose nets learn to
        see for themselves has a continuation to come near in. One that has fallen back
        stays there: a new line from the best one is worth more. A line that was not continued yet
        is compared with those of its age only.
        """
        nodes = self.changes.population.nodes
        reach = REACH * self.changes.population.gain
        best = max((tip.value for tip in tips), default=-np.inf)
        contenders = [tip for tip in tips if nodes[tip.line].parent is None]
        contenders.sort(key=lambda tip: _promise(nodes[tip.line]), reverse=True)
        first = _promise(nodes[contenders[0].line]) if contenders else -np.inf
        ahead = {tip.line for tip in self._ahead(contenders)}

        def is_near(tip: Node) -> bool:
            is_continued = tip.proposal.rung > 0
            if nodes[tip.line].parent is not None:
                return not is_continued or tip.value >= best - reach
            if tip.line not in ahead:
                return False
            if is_continued:
                return tip.value >= best - reach
            is_fresh = tip.candidate.view != contenders[0].candidate.view
            is_fresh = is_fresh and self.changes.has_companions(tip.candidate)
            within = FRESH_REACH * self.changes.population.gain if is_fresh else reach
            return _promise(tip) >= first - within

        return [tip for tip in tips if is_near(tip)] or tips[:1]

    def second(self, first: Node) -> Node | None:
        """Returns the best contender of the same view that was trained in another way.

        None where it is not near, half of what lines are given. Who is ahead on photographs after
        20 seconds may be behind after four minutes (LOG.md).
        """
        view, method = first.candidate.view, first.candidate.learner.name
        others = [
            node
            for node in self.changes.population.of_kind("train")
            if node.parent is None
            and node.candidate.view == view
            and node.candidate.learner.name != method
        ]
        other = max(others, key=_promise, default=None)
        nodes = self.changes.population.nodes
        begun = nodes.get(first.line)
        least = REACH / 2 * self.changes.population.gain
        if other is None or begun is None or _promise(other) < _promise(begun) - least:
            return None
        return other

    def _ahead(self, contenders: list[Node]) -> list[Node]:
        """Returns the first of these, best first, and the first of every other view."""
        if not contenders:
            return []
        view = contenders[0].candidate.view
        same = [tip for tip in contenders if tip.candidate.view == view]
        alone = self.joins and self.changes.has_companions(contenders[0].candidate)
        others: dict[str, Node] = {}
        for tip in contenders:
            others.setdefault(tip.candidate.view, tip)
        others.pop(view)
        return [*same[: 1 if alone else SURVIVORS], *others.values()]


def _promise(first: Node) -> float:
    """Returns what a contender's first segment promises: its figure on the task asked for alone.

    With several shots nets that hardly differ from fresh ones do well, too (LOG.md).
    """
    if first.best is None or first.best.search is None:
        return -np.inf
    return first.best.search.asked_value
