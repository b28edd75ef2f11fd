"""Stems: what the examples of a class are bent from, its drawings in some faces as distance fields.

A stem is an outline, whose strokes can be made bolder or lighter, or a skeleton, which can be drawn
with a pen of any radius. Lengths are pixels of the fitted drawings ("px").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFont import FreeTypeFont

from metaloop.tasks.glyph_alphabet import GlyphClass
from metaloop.tasks.glyph_fields import signed_distance, skeleton_distance
from metaloop.tasks.glyph_outlines import FACES, draw, fit

_PEN_SHARE = 0.6  # of the examples are drawn with a pen; the rest are outlines
_PEN_FACES = 4  # skeletons of more faces hardly differ


@dataclass(frozen=True)
class Stems:
    """What examples are bent from: the drawings that a chunk needs, as fields."""

    # px to the outline (negative inside) or to the skeleton: [stems, SIDE, SIDE]
    field: NDArray[np.float32]
    # px, of the ink, across and down: [stems, 2]
    half_extents: NDArray[np.float32]
    # px, mean half width of an outline's strokes; 0 for a skeleton: [stems]
    stroke: NDArray[np.float32]
    # px, total length of the strokes: [stems]
    length: NDArray[np.float32]


def stems_of(
    classes: Sequence[GlyphClass],
    num_examples: int,
    fonts: list[FreeTypeFont],
    rng: np.random.Generator,
) -> tuple[Stems, NDArray[np.int64]]:
    """The stems of a chunk of classes and, class after class, the stem of each example."""
    position: dict[tuple[int, int, bool], int] = {}  # (class, face, pen) -> position when first met
    chosen = []
    for index, glyph in enumerate(classes):
        faces = rng.permutation(glyph.faces).tolist()
        for example, pen in enumerate((rng.random(num_examples) < _PEN_SHARE).tolist()):
            face = faces[example % (min(_PEN_FACES, len(faces)) if pen else len(faces))]
            chosen.append(position.setdefault((index, face, pen), len(position)))
    masks: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for index, face, _ in position:
        if (index, face) not in masks:
            masks[index, face] = _mask(classes[index], face, fonts[face])
    ink = np.stack([masks[index, face] for index, face, _ in position])
    return _fields(ink, np.array([pen for *_, pen in position])), np.array(chosen)


def _mask(glyph: GlyphClass, face: int, font: FreeTypeFont) -> NDArray[np.bool_]:
    drawing = draw(font, glyph.code_point)
    if drawing is None:
        raise ValueError(f"class {glyph.name!r} is blank in face {list(FACES)[face]!r}")
    return fit(drawing)


def _fields(ink: NDArray[np.bool_], pen: NDArray[np.bool_]) -> Stems:
    """The stems of masks `[stems, SIDE, SIDE]`, as skeletons where `pen`."""
    field = np.empty(ink.shape, np.float32)
    field[~pen] = signed_distance(ink[~pen])
    field[pen] = skeleton_distance(ink[pen])
    area = np.count_nonzero(ink, axis=(1, 2))
    # In a straight stroke the mean distance of the ink to the border is half its half width.
    stroke = np.where(pen, 0, 2 * np.maximum(-field, 0).sum((1, 2)) / area)
    on_skeleton = np.count_nonzero(field == 0, axis=(1, 2))
    length = np.where(pen, on_skeleton, area / np.maximum(2 * stroke, 1))
    half_extents = np.stack([ink.any(1).sum(1), ink.any(2).sum(1)], axis=1) / 2
    return Stems(
        field,
        half_extents.astype(np.float32),
        stroke.astype(np.float32),
        length.astype(np.float32),
    )
