"""Distance fields of small ink masks: the form in which a glyph can be bent, thinned and re-drawn.

A *field* holds, at every pixel, the distance in pixels to the ink: thresholding it at t draws the
glyph with strokes thickened by t. Of a skeleton it draws the glyph with a pen of radius t.
Masks need a blank margin of at least one pixel: shifts wrap around the border.

Source of the thinning: Zhang and Suen 1984, doi:10.1145/357994.358023. Here it runs on bits, one
bit per image, so that one machine word thins 64 images.
"""

import numpy as np
from numpy.typing import NDArray

REACH = 6  # pixels; distances are exact up to here and saturate beyond
FARTHEST = REACH - 0.5  # the value at which distances saturate: half a pixel is the ink's own
_FAR = np.uint8(2 * REACH**2 + 1)  # with REACH**2 added it still fits a byte
_BLOCK = 64  # images per pass, so that the pass stays in the processor's cache
_MAX_THINNING_ROUNDS = 16  # peels strokes of up to 32 pixels; what is left of a blob stays a blob


def signed_distance(ink: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance to the outline, negative inside the ink: `[images, height, width]`, in pixels."""
    return np.asarray(_distance(ink) - _distance(~ink), np.float32)


def skeleton_distance(ink: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance to the one-pixel skeleton of the ink: `[images, height, width]`, in pixels."""
    return _distance(thinned(ink))


def thinned(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The skeletons of masks `[images, height, width]`: strokes one pixel wide, topology kept."""
    num_images, height, width = ink.shape
    if num_images == 0:
        return np.zeros_like(ink)
    padded = -num_images % 64
    by_pixel = np.pad(ink.reshape(num_images, -1).T, ((0, 0), (0, padded)))
    words = np.ascontiguousarray(np.packbits(by_pixel, axis=1)).view(np.uint64).ravel()
    words_per_pixel = words.size // (height * width)
    for _ in range(_MAX_THINNING_ROUNDS):
        before = words.copy()
        for first_pass in (True, False):
            words &= ~_removable(words, words_per_pixel, width * words_per_pixel, first_pass)
        if np.array_equal(before, words):
            break
    bits = np.unpackbits(words.view(np.uint8).reshape(height * width, -1), axis=1)
    return np.asarray(bits[:, :num_images].T != 0).reshape(ink.shape)


def _removable(
    words: NDArray[np.uint64], column: int, row: int, first_pass: bool
) -> NDArray[np.uint64]:
    """The pixels that one half round of Zhang and Suen removes, as bits."""
    north, south = np.roll(words, row), np.roll(words, -row)
    east, west = np.roll(words, -column), np.roll(words, column)
    north_east, south_east = np.roll(north, -column), np.roll(south, -column)
    north_west, south_west = np.roll(north, column), np.roll(south, column)
    ring = (north, north_east, east, south_east, south, south_west, west, north_west)
    rises = tuple(~ring[i] & ring[(i + 1) % 8] for i in range(8))
    some_rise, two_rises = _one_or_more_and_two_or_more(rises)
    _, two_inked = _one_or_more_and_two_or_more(ring)
    _, two_blank = _one_or_more_and_two_or_more(tuple(~pixel for pixel in ring))
    # The last term is not in the paper: without it a square of four pixels, what is left of a dot,
    # goes at once. The corner kept here is one that the other half round takes from larger shapes.
    if first_pass:
        blocked = (south & east & (north | west)) | (
            south & south_east & east & ~(north | north_east | north_west | west | south_west)
        )
    else:
        blocked = (north & west & (east | south)) | (
            north & north_west & west & ~(south | south_west | south_east | east | north_east)
        )
    return some_rise & ~two_rises & two_inked & two_blank & ~blocked


def _one_or_more_and_two_or_more(
    bits: tuple[NDArray[np.uint64], ...],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Where at least one and where at least two of the bit planes are set."""
    one, two = bits[0].copy(), np.zeros_like(bits[0])
    for plane in bits[1:]:
        two |= one & plane
        one |= plane
    return one, two


def _distance(ink: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance to the border of the nearest ink pixel, 0 inside; saturates beyond `REACH`."""
    squares = np.sqrt(np.arange(256, dtype=np.float32))
    # The border lies half a pixel before the centre of the nearest ink pixel.
    to_distance = np.maximum(squares - np.float32(0.5), 0)
    out = np.empty(ink.shape, np.float32)
    for start in range(0, len(ink), _BLOCK):
        squared = np.where(ink[start : start + _BLOCK], np.uint8(0), _FAR)
        for axis in (1, 2):
            squared = _spread(squared, axis)
        out[start : start + _BLOCK] = to_distance[np.minimum(squared, REACH**2)]
    return out


def _spread(squared: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Min over steps d along the axis of squared[. + d] + d^2: half of a distance transform."""
    out: NDArray[np.uint8] = squared.copy()
    ahead: list[slice] = [slice(None)] * 3
    behind: list[slice] = [slice(None)] * 3
    for step in range(1, REACH + 1):
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        raised = squared + np.uint8(step**2)
        np.minimum(out[tuple(ahead)], raised[tuple(behind)], out=out[tuple(ahead)])
        np.minimum(out[tuple(behind)], raised[tuple(ahead)], out=out[tuple(behind)])
    return out
