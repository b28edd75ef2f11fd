"""Fingerprints: 40 bytes an example, near each other for copies and far for different content.

A copy is the same content a grey level off, encoded again, or read from another size; of vectors,
the same numbers up to rounding; of texts, the same letters and digits. Each kind of input has its
own fingerprint; how near two of them are decides, so that no bit that flips by chance matters:

    image      low frequencies of brightness and colour, relative to the image's contrast; int8
    vector     ten random directions of the standardised features; float32
    text       a hash of its letters and digits, whatever their case and what is between them
    otherwise  a hash of the bytes: equal or far apart (also images without contrast, for they
               have no low frequencies to compare, and vectors of one or two features, for in so
               few dimensions many examples are near each other)
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from metaloop.core.column_content import row_hashes
from metaloop.core.column_kinds import is_of_vectors
from metaloop.core.columns import Column, Texts, length, pieces_of, tensors_of
from metaloop.core.large import MOST_IN_MEMORY, pieces
from metaloop.core.randomness import numpy_stream
from metaloop.tasks.store import Store

BYTES = 40  # an example
_NUMBERS = BYTES // 4  # float32 numbers of a vector's fingerprint
_FREQUENCIES = 8  # along each side
_LEVELS = 127.0  # of an int8
_GREY_WAVES, _COLOUR_WAVES, _CHROMA_WAVES = 38, 27, 5  # together with means and contrast: 40
_LEAST_CONTRAST = 2.0  # grey levels; below, what is left is noise and rounding
_LEAST_FEATURES = 3
# Of 32,200 photographs at 32 x 32 (160 classes) and 129,840 characters at 28 x 28 (1,623, in four
# turns) the nearest two of different classes that are not equal bytes are farther than 0.08 and
# 0.0579 apart. A copy one grey level off is always found, one by JPEG of quality 90 in 99 of 100;
# one read from another size mostly among photographs, and hardly ever among line drawings.
_IMAGE_RADIUS = 0.05
_VECTOR_RADIUS = 3e-4  # standard deviations: rounding moves less, other examples more
_FAR = 1e6  # between hashes of vectors
_AT_ONCE = 4096


@dataclass(frozen=True)
class Scale:
    """What vectors are standardised with: a mean and a deviation for every feature."""

    mean: np.ndarray
    deviation: np.ndarray


def scale_of(inputs: Column) -> Scale | None:
    """Returns the scale of these vectors themselves; constant features keep their unit.

    None where inputs are not vectors.
    """
    if not is_of_vectors(inputs):
        return None
    tensors = [piece.detach().cpu().flatten(1) for piece in tensors_of(inputs)]
    if sum(each.nbytes for each in tensors) > MOST_IN_MEMORY:
        return _scale_of_many(tensors)
    rows = torch.cat(tensors).double().numpy()
    return _with_constants(rows.mean(0), rows.std(0), np.abs(rows).max(0, initial=0))


def _scale_of_many(tensors: Sequence[Tensor]) -> Scale:
    """The same of more numbers than should be in memory, piece by piece."""
    total, squares, largest = (np.zeros(tensors[0].shape[1]) for _ in range(3))
    number = sum(map(len, tensors))
    for each in tensors:
        for piece in pieces(each):
            rows = each[piece].double().numpy()
            total += rows.sum(0)
            largest = np.maximum(largest, np.abs(rows).max(0, initial=0))
    mean = total / number
    for each in tensors:
        for piece in pieces(each):
            squares += ((each[piece].double().numpy() - mean) ** 2).sum(0)
    return _with_constants(mean, np.sqrt(squares / number), largest)


def _with_constants(mean: np.ndarray, deviation: np.ndarray, largest: np.ndarray) -> Scale:
    constant = deviation < 1e-8 * np.maximum(largest, 1e-8)
    return Scale(mean, np.where(constant, 1.0, deviation))


def fingerprints(inputs: Column, scale: Scale | None = None) -> np.ndarray:
    """Returns uint8 `[N, 40]` for a column; `scale` (default: their own) is for vectors.

    Those of two sets of vectors can be compared if both were made with one scale.
    """
    if not length(inputs):
        return np.empty((0, BYTES), np.uint8)
    scale = scale or scale_of(inputs)
    return np.concatenate([_fingerprints(piece, scale) for piece in pieces_of(inputs)])


def prints_of(store: Store) -> np.ndarray:
    """Returns the fingerprints uint8 `[N, 40]` of a store: those that are kept with it, if any."""
    return fingerprints(store.inputs) if store.known is None else store.known.prints


def _fingerprints(inputs: Column, scale: Scale | None) -> np.ndarray:
    if isinstance(inputs, Texts):
        return _digests([_essence(text) for text in inputs.all()])
    if not isinstance(inputs, Tensor):
        return _digests(row_hashes(inputs))
    inputs = inputs.detach().cpu().contiguous()
    if inputs.dtype == torch.uint8 and inputs.dim() == 4:
        return _of_images(inputs.numpy())
    if inputs.is_floating_point() and inputs[0].numel() >= _LEAST_FEATURES:
        assert scale is not None  # these are vectors
        return _of_vectors(inputs, scale)
    hashes = _hashes(inputs.numpy())
    return _hashes_as_vectors(hashes) if inputs.is_floating_point() else hashes


class Known:
    """Fingerprints `[N, 40]` to be found again, by what is nearest to them."""

    def __init__(self, prints: np.ndarray, vectors: bool) -> None:
        self._vectors = vectors
        distinct, first = np.unique(_as_items(prints), return_index=True)
        self._first = first  # equal ones would only make the search slow
        self._tree = cKDTree(self._points(prints[first])) if len(distinct) else None

    def nearest(self, prints: np.ndarray) -> np.ndarray:
        """Returns, for each of these, the index of the nearest known one, or -1: no copy of any."""
        return self.neighbours(prints, 1)[:, 0]

    def neighbours(self, prints: np.ndarray, number: int) -> np.ndarray:
        """Returns indices `[N, number]` of known copies, nearest first, -1 where there is none.

        Of known ones that are equal to each other the first stands for all.
        """
        if self._tree is None or not len(prints):
            return np.full((len(prints), number), -1)
        radius = _VECTOR_RADIUS if self._vectors else _IMAGE_RADIUS
        _, asked, back = np.unique(_as_items(prints), return_index=True, return_inverse=True)
        _, found = self._tree.query(
            self._points(prints[asked]), k=[*range(1, number + 1)], distance_upper_bound=radius
        )
        return np.asarray(np.append(self._first, -1)[found][back.reshape(-1)])

    def pairs(self, most: int) -> np.ndarray | None:
        """Returns the pairs `[P, 2]` of indices of different known ones that are copies.

        None where there are more than about `most`: most of a set hang together then. Of known ones
        that are equal the first stands for all.
        """
        if self._tree is None:
            return np.empty((0, 2), np.int64)
        radius = _VECTOR_RADIUS if self._vectors else _IMAGE_RADIUS
        points = self._tree.data
        _, second = self._tree.query(points, k=[2], distance_upper_bound=radius)
        asked = np.flatnonzero(second[:, 0] < self._tree.n)
        if self._tree.query_ball_point(points[asked], radius, return_length=True).sum() > 2 * most:
            return None
        found = self._tree.query_ball_point(points[asked], radius)
        one = np.repeat(asked, [len(each) for each in found])
        other = np.fromiter((place for each in found for place in each), np.int64, len(one))
        return np.stack([self._first[one[one < other]], self._first[other[one < other]]], axis=1)

    def _points(self, prints: np.ndarray) -> np.ndarray:
        prints = np.ascontiguousarray(prints)
        if self._vectors:
            return np.nan_to_num(prints.view(np.float32).astype(np.float64))
        return prints.view(np.int8) / _LEVELS


def groups_of_equal(prints: np.ndarray) -> np.ndarray:
    """Returns a number for every fingerprint; equal numbers mean equal fingerprints."""
    return np.unique(_as_items(prints), return_inverse=True)[1].reshape(-1)


def _as_items(prints: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(prints).view(np.dtype((np.void, BYTES))).reshape(-1)


def _of_images(images: np.ndarray) -> np.ndarray:
    out = np.empty((len(images), BYTES), np.uint8)
    for start in range(0, len(images), _AT_ONCE):
        piece = images[start : start + _AT_ONCE]
        numbers, contrast = _low_frequencies(piece)
        coded = np.clip(np.rint(numbers * _LEVELS), -_LEVELS, _LEVELS).astype(np.int8)
        flat = contrast < _LEAST_CONTRAST
        out[start : start + len(piece)] = coded.view(np.uint8)
        out[start : start + len(piece)][flat] = _hashes(piece[flat])
    return out


def _low_frequencies(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns `[N, 40]` about -1 to 1, and the contrast `[N]` in grey levels."""
    down, across = _cosines(images.shape[2]), _cosines(images.shape[3])
    waves_NCFF = down @ images.astype(np.float32) @ across.T
    bright = waves_NCFF.mean(1)
    colour = waves_NCFF.shape[1] == 3
    parts = [_waves(bright, _COLOUR_WAVES if colour else _GREY_WAVES)]
    means = [bright[:, 0, 0]]
    if colour:
        red, green, blue = waves_NCFF[:, 0], waves_NCFF[:, 1], waves_NCFF[:, 2]
        for chroma in (red - green, (red + green) / 2 - blue):
            parts.append(_waves(chroma, _CHROMA_WAVES) / 2)
            means.append(chroma[:, 0, 0])
    waves = np.concatenate(parts, axis=1)
    contrast = np.linalg.norm(waves, axis=1)
    least = np.maximum(contrast, _LEAST_CONTRAST)[:, None]
    numbers = np.concatenate([waves / least, np.stack(means, axis=1) / 255], axis=1)
    if not colour:
        numbers = np.concatenate([numbers, np.log(least) / 8], axis=1)
    return numbers, contrast


def _cosines(side: int) -> np.ndarray:
    """The lowest cosines along a side, scaled so that the sum of squares is the mean square."""
    place = (np.arange(side) + 0.5) / side
    cosines = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), place)) * np.sqrt(2)
    cosines[0] = 1
    cosines[side:] = 0  # there are no more frequencies than pixels
    return np.asarray(cosines / side, dtype=np.float32)


def _waves(coefficients: np.ndarray, number: int) -> np.ndarray:
    """The `number` lowest frequencies but for the mean, `[N, number]`."""
    order = sorted(
        np.ndindex(_FREQUENCIES, _FREQUENCIES), key=lambda at: (at[0] ** 2 + at[1] ** 2, at)
    )
    rows, columns = np.array(order[1 : number + 1]).T
    return np.asarray(coefficients[:, rows, columns])


def _of_vectors(inputs: Tensor, scale: Scale) -> np.ndarray:
    rows = inputs.numpy().reshape(len(inputs), -1)
    directions = numpy_stream(0, "directions of fingerprints").normal(
        size=(rows.shape[1], _NUMBERS)
    ) / np.sqrt(rows.shape[1])
    out = np.empty((len(rows), _NUMBERS), np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        piece = (rows[start : start + _AT_ONCE] - scale.mean) / scale.deviation
        out[start : start + len(piece)] = piece @ directions
    return out.view(np.uint8)


def _hashes(rows: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(rows).reshape(len(rows), int(np.prod(rows.shape[1:])))
    return _digests([row.data for row in rows])


def _digests(contents: Sequence[bytes | memoryview]) -> np.ndarray:
    digests = [hashlib.blake2b(content, digest_size=BYTES).digest() for content in contents]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, BYTES)


def _essence(text: str) -> bytes:
    """The letters and digits of a text, in one case; all of one that has none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(letter if letter.isalnum() else " " for letter in folded).split()
    return (" ".join(words) or text).encode()


def _hashes_as_vectors(hashes: np.ndarray) -> np.ndarray:
    """As numbers that are finite and far from each other."""
    halves = np.ascontiguousarray(hashes).view(np.int16).reshape(len(hashes), _NUMBERS, 2)
    return np.asarray(halves.astype(np.float32).sum(-1) * np.float32(_FAR)).view(np.uint8)
