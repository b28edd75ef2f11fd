"""Sets of images, decoded alike: the size, the channels and the polarity that they all get."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metaloop.core.large import compact, pieces, room
from metaloop.tasks.readers.images import (
    Load,
    choose_polarity,
    fit,
    fit_or_none,
    ink_high,
    num_pixels,
    sampled,
    wide_range,
)
from metaloop.tasks.readers.options import MIN_IMAGE_SIZE, ReadOptions
from metaloop.tasks.value_range import ValueRange

GREY_SIZE, COLOUR_SIZE = 28, 32  # pixels; the sizes of Omniglot and of CIFAR-FS in the papers
_GREY_TOLERANCE = 3  # levels; a grey JPEG that was saved as colour is not exactly grey


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images uint8 `[readable, channels, size, size]`, their indices, their polarity.

    `detail`: the same in colour, as they are and at the size that encoders want; None if none do.
    """

    images: np.ndarray
    readable: np.ndarray
    polarity: Literal["as_is", "ink"]
    detail: np.ndarray | None = None

    def without(self, rows: np.ndarray) -> Decoded:
        """Returns the same without these rows of the readable ones."""
        left = np.delete(np.arange(len(self.images)), rows)
        detail = None if self.detail is None else compact(self.detail, left)
        return Decoded(compact(self.images, left), self.readable[left], self.polarity, detail)


def decode_all(
    num_images: int, load: Load, options: ReadOptions, where: str = "the images"
) -> Decoded:
    """Returns all images that can be read.

    `load(i)` gives image i as a path, as encoded bytes, a page or an array `[h, w(, c)]`. Size and
    channels that `options` leave open are decided by a sample of 256 images, the range of numbers
    of more than 8 bits by all of them. Raises `DataError` if it is not known.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files
        value_range = wide_range(num_images, load, options.value_range, where)
        grey = _is_grey(num_images, load, value_range)
        size = options.image_size or (GREY_SIZE if grey else COLOUR_SIZE)
        shape = (options.channels or (1 if grey else 3), size, size)
        images = room((num_images, *shape))
        side = _detail_side(num_images, load, options, shape)
        large = (3, side, side)
        detail = room((num_images, *large)) if side else None
        readable = np.zeros(num_images, bool)
        for i in range(num_images):
            pixels = fit_or_none(load, i, shape, value_range)
            if pixels is not None:
                images[i], readable[i] = pixels, True
            if pixels is not None and detail is not None:
                detail[i] = fit(load(i), large, value_range)
    if not readable.all():
        there = np.flatnonzero(readable)
        images = compact(images, there)
        detail = None if detail is None else compact(detail, there)
    polarity = options.polarity or choose_polarity(images, grey)
    if polarity == "ink":
        for piece in pieces(images):
            images[piece] = ink_high(images[piece])
    return Decoded(images, np.flatnonzero(readable), polarity, detail)


def _detail_side(
    num_images: int, load: Load, options: ReadOptions, shape: tuple[int, int, int]
) -> int:
    """The side of images for encoders; 0 where there are none, or the others are as good."""
    side = options.detail_of(num_images)
    if not side or not options.detail_bytes:
        return side
    came = max((_pixels(load, i) for i in sampled(num_images)), default=0)
    most = options.detail_bytes // max(1, 3 * num_images)
    side = min(side, max(MIN_IMAGE_SIZE, math.isqrt(min(came, most))))
    as_good = shape[0] == 3 and shape[1] >= side and options.polarity != "ink"
    return 0 if as_good else side


def _pixels(load: Load, index: int) -> int:
    """How many pixels a picture has; 0 where it cannot be read."""
    try:
        return num_pixels(load(index))
    except Exception:  # whatever is wrong with it is told of by who decodes it
        return 0


def _is_grey(num_images: int, load: Load, value_range: ValueRange | None) -> bool:
    """Whether the sampled images have equal channels, whatever their file says."""
    for pool in (sampled(num_images), range(num_images)):  # all, if no sampled one is readable
        seen = _all_grey(pool, load, value_range)
        if seen is not None:
            return seen
    return True


def _all_grey(indices: Sequence[int], load: Load, value_range: ValueRange | None) -> bool | None:
    """Whether all readable images among these are grey; None if none is readable."""
    seen = None
    for i in indices:
        pixels = fit_or_none(load, i, (3, COLOUR_SIZE, COLOUR_SIZE), value_range)
        if pixels is not None:
            spread = pixels.max(axis=0).astype(int) - pixels.min(axis=0)
            if spread.max() > _GREY_TOLERANCE:
                return False
            seen = True
    return seen
