"""Items that users rate, as a domain: a row of numbers for each, of known scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloop.core.domain import Domain
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice

_MOST_NUMBERS = 2048  # of an item
# Columns of a table have scales that mean something (domains/ratings/items.py): they stay as they
# are, and a net begins as nothing beside them.
_NET: Mapping[str, Any] = {
    "width": 64, "depth": 1, "activation": "silu", "residual": True, "view": "raw",
}  # fmt: skip


def _usual_net(input_format: InputFormat, target_kind: str, quick: bool) -> Choice:
    return Choice("mlp", dict(_NET))


ITEMS = Domain(
    name="item",
    axes=1,
    most_numbers=_MOST_NUMBERS,
    usual_net=_usual_net,
    companions=lambda input_format: (),
    beginning=lambda net, input_format: net,
    nets=lambda input_format, known: ("mlp",),
    plan={"optimiser": "adamw", "learning_rate": 2e-3},
    augmentation=lambda input_format: Choice("none"),
    augmentations=("none",),
    without_meaning=lambda input_format: frozenset(),
    can_work=lambda input_format, operator: False,
    forms=("standardised", "raw"),
)
