"""The population: every state that a run has trained or put together, and who it came from.

A *node* is what one job made: a trained net with the heads measured on it, nets joined, invented
programs, or the plain baselines. Nodes that go on from each other's weights form a *line*; its
*tip* is the node that it goes on from, its *peak* the best. The population is a fold over what
jobs brought back, so that an archive can bring it back as well.

What is said here to be surely better or worse is so *on the classes of `search`*: these decisions
steer the search and claim nothing. A line that is dropped for what it does on the very classes it
was compared on costs a segment at most, and with few classes an interval for new ones would never
drop any. What is claimed of new classes is for the judge to say (`judging.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from metaloop.archive import TrialId
from metaloop.core.records import Candidate, TrialStatus
from metaloop.core.statistics import Estimate
from metaloop.jobs.measured import Measured, difference
from metaloop.loop.proposal import NodeKind, Proposal


@dataclass
class Head:
    """One candidate as it was measured in one node.

    `cpu_seconds` is all that its training has cost so far, and `cost` the same in the unit of
    `Node.cost`; heads on one net are each charged it.
    """

    candidate: Candidate
    status: TrialStatus
    trial: TrialId | None = None
    search: Measured | None = None
    promotion: Measured | None = None
    cpu_seconds: float = 0.0
    cost: float = 0.0
    steps: int = 0
    message: str = ""
    generated: bool = False  # its program was invented, in this run or an earlier one

    @property
    def value(self) -> float:
        """The figure on `search`, of which more is better; minus infinity if there is none."""
        return -np.inf if self.search is None else self.search.value

    @property
    def merit(self) -> tuple[float, float]:
        """What heads are ordered by: their figure, and where that is equal, what it cost."""
        return self.value, -self.cost


@dataclass
class Node:
    """What one job makes: what was proposed, and what came of it.

    `line` is the node that its line began with, and `trained` the sum of shares of the budget along
    it. `heads` share the net of the candidate that was trained. `cost` is what the job took
    (CPU-seconds, or counted operations under a budget in steps).
    """

    number: int
    proposal: Proposal
    line: int = 0
    trained: float = 0.0
    heads: list[Head] = field(default_factory=list)
    cost: float = 0.0
    members: tuple[int, ...] = ()  # of joined nets: the nodes they come from
    measuring_seconds: float = 0.0  # wall seconds of its job beside training
    _settled: tuple[Head | None] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def kind(self) -> NodeKind:
        """What kind of job makes it."""
        return self.proposal.kind

    @property
    def candidate(self) -> Candidate:
        """The candidate that is trained here, or that stands for what is made without training."""
        return self.proposal.candidate

    @property
    def parent(self) -> int | None:
        """The node that it came from."""
        return self.proposal.parent

    @property
    def continues(self) -> bool:
        """Whether it goes on from the parent's weights."""
        return self.proposal.continues

    @property
    def best(self) -> Head | None:
        """The head with the best figure; None where nothing could be measured."""
        if self._settled is not None:
            return self._settled[0]
        measured = [head for head in self.heads if head.search is not None]
        return max(measured, key=lambda head: head.merit, default=None)

    def settle(self) -> None:
        """Keeps which head is the best: its job has ended, and it is asked for very often."""
        self._settled = None
        self._settled = (self.best,)

    @property
    def value(self) -> float:
        """The best head's figure, of which more is better."""
        return self.best.value if self.best else -np.inf


class Population:
    """All nodes of a run, and for each line the node that it goes on from.

    `gain`: how far a perfect learner is from a constant answer, in units of the metric. Whoever
    asks whether a difference is large asks for its share of that.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self.nodes: dict[int, Node] = {}
        self.pending: dict[int, Node] = {}
        self.current: dict[int, int] = {}  # line -> node that it stands at
        self.stalls: dict[int, int] = {}  # line -> continuations in a row that brought nothing
        self.by_share: dict[float, tuple[int, int]] = {}  # continuations, those surely worse
        # Kept, for with hundreds of lines they are asked for hundreds of times before one changes:
        self._progress: dict[int, Estimate | None] = {}  # of nodes that have ended
        self._tips: tuple[dict[int, int], list[Node]] = ({}, [])  # of these lines
        self._best: tuple[int, tuple[Node, Head] | None] = (0, None)  # of so many nodes

    def begin(self, node: Node) -> None:
        """Notes that a job for this node is under way."""
        self.pending[node.number] = node

    def end(self, node: Node) -> Estimate | None:
        """Takes a node in; returns its paired progress over the parent, if there is one to tell.

        A line moves on to a continuation unless that is surely worse than where it stands; one that
        brought nothing is counted. What was best is kept in any case: nodes do not go away.
        """
        self.pending.pop(node.number, None)
        node.settle()
        before = self._best[0] == len(self.nodes)
        self.nodes[node.number] = node
        if before:
            self._best = (len(self.nodes), _better(self._best[1], node))
        progress = self.progress(node)
        if node.kind != "train":
            return progress
        if node.continues and progress is not None:
            ended, worse = self.by_share.get(node.proposal.share, (0, 0))
            surely = progress.high < 0
            self.by_share[node.proposal.share] = (ended + 1, worse + surely)
        if not node.continues:
            if node.best is not None:
                self.current[node.line] = node.number
                self.stalls[node.line] = 0
        else:
            standing = self.nodes.get(self.current.get(node.line, -1))
            change = _change(node.best, standing.best if standing else None)
            if change is not None and change.high > 0:
                self.current[node.line] = node.number
            paid = change is not None and change.value > 0
            self.stalls[node.line] = 0 if paid else self.stalls.get(node.line, 0) + 1
        return progress

    def progress(self, node: Node) -> Estimate | None:
        """Returns how much better a node is than its parent, paired on the episodes of both."""
        if node.parent is None or node.parent not in self.nodes:
            return None
        if node.number not in self._progress:
            found = _change(node.best, self.nodes[node.parent].best)
            if node.number not in self.nodes:
                return found
            self._progress[node.number] = found
        return self._progress[node.number]

    def is_harmed_by(self, share: float) -> bool:
        """Whether most continuations of this share of the budget made their lines surely worse."""
        ended, worse = self.by_share.get(share, (0, 0))
        return 2 * worse > ended

    @property
    def known(self) -> list[Node]:
        """All nodes: those that have ended, then those that something is done for."""
        return [*self.nodes.values(), *self.pending.values()]

    @property
    def tips(self) -> list[Node]:
        """The node where each line stands, best first."""
        if self._tips[0] != self.current:
            tips = (self.nodes[number] for number in self.current.values())
            self._tips = (dict(self.current), sorted(tips, key=_merit, reverse=True))
        return list(self._tips[1])

    @property
    def peaks(self) -> list[Node]:
        """The best node of each line, best first."""
        best: dict[int, Node] = {}
        for node in self.of_kind("train"):
            if node.best is not None and (
                node.line not in best or _merit(node) > _merit(best[node.line])
            ):
                best[node.line] = node
        return sorted(best.values(), key=_merit, reverse=True)

    def of_kind(self, kind: NodeKind) -> Iterator[Node]:
        """Yields the finished nodes of that kind in the order of their numbers."""
        for number in sorted(self.nodes):
            if self.nodes[number].kind == kind:
                yield self.nodes[number]

    def heads(self) -> Iterator[tuple[Node, Head]]:
        """Yields every head that was measured or failed, with its node."""
        for number in sorted(self.nodes):
            for head in self.nodes[number].heads:
                yield self.nodes[number], head

    @property
    def inventions(self) -> list[Head]:
        """The programs that were invented and measured, best first."""
        found = [head for node in self.of_kind("invent") for head in node.heads if head.generated]
        measured = [head for head in found if head.search is not None]
        return sorted(measured, key=lambda head: head.merit, reverse=True)

    @property
    def best(self) -> tuple[Node, Head] | None:
        """The best head so far by its figure on `search`; None where there is none."""
        if self._best[0] != len(self.nodes):
            found: tuple[Node, Head] | None = None
            for number in sorted(self.nodes):
                found = _better(found, self.nodes[number])
            self._best = (len(self.nodes), found)
        return self._best[1]


def net_node(node: Node, head: Head) -> int | None:
    """Returns the number of the node that holds the net which a head is on.

    None for plain baselines, and for programs invented on what these see.
    """
    if node.kind == "baselines":
        return None
    if node.kind == "invent":
        return None if head.candidate.plan.style == "none" else node.parent
    return node.number


def _change(new: Head | None, old: Head | None) -> Estimate | None:
    return None if new is None or old is None else difference(new.search, old.search)


def _better(best: tuple[Node, Head] | None, node: Node) -> tuple[Node, Head] | None:
    """Returns the better of the best so far and a node's best head; of equal ones the first."""
    head = node.best
    if head is None:
        return best
    if best is None or (head.merit, -node.number) > (best[1].merit, -best[0].number):
        return node, head
    return best


def _merit(node: Node) -> tuple[float, float]:
    return node.best.merit if node.best else (-np.inf, 0.0)
