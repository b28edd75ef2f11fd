"""The characters that matplotlib's fonts share, as classes: what counts as one character.

A class is a character as it looks, not a code point: every example is scaled to the same size, so
Latin A, Greek Alpha and Cyrillic A are one class, and so are C and c.
Digits take no part, so that recognising digits is a question about unseen classes.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray

from metaloop.tasks.glyph_fields import signed_distance
from metaloop.tasks.glyph_outlines import FACES, MAIN_FACES, SIDE, draw, face_file, fit, open_face

# Two drawings look alike if no ink of one is farther than this from the ink of the other.
# 2 of 40 pixels are 1.4 of 28, what the bends of an example move anyway.
_ALIKE_PIXELS = 2.0
_ALIKE_SHARE = 0.5  # of the main faces that draw both characters
# Only pairs with this cosine between drawings pooled 4x4 are looked at, 1 % of all. Measured with
# 0.6 instead: 51 of 3,780 alike pairs are missed, 6 classes more remain; 0.6 costs 2 s.
_WORTH_MEASURING = 0.8
_POOL = 4
_PAIRS_PER_BLOCK = 512

# Patterns of dots, bars and filled cells differ by position and count, which scaling hides.
_UNSUITED_BLOCKS = (range(0x2500, 0x25A0), range(0x2800, 0x2900))  # box drawing, blocks; Braille
_UNSUITED_CATEGORIES = "CMZ"  # controls and private use, combining marks, spaces
_SCALED_COPIES = ("<super>", "<sub>", "<wide>", "<narrow>", "<small>")
_DIGITS = frozenset("0123456789")


@dataclass(frozen=True)
class GlyphClass:
    """One character: the code point that stands for it and the faces that draw it."""

    code_point: int
    name: str  # the Unicode name, or U+XXXX
    group: str  # the name's first word: LATIN, GREEK, CYRILLIC, LEFTWARDS, ...
    faces: tuple[int, ...]  # positions in FACES, ascending; the first of those that draw the same
    merged: tuple[int, ...]  # every code point of the class, ascending


def glyph_classes(min_faces: int = 8) -> list[GlyphClass]:
    """The classes whose code point at least `min_faces` faces map, by ascending code point.

    Some faces only repeat the drawing of another: `GlyphClass.faces` may then be shorter.
    Left out: blank glyphs, combining marks, scaled copies (superscripts), box drawing and Braille.
    Excluded on purpose, so that digits are unseen: 0-9 and whatever means, contains or looks like
    one of them (other scripts' digits, circled, superscript, fractions, Cyrillic Ze that looks
    like 3). What merely resembles a digit stays: O, l, S. In a minority of the faces two classes
    may still look alike (measured with 8 faces: about 350 pairs of code points).
    A `min_faces` outside 1..len(FACES) raises ValueError.
    """
    if not 1 <= min_faces <= len(FACES):
        raise ValueError(f"min_faces must be in 1..{len(FACES)}. Got {min_faces!r} instead.")
    faces_of = _faces_of(min_faces)
    groups = _Groups(faces_of)
    inked = _join_alike(groups, faces_of)
    chosen = []
    for members in groups.members(inked):
        if not any(_is_digit(member) for member in members):
            # The member that most faces map stands for all; the lowest of those.
            chosen.append((min(members, key=lambda one: (-len(faces_of[one]), one)), members))
    drawn = _distinct_faces({code_point: faces_of[code_point] for code_point, _ in chosen})
    return [
        _glyph_class(code_point, drawn[code_point], members)
        for code_point, members in sorted(chosen)
    ]


def _glyph_class(code_point: int, faces: list[int], members: list[int]) -> GlyphClass:
    name = unicodedata.name(chr(code_point), f"U+{code_point:04X}")
    return GlyphClass(code_point, name, name.split()[0], tuple(faces), tuple(members))


def _faces_of(min_faces: int) -> dict[int, list[int]]:
    """Suited code points, ascending -> the faces that map them, at least `min_faces`."""
    faces_of: dict[int, list[int]] = {}
    for face, allowed in enumerate(FACES.values()):
        for code_point in FT2Font(str(face_file(face))).get_charmap():
            if allowed is None or code_point in allowed:
                faces_of.setdefault(int(code_point), []).append(face)
    return {
        code_point: faces
        for code_point, faces in sorted(faces_of.items())
        if len(faces) >= min_faces and _is_suited(chr(code_point))
    }


def _is_suited(character: str) -> bool:
    return not (
        unicodedata.category(character)[0] in _UNSUITED_CATEGORIES
        or unicodedata.decomposition(character).startswith(_SCALED_COPIES)
        or any(ord(character) in block for block in _UNSUITED_BLOCKS)
    )


def _is_digit(code_point: int) -> bool:
    character = chr(code_point)
    plain = unicodedata.normalize("NFKD", character)
    return unicodedata.digit(character, None) is not None or bool(_DIGITS & set(plain))


def _join_alike(groups: "_Groups", faces_of: dict[int, list[int]]) -> list[int]:
    """Joins the code points that look alike; returns those with ink, ascending."""
    drawn_by: dict[int, set[int]] = {}
    alike_in: dict[tuple[int, int], int] = {}
    for face in MAIN_FACES:
        font = open_face(face)
        masks, owners = [], []
        owner_of_drawing: dict[tuple[tuple[int, int], bytes], int] = {}
        for code_point in (one for one, faces in faces_of.items() if face in faces):
            drawing = draw(font, code_point)
            if drawing is None:
                continue
            drawn_by.setdefault(code_point, set()).add(face)
            # The same outline in one face is enough: nobody could tell the two apart in it.
            first = owner_of_drawing.setdefault((drawing.size, drawing.tobytes()), code_point)
            groups.join(first, code_point)
            masks.append(fit(drawing))
            owners.append(code_point)
        for one, other in _pairs_alike(masks):
            pair = (owners[one], owners[other])
            alike_in[pair] = alike_in.get(pair, 0) + 1
    for (one, other), num_alike in alike_in.items():
        if num_alike >= _ALIKE_SHARE * len(drawn_by[one] & drawn_by[other]):
            groups.join(one, other)
    return sorted(drawn_by)


def _pairs_alike(masks: list[NDArray[np.bool_]]) -> Iterable[tuple[int, int]]:
    """Positions i < j of fitted drawings that look alike."""
    if not masks:
        return
    ink = np.stack(masks).astype(np.float32)
    distance = np.maximum(signed_distance(ink > 0), 0)
    cells = SIDE // _POOL
    pooled = ink.reshape(-1, cells, _POOL, cells, _POOL).mean((2, 4)).reshape(len(ink), -1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    first, second = np.nonzero(np.triu(pooled @ pooled.T, 1) > _WORTH_MEASURING)
    for start in range(0, len(first), _PAIRS_PER_BLOCK):
        i = first[start : start + _PAIRS_PER_BLOCK]
        j = second[start : start + _PAIRS_PER_BLOCK]
        farthest = np.maximum(
            (distance[i] * ink[j]).max((1, 2)), (distance[j] * ink[i]).max((1, 2))
        )
        near = farthest <= _ALIKE_PIXELS
        yield from zip(i[near].tolist(), j[near].tolist(), strict=True)


def _distinct_faces(faces_of: dict[int, list[int]]) -> dict[int, list[int]]:
    """The faces of each code point without blanks and without repetitions of an earlier face."""
    seen: dict[int, set[tuple[tuple[int, int], bytes]]] = {one: set() for one in faces_of}
    distinct: dict[int, list[int]] = {one: [] for one in faces_of}
    for face in range(len(FACES)):
        font = open_face(face)
        for code_point in (one for one, faces in faces_of.items() if face in faces):
            drawing = draw(font, code_point)
            if drawing is None or (drawing.size, drawing.tobytes()) in seen[code_point]:
                continue
            seen[code_point].add((drawing.size, drawing.tobytes()))
            distinct[code_point].append(face)
    return distinct


class _Groups:
    """Disjoint groups of code points that grow by joining (union-find)."""

    def __init__(self, code_points: Iterable[int]) -> None:
        self._parent = {code_point: code_point for code_point in code_points}

    def join(self, one: int, other: int) -> None:
        """Puts both code points, and all that were joined to them, in one group."""
        self._parent[self._root(other)] = self._root(one)

    def members(self, code_points: list[int]) -> list[list[int]]:
        """The groups among these code points."""
        groups: dict[int, list[int]] = {}
        for code_point in code_points:
            groups.setdefault(self._root(code_point), []).append(code_point)
        return list(groups.values())

    def _root(self, code_point: int) -> int:
        while self._parent[code_point] != code_point:
            self._parent[code_point] = self._parent[self._parent[code_point]]
            code_point = self._parent[code_point]
        return code_point
