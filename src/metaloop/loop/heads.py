"""Which heads are measured on a net beside the one that it is trained with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from metaloop.catalogue.candidates import trunk_of
from metaloop.catalogue.learners import embeds
from metaloop.core.records import Candidate
from metaloop.loop.population import Node, Population

SLOW_HEADS = ("baselinepp", "rfs")  # fitted by many steps: measured in the race, and when joined
OTHER_HEADS = 2  # measured on a net beside the one that it is trained with


def heads_for(candidate: Candidate, parent: Node) -> tuple[Candidate, ...]:
    """Returns the candidate as it is trained, and with the best other heads that its parent has.

    Measuring a head on wide features takes as long as many steps of training.
    """
    heads = [candidate]
    for head in sorted(parent.heads, key=lambda head: head.merit, reverse=True):
        if head.search is None or is_slow(head.candidate):
            continue
        other = as_head(head.candidate, candidate)
        known = {head.identity for head in heads}
        if trunk_of(other) == trunk_of(candidate) and other.identity not in known:
            heads.append(other)
    return tuple(heads[: 1 + OTHER_HEADS])


def is_slow(head: Candidate) -> bool:
    """Whether it takes long beside training: `rfs` on features of an encoder is worth it.

    There it is half a point ahead of the nearest class mean with five shots (LOG.md), and quick.
    """
    name = head.learner.name
    return name in SLOW_HEADS and not (name == "rfs" and head.net.options.get("damped"))


def as_head(head: Candidate, trained: Candidate) -> Candidate:
    """Returns the trained candidate with the head of another one on its net."""
    return replace(trained, learner=head.learner, program=head.program)


def heads_to_join(population: Population, most: int) -> tuple[Candidate, ...]:
    """Returns what to try on joined nets: each method of the catalogue that the run has measured.

    And the best that were invented, up to `most`: what was made for one net may be worth nothing on
    several, and which plain head is the best there, a single net does not say (LOG.md).
    """
    trained = [*population.of_kind("train"), *population.of_kind("invent")]
    plain = [head for head in _methods(trained, generated=False) if embeds(head.learner.name)]
    return (*plain, *_methods(trained, generated=True)[:most])


def _methods(nodes: Iterable[Node], generated: bool) -> list[Candidate]:
    """Returns the heads that were measured there, the best first and of each method one."""
    measured = [
        head
        for node in nodes
        for head in node.heads
        if head.search is not None and head.generated == generated
    ]
    chosen: dict[tuple[str, str | None], Candidate] = {}
    for head in sorted(measured, key=lambda head: head.merit, reverse=True):
        chosen.setdefault(_method(head.candidate), head.candidate)
    return list(chosen.values())


def _method(head: Candidate) -> tuple[str, str | None]:
    """What tells heads apart, whatever view they have: the joined net has its own."""
    return head.learner.name, head.program
