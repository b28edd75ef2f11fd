"""Series of several channels, `[channels, length]`: a domain to be added by a test."""

from __future__ import annotations

from metaloop.core.domain import Domain
from metaloop.core.records import Choice

SERIES = Domain(
    name="series",
    axes=2,
    most_numbers=1 << 16,
    usual_net=lambda input_format, target_kind, quick: Choice("thin"),
    companions=lambda input_format: (),
    beginning=lambda net, input_format: net,
    nets=lambda input_format, known: ("mlp",),
    plan={"optimiser": "adamw"},
    augmentation=lambda input_format: Choice("none"),
    augmentations=("none",),
    without_meaning=lambda input_format: frozenset(),
    can_work=lambda input_format, operator: False,
)
