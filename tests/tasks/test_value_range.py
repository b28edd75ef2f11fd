"""What is black and white in arrays: by their kind, never by the extremes of the images at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from metaloop.core.errors import DataError, InputError
from metaloop.tasks.readers.ranges import range_of_set
from metaloop.tasks.value_range import (
    ValueRangeError,
    check_range,
    check_scale,
    decide_range,
    declared_range,
    to_bytes,
)


def _images(*values: float, dtype: Any = np.float64) -> np.ndarray:
    return np.array(values, dtype=dtype).reshape(1, 1, -1)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (_images(0, 40, dtype=np.uint8), (0, 255)),
        (_images(0, 1, dtype=np.bool_), (0, 1)),
        (_images(0, 1, dtype=np.int64), (0, 1)),
        (_images(0, 200, dtype=np.int16), (0, 255)),
        (_images(0, 5000, dtype=np.uint16), (0, 65535)),
        (_images(0, 0, dtype=np.uint16), (0, 65535)),
        (_images(0, 0.2), (0, 1)),
        (_images(0, 1.00001), (0, 1)),
        (_images(0, 1, dtype=np.float16), (0, 1)),
        (_images(0, 60.5), (0, 255)),
        (_images(0, 255.0, dtype=np.float32), (0, 255)),
        (_images(-0.1, 0.2), (-1, 1)),
        (_images(-1, 1), (-1, 1)),
        (np.zeros((0, 4, 4)), (0, 255)),
    ],
)
def test_the_range_follows_from_the_kind_of_numbers(images: np.ndarray, expected: Any) -> None:
    assert decide_range(images) == expected


@pytest.mark.parametrize(
    "images",
    [
        _images(0, 4095.0),
        _images(-3, 3),
        _images(-1, 1, dtype=np.int64),
        _images(0, 4095, dtype=np.int32),
        _images(0, 300, dtype=np.uint16),
    ],
)
def test_numbers_of_no_known_range_need_a_declared_one(images: np.ndarray) -> None:
    with pytest.raises(ValueRangeError, match=r"npz 'a': .*value_range=\(0, 4095\)") as caught:
        decide_range(images, what="npz 'a'")
    assert isinstance(caught.value, DataError) and isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
    assert decide_range(images, (-5.0, 4095.0)) == (-5, 4095)


def test_counts_beyond_the_declared_range_are_refused() -> None:
    counts = _images(0, 1500, dtype=np.uint16)
    assert decide_range(counts, (0.0, 4095.0)) == (0, 4095)
    with pytest.raises(ValueRangeError, match=r"0\.\.1023 as declared.*run from 0 to 1500"):
        decide_range(counts, (0.0, 1023.0))


@pytest.mark.parametrize("high", [200, 1023, 4095])
def test_sets_of_few_levels_in_16_bits_must_say_what_is_white(high: int) -> None:
    extremes, dtype = np.array([0, high]), np.dtype(np.uint16)
    with pytest.raises(ValueRangeError, match="value_range=") as caught:
        range_of_set(extremes, dtype, None, "X")
    assert "\n" not in str(caught.value)
    assert range_of_set(extremes, dtype, (0.0, 65535.0), "X") == (0, 65535)
    assert range_of_set(np.array([0, 4096]), dtype, None, "X") == (0, 65535)


@pytest.mark.parametrize(
    "given", ["0..255", 255, (1, 0), (0, 0), (0, float("inf")), (0, float("nan")), (0, 1, 2), "01"]
)
def test_what_is_no_range_is_refused(given: Any) -> None:
    with pytest.raises(ValueRangeError, match="a pair of numbers, black and white"):
        declared_range(given)


def test_declared_ranges_become_floats() -> None:
    assert declared_range(None) is None
    assert declared_range(np.array([0, 1023])) == (0.0, 1023.0)
    assert declared_range([-1, 1]) == (-1.0, 1.0)


def test_images_of_another_scale_are_refused_and_dark_ones_are_not() -> None:
    for images, value_range, found in [
        (_images(0, 300.0), (0.0, 255.0), "run from 0 to 300"),
        (_images(0, 0.5), (0.0, 255.0), "are fractions up to 1"),
        (_images(0, 255, dtype=np.uint8), (0.0, 65535.0), "are bytes"),
        (_images(0, 4095, dtype=np.uint16), (0.0, 1023.0), "run from 0 to 4095"),
        (_images(-0.5, 0.5), (0.0, 1.0), "run from -0.5 to 0.5"),
    ]:
        with pytest.raises(ValueRangeError, match=found):
            check_scale(images, value_range)
    check_scale(_images(0, 0), (0.0, 255.0))  # whole: black, or nearly
    check_scale(_images(0, 1), (0.0, 255.0))
    check_scale(_images(0, 3, dtype=np.uint16), (0.0, 65535.0))
    check_range(_images(-1.00001, 1), (-1.0, 1.0))


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 1023.0), (0.0, 65535.0)])
def test_the_same_pictures_on_any_scale_become_the_same_bytes(value_range: Any) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (3, 5, 4)).astype(np.uint8)
    black, white = value_range
    scaled = expected / 255 * (white - black) + black
    assert_array_equal(to_bytes(scaled, value_range), expected)
    if white > 1:
        counts = np.rint(scaled).astype(np.uint16)
        assert_array_equal(to_bytes(counts, value_range), expected)
    dark = scaled[:1] * 0 + black + (white - black) / 5
    assert_array_equal(to_bytes(dark, value_range), np.full_like(expected[:1], 51))
    assert to_bytes(expected, (0.0, 255.0)) is expected


def test_scaling_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).random((7, 5, 4))
    whole = to_bytes(images, (0.0, 1.0))
    monkeypatch.setattr("metaloop.tasks.value_range._ROWS_AT_ONCE", 40)
    assert_array_equal(to_bytes(images, (0.0, 1.0)), whole)
