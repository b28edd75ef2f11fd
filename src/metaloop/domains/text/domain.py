"""Texts as words, as a domain: which net and which changes they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloop.core.domain import Domain
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice

KIND = "tokens"
_USUAL = Choice("text_cnn")


def usual_net(input_format: InputFormat, target_kind: str, quick: bool) -> Choice:
    """Returns the only net for words."""
    return _USUAL


def companions(input_format: InputFormat) -> tuple[Choice, ...]:
    """Returns nothing: of words there is one kind of net only."""
    return ()


def beginning(net: Choice, input_format: InputFormat) -> Choice:
    """Returns the net itself: there is nothing to shrink."""
    return net


def nets(input_format: InputFormat, known: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the only net for words."""
    return (_USUAL.name,)


def plan_for(input_format: InputFormat, style: str) -> Mapping[str, Any]:
    """Returns what differs where classes are told apart: their means are a good beginning."""
    return {} if style == "episodes" else {"classifier": "means"}


TOKENS = Domain(
    name=KIND,
    axes=2,
    most_numbers=1 << 16,
    usual_net=usual_net,
    companions=companions,
    beginning=beginning,
    nets=nets,
    plan={"optimiser": "adamw", "learning_rate": 2e-3},
    plan_for=plan_for,
    augmentation=lambda input_format: Choice("words"),
    augmentations=("none", "words"),
    without_meaning=lambda input_format: frozenset(),
    can_work=lambda input_format, operator: False,  # numbers of words have nothing between them
)
