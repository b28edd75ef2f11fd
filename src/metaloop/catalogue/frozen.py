"""Pipelines for one data set whose inputs are seen through a frozen encoder: features, then a head.

A pipeline is a `Candidate`: learner `frozen` with the head and what was tuned of it, the view named
as the encoder is. `copies` 2: the mean feature of an image and of its mirror image. `second`: the
mean of that and of what the same net makes of images with so many pixels a side. The net is
`raw`, there is no plan, for nothing is trained but the head (`engine/heads.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.nets import RAW
from metaloop.catalogue.offered import AUTO, NO_CLOCK, affordable, named
from metaloop.catalogue.views import ENCODER, encoder_of
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError, ModelFileError, unknown_name
from metaloop.core.fitted_view import FittedView
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.engine.heads import BIAS, CENTER, TUNED, WEIGHT

FROZEN = "frozen"
_COPIES, _HEAD, _SECOND = "copies", "head", "second"
_MOST_PIXELS = 1024  # a side
_LIMITS = (1e-9, 1e9)  # of what is tuned

# What `auto` offers beside a backbone at its usual size: a larger one costs more and may be better.
LARGER: Mapping[str, tuple[str, ...]] = MappingProxyType({"lite0": ("lite0@160",)})

# The side of a second look that is worth its time beside this one (measured: LOG.md).
SECOND_LOOKS: Mapping[str, int] = MappingProxyType({"lite0@160": 224})


def encoders_for(
    backbone: str | Encoder, download: bool = False
) -> tuple[tuple[Encoder, ...], tuple[str, ...]]:
    """Returns the encoders of images that `backbone` stands for, and a line for each left out.

    Those that it names. With `auto` those that are installed, also at larger sizes, the usual size
    first: what of them the budget allows is for the run to find out.
    """
    if backbone != AUTO:
        return named(backbone, "images", download=download), ()
    offer = affordable("images", 0, NO_CLOCK)
    encoders, left_out = list(offer.encoders), list(offer.left_out)
    for name in [larger for known in encoders for larger in LARGER.get(known.card.name, ())]:
        try:
            encoders.append(open_backbone(name, takes="images"))
        except MetaloopError as error:  # nobody asked for it: that it is damaged is told
            left_out.append(f"the backbone '{name}' is left out: {error}")
    return tuple(encoders), tuple(left_out)


def frozen_pipeline(
    view: str, head: str, value: float, copies: int = 1, second: int = 0
) -> Candidate:
    """Returns the pipeline with this head on the features of the encoder that the view names."""
    options = {_HEAD: head, TUNED[head][0]: float(value)}
    options |= {_COPIES: copies} if copies > 1 else {}
    options |= {_SECOND: second} if second else {}
    return Candidate(Choice(FROZEN, options), Choice(RAW), Plan("none"), view=view)


def head_of(candidate: Candidate) -> tuple[str, float, int, int]:
    """Returns the head, what is tuned of it, the copies of an image, and the side of a second look.

    Raises `ModelFileError` for what is none of these: a candidate may be a stranger's.
    """
    options = dict(candidate.learner.options)
    head, copies = options.pop(_HEAD, None), options.pop(_COPIES, 1)
    second = options.pop(_SECOND, 0)
    if head not in TUNED:
        raise unknown_name("head on frozen features", str(head), TUNED)
    value = options.pop(TUNED[head][0], None)
    fits = type(value) in (int, float) and math.isfinite(value)
    if not fits or not _LIMITS[0] <= value <= _LIMITS[1]:
        raise ModelFileError(f"{TUNED[head][0]} of a head is a number above 0, got {value!r}")
    if type(copies) is not int or not 1 <= copies <= 2:
        raise ModelFileError(f"a frozen pipeline looks at 1 or 2 copies of an image, got {copies}")
    if type(second) is not int or not 0 <= second <= _MOST_PIXELS:
        raise ModelFileError(f"a second look has up to {_MOST_PIXELS} pixels a side, got {second}")
    if options:
        known = [_HEAD, TUNED[head][0], _COPIES, _SECOND]
        raise unknown_name("option of a frozen pipeline", next(iter(options)), known)
    if candidate.net != Choice(RAW):
        raise ModelFileError("a head on frozen features has no net of its own")
    return head, float(value), copies, second


def head_shapes(features: int, classes: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Returns what the tensors of a head are to be."""
    shapes: dict[str, tuple[int, ...]]
    shapes = {CENTER: (features,), WEIGHT: (classes, features), BIAS: (classes,)}
    return {name: (shape, torch.float32) for name, shape in shapes.items()}


def largest_side(encoder: Encoder) -> int:
    """Returns the side in pixels of the largest images that an encoder is shown."""
    return max(encoder.card.size, SECOND_LOOKS.get(encoder.card.name, 0))


def at_side(encoder: Encoder, side: int) -> Encoder:
    """Returns the same net for images of another side.

    Raises `ModelFileError` where it is not installed, or where its weights are others.
    """
    card = encoder.card
    named = f"{card.name.partition('@')[0]}@{side}"
    return encoder_of(FittedView(Choice(ENCODER, {**vars(card), "name": named, "size": side})))


def features_of(encoder: Encoder, images: Tensor, copies: int, second: int = 0) -> Tensor:
    """Returns the features `[N, D]` of raw images: see `copies` and `second` above."""
    features = encoder.encode(images)
    if copies == 2:
        features = (features + encoder.encode(images.flip(3))) / 2
    return (features + at_side(encoder, second).encode(images)) / 2 if second else features
