"""Glyphs drawn as if by hand: the examples of the embedded data family, from fonts to pixels.

An example takes one face's drawing of its class, as an outline (its strokes made bolder or lighter)
or as a skeleton (re-drawn with a pen of random radius), and bends it. A place u of the image is ink
where

    field(M (u - shift + bend(u))) < radius(u)

with field the distance to the outline or the skeleton, M affine, bend and radius smooth in u.
Some examples are then blurred or passed through a coarse grid, like scans of small characters.
Each is scaled to the frame after its affine map, so that size tells nothing.

Lengths are shares of the frame ("frame units") or pixels of the drawings ("px").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metaloop.tasks.glyph_alphabet import GlyphClass, glyph_classes
from metaloop.tasks.glyph_fields import FARTHEST
from metaloop.tasks.glyph_filters import area_down, blur, linear_up
from metaloop.tasks.glyph_outlines import BOX, FACES, SIDE, fonts_fingerprint, open_face
from metaloop.tasks.glyph_stems import Stems, stems_of

__all__ = ["RENDER_VERSION", "GlyphClass", "fonts_fingerprint", "glyph_classes", "render_glyphs"]

RENDER_VERSION = 1  # raise it when the same seed gives other bytes: part of a cache's key

# Chosen by eye against scikit-learn's handwritten digits. Pairs are the ends of uniform draws,
# single numbers are standard deviations.
_FILL = (0.78, 1.08)  # longer side of the bounding box, which slant and rotation make too large
_ROTATION = 0.16  # radians
_SLANT = 0.22
_LOG_ASPECT = 0.28
_SHIFT = 0.02
_BEND = (0.01, 0.045)  # root mean square
_WAVES = 4  # of the bend, per axis; amplitudes fall with the frequency
_PRESSURE = (0.0, 0.3)  # root mean square of the relative change of a radius along the strokes
_PEN_RADIUS = (0.025, 0.11)  # frame units
_STROKE_FACTOR = (0.6, 1.7)  # new half width of an outline's strokes over the old one
_COVER = 0.6  # of the bounding box, at most, by strokes: dense glyphs get a fine pen
_INK = (0.8, 1.4)  # darkest value before it is cut off at 1
_FAINTEST = 0.1  # peak of an image that is still raised to full ink
_BLURS = (0.0, 0.0, 0.015, 0.03)  # frame units; 0: none
_GRIDS = (8, 10, 14)  # cells per side
_GRID_SHARE = 0.35  # of the examples pass through a coarse grid; the rest are blurred

_LEAST_IMAGE_SIZE = 8
_LEAST_WORKING_SIZE = 24  # smaller images are averages of larger ones
_CLASSES_PER_CHUNK = 32  # keeps a chunk's arrays within the processor's cache, more or less

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


def render_glyphs(
    classes: Sequence[GlyphClass],
    examples_per_class: int,
    rng: np.random.Generator,
    image_size: int = 28,
) -> NDArray[np.uint8]:
    """Images `[classes, examples_per_class, image_size, image_size]`, ink 255 on 0.

    The same classes and generator state give the same bytes on the same machine. The examples of
    a class go round its faces in random order. ValueError: examples_per_class < 1, image_size < 8,
    a class without faces, with a face outside `FACES`, or one that its face leaves blank.
    """
    if examples_per_class < 1:
        raise ValueError(f"examples_per_class must be at least 1. Got {examples_per_class}.")
    if image_size < _LEAST_IMAGE_SIZE:
        raise ValueError(f"image_size must be at least {_LEAST_IMAGE_SIZE}. Got {image_size}.")
    for glyph in classes:
        if not glyph.faces or not all(0 <= face < len(FACES) for face in glyph.faces):
            raise ValueError(
                f"class {glyph.name!r} has faces {glyph.faces}, needs some of 0..{len(FACES) - 1}"
            )
    fonts = [open_face(face) for face in range(len(FACES))]
    working_size = image_size * -(-_LEAST_WORKING_SIZE // image_size)
    frame, filters = _Frame(working_size), _filters(working_size, image_size)
    out = np.empty((len(classes), examples_per_class, image_size, image_size), np.uint8)
    for start in range(0, len(classes), _CLASSES_PER_CHUNK):
        chunk = classes[start : start + _CLASSES_PER_CHUNK]
        stems, stem_of_example = stems_of(chunk, examples_per_class, fonts, rng)
        ink = _bent_ink(stems, stem_of_example, frame, rng)
        images = _filtered(ink, filters, rng)
        peak = np.maximum(images.max((1, 2), keepdims=True), np.float32(_FAINTEST))
        images *= (rng.uniform(*_INK, (len(ink), 1, 1)) / peak).astype(np.float32)
        values = np.rint(np.minimum(images, 1) * 255).astype(np.uint8)
        out[start : start + len(chunk)] = values.reshape(len(chunk), *out.shape[1:])
    return out


class _Frame:
    """The pixels of a square image, and the smooth functions on it: 1, x, y, then cosines."""

    def __init__(self, size: int) -> None:
        self.size = size
        place = (np.arange(size) + 0.5) / size  # 0..1
        frequency = np.arange(_WAVES)
        cosines = np.cos(np.pi * frequency[:, None] * place)
        waves = np.einsum("ay,bx->abyx", cosines, cosines) / (
            1 + frequency[:, None, None, None] ** 2 + frequency[None, :, None, None] ** 2
        )
        waves = waves.reshape(_WAVES**2, -1)[1:]  # the constant is a shift
        waves /= np.sqrt(np.square(waves).mean(1).sum())  # a random mixture has mean square 1
        y, x = np.meshgrid(place - 0.5, place - 0.5, indexing="ij")
        self.num_waves = len(waves)
        self.functions = np.concatenate(
            [np.ones((1, size**2)), x.reshape(1, -1), y.reshape(1, -1), waves]
        ).astype(np.float32)


def _bent_ink(stems: Stems, stem: _Ints, frame: _Frame, rng: np.random.Generator) -> _Floats:
    """Examples `[examples, size, size]` in 0..1, each bent from the stem at its position."""
    num = len(stem)
    half_extents = stems.half_extents[stem]
    shape = _random_shapes(rng, num)
    # Scale the glyph so that its bounding box, after the affine map, fills the frame as drawn.
    extents = 2 * np.einsum("nij,nj->ni", np.abs(shape), half_extents)
    fill = rng.uniform(*_FILL, num)
    to_frame = shape * (fill / extents.max(1))[:, None, None]
    to_drawing = np.linalg.inv(to_frame)  # px per frame unit
    px = np.sqrt(np.linalg.det(to_drawing))

    # Coefficients of the frame's functions: two for the place in the drawing, one for the radius.
    mixture = rng.standard_normal((num, 3, frame.num_waves))
    place = np.zeros((num, 2, len(frame.functions)))
    place[:, :, 0] = -rng.normal(0, _SHIFT, (num, 2))
    place[:, :, 1:3] = np.eye(2)
    place[:, :, 3:] = mixture[:, :2] * rng.uniform(*_BEND, (num, 1, 1))
    place = to_drawing @ place
    place[:, :, 0] += (SIDE - 1) / 2
    radius = _random_radii(rng, stems, stem, px)
    pressure = np.zeros((num, 1, len(frame.functions)))
    pressure[:, 0, 0] = radius - stems.stroke[stem]
    pressure[:, 0, 3:] = mixture[:, 2] * (radius * rng.uniform(*_PRESSURE, num))[:, None]
    coefficients = np.concatenate([place, pressure], axis=1).astype(np.float32)

    x, y, threshold = np.moveaxis(
        (coefficients.reshape(num * 3, -1) @ frame.functions).reshape(num, 3, -1), 1, 0
    )
    distance = _bilinear(stems.field, stem, x, y)
    pixels_per_px = (frame.size / px).astype(np.float32)[:, None]
    # Where the distance saturates the paper stays blank.
    threshold = np.minimum(threshold, FARTHEST - np.float32(0.5) / pixels_per_px)
    ink = np.clip((threshold - distance) * pixels_per_px + np.float32(0.5), 0, 1)
    return np.asarray(ink, np.float32).reshape(num, frame.size, frame.size)


def _random_shapes(rng: np.random.Generator, num: int) -> NDArray[np.float64]:
    """Affine maps `[num, 2, 2]` without a scale: rotation after slant after aspect."""
    angle, slant, log_aspect = rng.normal(
        0, np.array([_ROTATION, _SLANT, _LOG_ASPECT])[:, None], (3, num)
    )
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones(num), np.zeros(num)
    wide, high = np.exp(log_aspect / 2), np.exp(-log_aspect / 2)
    rotations = np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)
    slants = np.array([[one, -slant], [zero, one]]).transpose(2, 0, 1)
    aspects = np.array([[wide, zero], [zero, high]]).transpose(2, 0, 1)
    return np.asarray(rotations @ slants @ aspects, np.float64)


def _random_radii(
    rng: np.random.Generator, stems: Stems, stem: _Ints, px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Half widths of the strokes `[examples]`, in px; `px` are pixels per frame unit."""
    stroke = stems.stroke[stem]
    low = np.where(stroke > 0, _STROKE_FACTOR[0] * stroke, _PEN_RADIUS[0] * px)
    high = np.where(stroke > 0, _STROKE_FACTOR[1] * stroke, _PEN_RADIUS[1] * px)
    sides = 2 * stems.half_extents[stem]
    box = sides.max(1) * np.maximum(sides.min(1), BOX / 2)  # a bar may swell
    high = np.clip(_COVER * box / (2 * stems.length[stem]), low, high)
    return np.asarray(rng.uniform(low, high), np.float64)


def _bilinear(field: _Floats, stem: _Ints, x: _Floats, y: _Floats) -> _Floats:
    """Values of `field[stem]` at places `[examples, places]` in px; beyond the edge, the edge's."""
    flat = field.reshape(-1)
    x, y = np.clip(x, 0, SIDE - 1.001), np.clip(y, 0, SIDE - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    x, y = x - column, y - row
    first = (stem.astype(np.int32) * SIDE**2)[:, None] + row * np.int32(SIDE) + column
    upper = flat.take(first)
    upper += x * (flat.take(first + 1) - upper)
    lower = flat.take(first + SIDE)
    lower += x * (flat.take(first + SIDE + 1) - lower)
    return np.asarray(upper + y * (lower - upper), np.float32)


def _filters(working_size: int, image_size: int) -> tuple[list[_Floats], list[float]]:
    """Matrices `[image_size, working_size]` for rows and columns alike, and their shares."""
    smooth = [area_down(working_size, image_size) @ blur(working_size, width) for width in _BLURS]
    coarse = [linear_up(cells, image_size) @ area_down(working_size, cells) for cells in _GRIDS]
    shares = [(1 - _GRID_SHARE) / len(smooth)] * len(smooth) + [_GRID_SHARE / len(coarse)] * len(
        coarse
    )
    return [matrix.astype(np.float32) for matrix in smooth + coarse], shares


def _filtered(
    ink: _Floats, filters: tuple[list[_Floats], list[float]], rng: np.random.Generator
) -> _Floats:
    """Images `[examples, image_size, image_size]`: each through one filter, drawn at random."""
    matrices, shares = filters
    chosen = rng.choice(len(matrices), size=len(ink), p=shares)
    out = np.empty((len(ink), len(matrices[0]), len(matrices[0])), np.float32)
    for index, matrix in enumerate(matrices):
        out[chosen == index] = matrix @ ink[chosen == index] @ matrix.T
    return out
