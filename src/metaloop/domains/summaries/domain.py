"""Sentences of documents as a domain: a row of numbers for each of a document's sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloop.core.domain import Domain
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice

_MOST_NUMBERS = 1 << 16  # of a document
_NET: Mapping[str, Any] = {"width": 0}  # linear: a few hundred documents teach no more (LOG.md)


def _usual_net(input_format: InputFormat, target_kind: str, quick: bool) -> Choice:
    return Choice("sentences", dict(_NET))


SENTENCES = Domain(
    name="sentence",
    axes=2,
    most_numbers=_MOST_NUMBERS,
    usual_net=_usual_net,
    companions=lambda input_format: (),
    beginning=lambda net, input_format: net,
    nets=lambda input_format, known: ("sentences",),
    plan={"optimiser": "adamw", "learning_rate": 3e-3},
    augmentation=lambda input_format: Choice("none"),
    augmentations=("none",),
    without_meaning=lambda input_format: frozenset({"view"}),
    can_work=lambda input_format, operator: False,
    forms=("standardised",),
    is_one=lambda shape: len(shape) == 2,
)
