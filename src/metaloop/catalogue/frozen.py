"""Pipelines for one data set whose inputs are seen through a frozen encoder: features, then a head.

A pipeline is a `Candidate`: learner `frozen` with the head and what was tuned of it, the view named
as the encoder is. `copies` 2: the mean feature of an image and of its mirror image. The net is
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
from metaloop.catalogue.offered import AUTO, offered
from metaloop.core.encoder import Encoder
from metaloop.core.errors import ModelFileError, unknown_name
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.engine.heads import BIAS, CENTER, TUNED, WEIGHT

FROZEN = "frozen"
_COPIES, _HEAD = "copies", "head"
_LIMITS = (1e-9, 1e9)  # of what is tuned

# What `auto` offers beside a backbone at its usual size: a larger one costs more and may be better.
LARGER: Mapping[str, tuple[str, ...]] = MappingProxyType({"lite0": ("lite0@160",)})


def encoders_for(backbone: str | Encoder, download: bool = False) -> tuple[Encoder, ...]:
    """Returns the encoders of images that `backbone` stands for, as `offered` does.

    With `auto` those that are installed come at larger sizes, too, the usual size first.
    """
    found = offered(backbone, "images", download=download)
    if backbone != AUTO:
        return found
    larger = [name for known in found for name in LARGER.get(known.card.name, ())]
    return (*found, *(open_backbone(name, takes="images") for name in larger))


def frozen_pipeline(view: str, head: str, value: float, copies: int = 1) -> Candidate:
    """Returns the pipeline with this head on the features of the encoder that the view names."""
    options = {_HEAD: head, TUNED[head][0]: float(value)}
    options |= {_COPIES: copies} if copies > 1 else {}
    return Candidate(Choice(FROZEN, options), Choice(RAW), Plan("none"), view=view)


def head_of(candidate: Candidate) -> tuple[str, float, int]:
    """Returns the head, what is tuned of it, and how many copies of an image are looked at.

    Raises `ModelFileError` for what is none of these: a candidate may be a stranger's.
    """
    options = dict(candidate.learner.options)
    head, copies = options.pop(_HEAD, None), options.pop(_COPIES, 1)
    if head not in TUNED:
        raise unknown_name("head on frozen features", str(head), TUNED)
    value = options.pop(TUNED[head][0], None)
    fits = type(value) in (int, float) and math.isfinite(value)
    if not fits or not _LIMITS[0] <= value <= _LIMITS[1]:
        raise ModelFileError(f"{TUNED[head][0]} of a head is a number above 0, got {value!r}")
    if type(copies) is not int or not 1 <= copies <= 2:
        raise ModelFileError(f"a frozen pipeline looks at 1 or 2 copies of an image, got {copies}")
    if options:
        raise unknown_name("option of a frozen pipeline", next(iter(options)), [_HEAD, _COPIES])
    if candidate.net != Choice(RAW):
        raise ModelFileError("a head on frozen features has no net of its own")
    return head, float(value), copies


def head_shapes(features: int, classes: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Returns what the tensors of a head are to be."""
    shapes: dict[str, tuple[int, ...]]
    shapes = {CENTER: (features,), WEIGHT: (classes, features), BIAS: (classes,)}
    return {name: (shape, torch.float32) for name, shape in shapes.items()}


def features_of(encoder: Encoder, images: Tensor, copies: int) -> Tensor:
    """Returns the features `[N, D]` of raw images: with 2 copies the mean with the mirror image."""
    features = encoder.encode(images)
    return (features + encoder.encode(images.flip(3))) / 2 if copies == 2 else features
