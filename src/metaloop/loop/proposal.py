"""What the loop may do, and what a worker is to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metaloop.core.records import Candidate

NodeKind = Literal["baselines", "train", "invent", "join"]


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
    """What a worker should do next: a node that is not there yet.

    The first of `heads` is trained, the others are measured on its net. `operator` says in words
    how it came about from `parent`, `arm` what is tried in the bandit's terms. One that `continues`
    goes on from the parent's weights, for the `rung`th time. `share`: its part of the budget.
    """

    kind: NodeKind
    heads: tuple[Candidate, ...]
    operator: str = CATALOGUE
    arm: str = ""
    parent: int | None = None
    continues: bool = False
    rung: int = 0
    share: float = 0.0
    filtered_by: int | None = None  # node whose net says which generated classes are of use
    further_parents: tuple[str, ...] = ()  # identities of candidates, beside that of `parent`

    @property
    def candidate(self) -> Candidate:
        """The candidate to be trained, or that stands for what is made without training."""
        return self.heads[0]
