"""What the examples of a column are to views and to readers: texts, images, numbers, sequences."""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core.columns import Column, Lookup, Ragged, Segments, Texts, pieces_of


def kind_of(column: Column) -> str:
    """Returns what examples are to views: `texts`, `images`, `recordings`, `vectors`, `items`.

    Or `documents`; "" if they are none of these.
    """
    if isinstance(column, Segments):
        return kind_of(column.pieces[0])
    if isinstance(column, dict):
        return "documents" if "document" in column else ""
    if isinstance(column, Lookup):
        return "items" if isinstance(column.table, Texts) else kind_of(column.table)
    if isinstance(column, Texts):
        return "texts"
    if isinstance(column, Ragged):
        return "recordings" if column.values.dim() == 1 else ""
    if not isinstance(column, Tensor):
        return ""
    if column.dtype == torch.uint8 and column.dim() == 4:
        return "images"
    return "vectors" if column.dim() == 2 else ""


def is_of_vectors(column: Column) -> bool:
    """Whether examples are numbers of any scale, as vectors are, and no bytes as of images."""
    first = pieces_of(column)[0]
    return isinstance(first, Tensor) and first.is_floating_point()


def mean_length(column: Column) -> float:
    """Returns how long sequences are on average; 1 for examples that are none."""
    pieces = [piece for piece in pieces_of(column) if isinstance(piece, Ragged)]
    examples = sum(map(len, pieces))
    return sum(len(piece.values) for piece in pieces) / examples if examples else 1.0
