"""Which numbers of an array of images are black and white: decided once, then kept.

    truth values, integers that are only 0 and 1   0 to 1
    uint8; other integers within 0 to 255          0 to 255
    uint16                                         0 to 65535
    floats within 0 to 1                           0 to 1
    floats with negative ones, within -1 to 1      -1 to 1
    other floats within 0 to 255                   0 to 255

Never the extremes of the images at hand: those of a dark set are dark, and what is learned from it
must hold for bright ones. Whatever has another range (counts of 10 or 12 bits, standardised
pixels) needs a declared one, and so has what would come out all black in the range of its kind.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metaloop.core.errors import DataError, InputError
from metaloop.core.large import room

ValueRange = tuple[float, float]

UNIT: ValueRange = (0.0, 1.0)
SIGNED_UNIT: ValueRange = (-1.0, 1.0)
BYTES: ValueRange = (0.0, 255.0)
WORDS: ValueRange = (0.0, 65535.0)
_ROUNDING = 1e-4  # of the range: what arithmetic in float16 or float32 may add at its ends
_ROWS_AT_ONCE = 2**22  # numbers that are scaled in float64 at once
_DECLARE = "declare what is black and white, such as value_range=(0, 4095)"


class ValueRangeError(DataError, InputError):
    """Pixels whose range is not known or not kept; an error of data and of inputs alike."""


def declared_range(value_range: Any) -> ValueRange | None:
    """Returns a declared range as two floats, None as it is; raises `ValueRangeError` for others.

    It is a pair of finite numbers, that of black and that of white, in rising order.
    """
    if value_range is None:
        return None
    try:
        low, high = (float(bound) for bound in value_range)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if isinstance(value_range, (str, bytes)) or not -math.inf < low < high < math.inf:
        raise ValueRangeError(
            f"value_range is a pair of numbers, black and white, such as (0, 4095); "
            f"got {value_range!r}"
        )
    return low, high


def decide_range(
    images: np.ndarray, declared: ValueRange | None = None, what: str = "X"
) -> ValueRange:
    """Returns which numbers are black and white in finite `images [n, ...]`.

    Raises `ValueRangeError`, whose one line begins with `what`, if they leave the declared range or
    fit none that is known.
    """
    if images.size == 0:
        return BYTES if declared is None else declared
    if declared is not None:
        check_range(images, declared, what, "as declared")
        return declared
    low, high = float(images.min()), float(images.max())
    found = _known_range(images.dtype, low, high)
    if found is None:
        raise ValueRangeError(
            f"{what}: {images.dtype} pixels from {low:g} to {high:g} are in no known range (floats "
            f"0 to 1, -1 to 1 or 0 to 255; integers 0 to 255, uint16 0 to 65535); {_DECLARE}"
        )
    if 0 < high < 1.5 * (found[1] / 255.0) and found[0] == 0 and found != UNIT:
        raise ValueRangeError(
            f"{what}: {images.dtype} pixels from {low:g} to {high:g} are all black where "
            f"{found[1]:g} is white; {_DECLARE}"
        )
    return found


def check_range(
    images: np.ndarray,
    value_range: ValueRange,
    what: str = "X",
    known: str = "when the estimator was fitted",
) -> None:
    """Raises `ValueRangeError` if finite `images` leave the range; `known` says whence it is."""
    if images.size == 0:
        return
    (black, white), low, high = value_range, float(images.min()), float(images.max())
    slack = _ROUNDING * (white - black) if images.dtype.kind == "f" else 0.0
    if low < black - slack or high > white + slack:
        raise _other_scale(what, value_range, known, f"run from {low:g} to {high:g}")


def check_scale(images: np.ndarray, value_range: ValueRange, what: str = "X") -> None:
    """Raises `ValueRangeError` if `images` leave the range, or cannot have its scale.

    That is so for fractions where 255 or more is white, and for bytes where more is.
    """
    check_range(images, value_range, what)
    if images.dtype == np.uint8 and value_range[1] > BYTES[1]:
        raise _other_scale(what, value_range, "when the estimator was fitted", "are bytes")
    if value_range[0] < 0 or value_range[1] < BYTES[1] or images.dtype.kind != "f":
        return
    if images.size and float(images.max()) <= 1 and bool((images % 1).any()):
        raise _other_scale(
            what, value_range, "when the estimator was fitted", "are fractions up to 1"
        )


def _other_scale(what: str, value_range: ValueRange, known: str, found: str) -> ValueRangeError:
    return ValueRangeError(
        f"{what}: pixels were in {value_range[0]:g}..{value_range[1]:g} {known}, these {found}; "
        f"give images on the same scale, or fit with another value_range"
    )


def to_bytes(images: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Returns `images [n, ...]` as uint8, black 0 and white 255, rounded and clipped."""
    if images.dtype == np.uint8 and value_range == BYTES:
        return images
    black, white = value_range
    scale, result = 255.0 / (white - black), room(images.shape)
    step = max(1, _ROWS_AT_ONCE // max(1, images[:1].size))
    for start in range(0, len(images), step):
        rows = images[start : start + step].astype(np.float64)
        np.rint(np.clip((rows - black) * scale, 0, 255, out=rows), out=rows)
        result[start : start + step] = rows.astype(np.uint8)
    return result


def _known_range(dtype: np.dtype[Any], low: float, high: float) -> ValueRange | None:
    """The range of undeclared numbers of this type, None if there is none."""
    if dtype.kind == "b":
        return UNIT
    if dtype.kind == "f":
        slack = _ROUNDING
        if low >= 0:
            return UNIT if high <= 1 + slack else BYTES if high <= 255 * (1 + slack) else None
        return SIGNED_UNIT if low >= -1 - slack and high <= 1 + slack else None
    if low < 0:
        return None
    if high == 1:
        return UNIT
    return WORDS if dtype == np.uint16 else BYTES if high <= 255 else None
