"""The backbones that a run was offered: what they are, under which terms, what they know."""

from __future__ import annotations

from metaloop.core.leagues import UNKNOWN, Backbone
from metaloop.report.figures import printable, shortened
from metaloop.report.reading import Records

LEAGUES = (
    "Candidates without a backbone have learned all they know from these data; those with one see "
    "inputs through a net that was trained on more. These are two leagues: figures of one are no "
    "measure of the other."
)
_LONGEST_TEXT = 120


def backbone_facts(backbone: Backbone) -> dict[str, str]:
    """Returns the cells of a line about a backbone, by the names of their columns."""
    card = backbone.card
    facts = {
        "name": card.name,
        "version": card.version or UNKNOWN,
        "licence": card.licence,
        "weights": card.weights,
        "sees": f"{card.takes} of {card.size:,} pixels" if card.size else card.takes,
        "features": f"{card.features:,}",
        "trained on": card.knows,
        "offered as": "further view" if backbone.view else "the view of all",
    }
    return {name: shortened(value, _LONGEST_TEXT) for name, value in facts.items()}


def what_they_know(records: Records) -> list[str]:
    """Returns a sentence for each backbone about which classes it may have seen before."""
    found = dict.fromkeys((each.card.name, each.card.knows) for each in records.backbones)
    return [_knows(printable(name), shortened(knows, _LONGEST_TEXT)) for name, knows in found]


def _knows(name: str, knows: str) -> str:
    if knows == UNKNOWN:
        return (
            f"What {name} was trained on is not known: classes of the test part may be among it, "
            "and its figures may then be better than for classes that nobody has seen."
        )
    return (
        f"{name} was trained on {knows}: classes of {knows} are not new to it, and where those of "
        "the test part are among them, its figures are not for classes that nobody has seen."
    )
