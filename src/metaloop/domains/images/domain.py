"""Images as a domain."""

from __future__ import annotations

from typing import Any

from metaloop.core.domain import Domain
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.domains.images.nets import (
    beginning,
    companions,
    is_drawing,
    nets,
    suits_convolutions,
    usual_net,
)

_OF_COLOURS = frozenset({"saturation", "greyscale"})  # they mean nothing where there is one channel


def augmentation(input_format: InputFormat) -> Choice:
    """Returns affine maps for drawings, mirroring and shifts for photographs, else nothing."""
    if not suits_convolutions(input_format):
        return Choice("none")
    return Choice("affine") if is_drawing(input_format) else Choice("photo")


def can_work(input_format: InputFormat, operator: str) -> bool:
    """Whether images can be turned by quarters, have their channels exchanged, or their tiles."""
    channels, height, width = input_format.shape
    if operator == "permute_channels()":
        return channels == 3
    if operator == "rotate(90)":
        return height == width
    return operator != "scramble(2)" or not (height % 2 or width % 2)


def without_meaning(input_format: InputFormat) -> frozenset[str]:
    """Returns the options of augmentations that do nothing to such images."""
    return _OF_COLOURS if is_drawing(input_format) else frozenset()


def is_one(shape: tuple[int, ...]) -> bool:
    """Whether an array of that shape is one picture: rows and columns, and perhaps channels."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))


def as_read(input_format: InputFormat) -> dict[str, Any]:
    """Returns channels, size and polarity of pictures that are read."""
    channels, size, _ = input_format.shape
    return {"channels": channels, "image_size": size, "polarity": input_format.polarity}


IMAGES = Domain(
    name="image",
    axes=3,
    most_numbers=1 << 23,  # 3 x 1672 x 1672
    usual_net=usual_net,
    companions=companions,
    beginning=beginning,
    nets=nets,
    plan={"optimiser": "muon"},
    augmentation=augmentation,
    augmentations=("none", "affine", "photo"),
    without_meaning=without_meaning,
    can_work=can_work,
    quick_to_tell=False,
    in_files=True,
    is_one=is_one,
    as_read=as_read,
)
