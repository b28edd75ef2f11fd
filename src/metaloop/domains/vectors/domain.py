"""Vectors as a domain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from metaloop.core.domain import Domain
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.nets.costing import MOST_FEATURES

# Vectors of many features are good features mostly (text, embeddings): nets that start at them
# were far better at 196 and 300 features, no better at 13 and 16 (LOG.md).
_MANY_FEATURES = 64
_FOR_MANY_FEATURES: Mapping[str, Any] = {
    "width": 512, "depth": 1, "dropout": 0.5, "residual": True, "unit_inputs": True,
}  # fmt: skip
# What a large net has learned is soon unlearned: small steps, a classifier that begins at class
# means and is not to be certain. On features of photographs: 67.0 of the frozen net became 70.0
# with 100 classes to learn from and 67.0 with 20; at four times the rate 66.7 and 60.4. What counts
# is rate times steps: 5e-4 is best for 400 steps and harms in 2,000, where 1e-4 is best (LOG.md).
_FOR_ENCODED: Mapping[str, Any] = {
    "width": 256, "depth": 1, "dropout": 0.5, "residual": True, "unit_inputs": True,
    "damped": 64,  # +0.5 with five examples of each class, nothing lost with one (LOG.md)
}  # fmt: skip
_FOR_FEW_FEATURES: Mapping[str, Any] = {"width": 256, "depth": 2}
_FOR_REAL_TARGETS: Mapping[str, Any] = {"width": 40, "depth": 2}  # MAML paper, section 5.1


def usual_net(input_format: InputFormat, target_kind: str, quick: bool) -> Choice:
    """Returns a perceptron, one that starts at its inputs where there are many features."""
    if target_kind == "real":
        return Choice("mlp", dict(_FOR_REAL_TARGETS))
    if input_format.encoder:
        return Choice("mlp", dict(_FOR_ENCODED))
    many = math.prod(input_format.shape) >= _MANY_FEATURES
    return Choice("mlp", dict(_FOR_MANY_FEATURES if many else _FOR_FEW_FEATURES))


def companions(input_format: InputFormat) -> tuple[Choice, ...]:
    """Returns nothing: of vectors there is one kind of net only."""
    return ()


def beginning(net: Choice, input_format: InputFormat) -> Choice:
    """Returns the net itself: there is nothing to shrink."""
    return net


def nets(input_format: InputFormat, known: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the perceptron."""
    return ("mlp",)


def augmentation(input_format: InputFormat) -> Choice:
    """Returns none: jitter helps some vectors and harms others."""
    return Choice("none")


def without_meaning(input_format: InputFormat) -> frozenset[str]:
    """Returns no option."""
    return frozenset()


def can_work(input_format: InputFormat, operator: str) -> bool:
    """Returns True: operators on vectors take any."""
    return True


def plan_for(input_format: InputFormat, style: str) -> Mapping[str, Any]:
    """Returns what differs in plans for features of a frozen encoder."""
    if not input_format.encoder:
        return {}
    gentle: dict[str, Any] = {"learning_rate": 3e-4}
    if style != "episodes":
        gentle |= {"label_smoothing": 0.1, "classifier": "means"}
    return gentle


VECTORS = Domain(
    name="vector",
    axes=1,
    most_numbers=MOST_FEATURES,
    usual_net=usual_net,
    companions=companions,
    beginning=beginning,
    nets=nets,
    plan={"optimiser": "adamw", "learning_rate": 2e-3},  # Muon is slow and overfits (LOG.md)
    plan_for=plan_for,
    augmentation=augmentation,
    augmentations=("none", "jitter"),
    without_meaning=without_meaning,
    can_work=can_work,
    forms=("unit", "standardised"),
)
