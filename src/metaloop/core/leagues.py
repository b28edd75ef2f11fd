"""Leagues: what was learned from the user's data alone, and what saw inputs through a backbone.

Figures of the two are not to be compared without saying so: a backbone brings what it was trained
on, which may have been the very classes that a run holds back. No torch here: whoever reads an
archive can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from metaloop.core.strict_json import json_values

WITHOUT = "none"  # the league of what has no backbone
AND = " + "  # between backbones, and between views that are beside each other
UNKNOWN = "unknown"
_IN_TEX = str.maketrans(
    {each: f"\\{each}" for each in "#$%&_"}
    | {"{": "(", "}": ")", "\\": "/", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


@dataclass(frozen=True)
class EncoderCard:
    """What is known of an encoder.

    `name` is how `--backbone` names it (`lite0`, `timm:resnet18`, `onnx:net.onnx`), `takes` the
    kind of raw inputs: `images`, `texts` or `recordings`. `size`: the side in pixels of the images
    that it sees, 0 where there is none. `weights` are 16 hexadecimal digits of the SHA-256 of its
    weights, in whatever file they lie. `knows` says what it was trained on, as far as is known
    (`ImageNet-1k`): classes of that are not new to it. `licence` is an SPDX name, or "unknown".
    """

    name: str
    takes: str
    features: int
    weights: str
    size: int = 0
    version: str = ""
    licence: str = UNKNOWN
    knows: str = UNKNOWN
    citation: str = field(default="", repr=False)


@dataclass(frozen=True)
class Backbone:
    """An encoder that a family may be seen through, and what candidates call that view.

    `view` is "" where the family is seen through it by default.
    """

    view: str
    card: EncoderCard


def league_of(views: Iterable[str], backbones: Sequence[Backbone]) -> str:
    """Returns the league of what sees inputs in these views: `none`, `lite0`, `lite0 + dino`."""
    return AND.join(dict.fromkeys(card.name for card in cards_in(views, backbones))) or WITHOUT


def cards_in(views: Iterable[str], backbones: Sequence[Backbone]) -> tuple[EncoderCard, ...]:
    """Returns the encoders that inputs are seen through in these views, each once."""
    wanted = set(views)
    return tuple(dict.fromkeys(each.card for each in backbones if each.view in wanted))


def league_words(league: str) -> str:
    """Returns a league as tables have it: `without`, `with lite0`."""
    return "without" if league == WITHOUT else f"with {league}"


def described_card(card: EncoderCard) -> str:
    """Returns an encoder in words: `lite0 at 96 pixels (1280 features, trained on ImageNet-1k)`."""
    size = f" at {card.size} pixels" if card.size else ""
    knows = "what is unknown" if card.knows == UNKNOWN else card.knows
    return f"{card.name}{size} ({card.features} features, trained on {knows})"


def backbones_sentence(cards: Sequence[EncoderCard]) -> str:
    """Returns what a reader of figures has to know of backbones: which, and what they have seen."""
    if not cards:
        return "This is in the league without pretraining: all was learned from these data."
    known = list(dict.fromkeys(card.knows for card in cards if card.knows != UNKNOWN))
    said = [f"classes of {' and '.join(known)} are not new to it"] if known else []
    if len(known) < len({card.knows for card in cards}):
        said.append("which classes it has seen is not known" if not known else "others may not be")
    through = " and ".join(described_card(card) for card in cards)
    return (
        f"This is in the league with a backbone: inputs are seen through {through}; "
        f"{', '.join(said)}."
    )


def card_bibtex(card: EncoderCard) -> str:
    """Returns an entry of BibTeX that names an encoder itself: version, licence, weights.

    A paper about its method, if there is one, is in `card.citation`.
    """
    key = f"{card.name.rpartition('/')[2]}-{card.weights}"
    version = card.version or UNKNOWN
    note = (
        f"frozen weights, SHA-256 {card.weights}; licence: {card.licence}; trained on: {card.knows}"
    )
    return (
        f"@misc{{{re.sub('[^A-Za-z0-9]+', '-', key).strip('-')},\n"
        f"  title = {{{card.name.translate(_IN_TEX)}}},\n"
        f"  version = {{{version.translate(_IN_TEX)}}},\n"
        f"  note = {{{note.translate(_IN_TEX)}}},\n}}"
    )


def card_json(card: EncoderCard) -> dict[str, Any]:
    """Returns a card as `--json` prints it: all but the citation, which `metaloop cite` prints."""
    values: dict[str, Any] = json_values(vars(card))
    del values["citation"]
    return values


def card_from_json(values: Mapping[str, Any]) -> EncoderCard:
    """Returns the card that was printed so; what else is said of it there is left out."""
    known = {each.name for each in fields(EncoderCard)}
    return EncoderCard(**{name: value for name, value in values.items() if name in known})


def backbones_json(backbones: Sequence[Backbone]) -> list[dict[str, Any]]:
    """Returns the cards of those that a run was offered, each with what candidates call it."""
    return [{"view": each.view, **card_json(each.card)} for each in backbones]
