"""Black and white of a whole set of images, from the smallest and largest numbers in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from metaloop.tasks.value_range import WORDS, ValueRange, ValueRangeError, decide_range

_TOO_DARK = 4096  # of 65,536: at most 16 of the 256 levels that are kept would be used


def range_of_set(
    extremes: np.ndarray, dtype: np.dtype[Any], declared: ValueRange | None, where: str
) -> ValueRange:
    """Returns the numbers that are black and white in images of one type, of these `extremes`.

    The rule is that of `tasks.value_range`, and one thing more, for here the whole set is known:
    raises `ValueRangeError` where 16 bits hold counts of 12 or fewer and nothing was declared.
    """
    low, high = extremes.min(), extremes.max()
    found = decide_range(np.array([low, high]).astype(dtype), declared, where)
    if declared is None and found == WORDS and high < _TOO_DARK:
        bits = max(8, int(high).bit_length())
        raise ValueRangeError(
            f"{where}: its {dtype} images hold numbers from {low:g} to {high:g}, few of the levels "
            f"where 65535 is white; say what is white: --value-range 0..{2**bits - 1} for "
            f"{bits} bits, or 0..65535 to read them as they are (in Python value_range=(0, "
            f"{2**bits - 1}) or (0, 65535))"
        )
    return found
