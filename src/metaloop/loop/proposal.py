"""What the loop may do, what a worker is to do next, and with which heads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metaloop.catalogue.candidates import trunk_of
from metaloop.core.records import Candidate
from metaloop.loop.population import Node, NodeKind

SLOW_HEADS = ("baselinepp", "rfs")  # fitted by many steps: measured in the race, and when joined
OTHER_HEADS = 2  # measured on a net beside the one that it is trained with


@dataclass(frozen=True)
class Generates:
    """What a loop may generate; all of it unless an experiment leaves something out.

    `algorithms`: programs, nets, plans, joined nets. `data`: operators on the training data.
    `chance`: whole candidates are drawn at random from the same space instead, each trained once:
    the baseline that a search has to beat.
    """

    algorithms: bool = True
    data: bool = True
    chance: bool = False


EVERYTHING = Generates()
CATALOGUE = "catalogue"  # the operator of what the loop begins with


@dataclass(frozen=True)
class Proposal:
    """What a worker should do next: a node that is not there yet."""

    kind: NodeKind
    heads: tuple[Candidate, ...]
    operator: str
    arm: str = ""
    parent: int | None = None
    continues: bool = False
    rung: int = 0
    share: float = 0.0
    filtered_by: int | None = None  # node whose net says which generated classes are of use
    further_parents: tuple[str, ...] = ()  # identities of candidates, beside that of `parent`

    @property
    def recipe(self) -> Candidate:
        """The candidate to be trained."""
        return self.heads[0]


def heads_for(candidate: Candidate, parent: Node) -> tuple[Candidate, ...]:
    """Returns the candidate as it is trained, and with the best other heads that its parent has.

    Measuring a head on wide features takes as long as many steps of training.
    """
    heads = [candidate]
    for head in sorted(parent.heads, key=lambda head: head.merit, reverse=True):
        if head.search is None or head.candidate.learner.name in SLOW_HEADS:
            continue
        other = as_head(head.candidate, candidate)
        known = {head.identity for head in heads}
        if trunk_of(other) == trunk_of(candidate) and other.identity not in known:
            heads.append(other)
    return tuple(heads[: 1 + OTHER_HEADS])


def as_head(head: Candidate, recipe: Candidate) -> Candidate:
    """Returns the recipe with the head of another candidate on its net."""
    return replace(recipe, learner=head.learner, program=head.program)
