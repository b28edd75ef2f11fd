"""What the units of a figure are called, and why there is no interval for new ones; no torch."""

from __future__ import annotations

from metaloop.core.records import Result
from metaloop.core.scales import BITS_PER_DIM, ROUGE_1


def why_not_new(result: Result) -> str | None:
    """Returns why there is no interval for new units of the family; None where there is one."""
    if result.ci95_new is not None:
        return None
    one, several = units_of(result)
    if is_of_documents(result) and result.units <= 1:
        return (
            "nothing is known of new domains: to tell of those takes 8 domains of 8 documents or "
            "more, none of which is in two parts, and no published split"
        )
    if result.units == 1:
        return f"one {one} says nothing of others"
    return f"what it is for new {several} cannot be told from the records"


def units_of(result: Result) -> tuple[str, str]:
    """Returns what a unit of a figure is called, one of them and several."""
    if is_of_documents(result):
        return "domain", "domains"
    of_classes = result.protocol.ways or result.metric == BITS_PER_DIM.name
    return ("class", "classes") if of_classes else ("group", "groups")


def is_of_documents(result: Result) -> bool:
    """Returns whether the first interval of a figure is over documents."""
    return result.metric == ROUGE_1.name
