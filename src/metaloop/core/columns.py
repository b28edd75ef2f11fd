"""Columns: what examples are before anything is fitted on them, and the one way to gather them.

A column of N examples is one of

    Tensor      `[N, *shape]`: images, vectors, indices
    Texts       strings, as UTF-8 in one tensor
    Ragged      sequences of different lengths, `[length, *shape]` each: waveforms, tokens, items
    Lookup      places in another column: many examples of few different inputs (ratings of items)
    Segments    columns of one kind behind each other: enlarging data copies nothing
    Beside      tensors of the same examples, flat and beside each other
    dict        columns by name: several fields of the same examples

`take` gathers rows of any of them. All content is in tensors, so that a column can be mapped from
a file, hashed and sent to another process as tensors are; only what is taken is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, Union, cast

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.core.large import read_ahead, rows_of
from metaloop.core.ordering import in_order

Column: TypeAlias = Union[
    Tensor, "Texts", "Ragged", "Lookup", "Segments", "Beside", "dict[str, Column]"
]
Taken: TypeAlias = Union[Tensor, "tuple[str, ...]", "dict[str, Taken]"]


@dataclass(frozen=True, eq=False)
class Texts:
    """N strings: `utf8` uint8 `[bytes]`, and `ends` int64 `[N]`, where each stops."""

    utf8: Tensor
    ends: Tensor

    @staticmethod
    def of(texts: Sequence[str]) -> Texts:
        """Returns the column of these strings; raises `DataError` for one that is not Unicode."""
        try:
            encoded = [text.encode() for text in texts]
        except UnicodeEncodeError as error:
            raise DataError(
                f"a text has half of a character ({error.object[error.start : error.end]!r}); "
                f"write it as UTF-8 again"
            ) from error
        joined = np.frombuffer(b"".join(encoded), np.uint8).copy()
        ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
        return Texts(torch.from_numpy(joined), torch.from_numpy(ends))

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: Tensor) -> tuple[str, ...]:
        """Returns the strings of these rows, in the order of the flattened index."""
        content = self.utf8.numpy()
        return tuple(
            content[start:end].tobytes().decode()
            for start, end in zip(*_bounds(self.ends, rows), strict=True)
        )

    def all(self) -> tuple[str, ...]:
        """Returns all strings, in their order."""
        return self.take(torch.arange(len(self)))

    @property
    def is_sound(self) -> bool:
        """Whether the ends fit the bytes, and these are UTF-8: of tensors that a file had."""
        ends = self.ends.numpy()
        if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if len(ends) else 0) != len(self.utf8):
            return False
        try:
            self.all()
        except UnicodeDecodeError:
            return False
        return True


@dataclass(frozen=True, eq=False)
class Ragged:
    """N sequences: `values [total, *shape]` one behind the other, `ends` int64 `[N]`."""

    values: Tensor
    ends: Tensor

    @staticmethod
    def of(sequences: Sequence[Tensor]) -> Ragged:
        """Returns the column of these sequences `[length, *shape]`, at least one."""
        lengths = torch.tensor([len(each) for each in sequences], dtype=torch.int64)
        return Ragged(torch.cat(list(sequences)), lengths.cumsum(0))

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: Tensor) -> dict[str, Tensor]:
        """Returns `values [*rows, longest, *shape]` and their `mask [*rows, longest]`.

        What is behind the end of a sequence is zero.
        """
        starts, ends = (torch.from_numpy(each) for each in _bounds(self.ends, rows))
        lengths = ends - starts
        steps = torch.arange(int(lengths.max()) if len(lengths) else 0)
        mask = steps < lengths[:, None]
        places = torch.where(mask, starts[:, None] + steps, 0).to(self.values.device)
        mask = mask.to(self.values.device)
        if len(self.values):
            values = self.values[places]
        else:  # only empty sequences
            values = self.values.new_zeros((*places.shape, *self.values.shape[1:]))
        values[~mask] = 0
        shape = (*rows.shape, len(steps))
        return {
            "values": values.view(*shape, *self.values.shape[1:]),
            "mask": mask.view(shape),
        }


@dataclass(frozen=True, eq=False)
class Lookup:
    """N examples that are rows of a `table`, a column itself: `index` int64 `[N]` says which.

    Only the places are kept for each example. A table of texts holds the names of items.
    """

    table: Column
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Tensor) -> Taken:
        """Returns what the table holds at the places of these rows."""
        return take(self.table, self.index[rows.to(self.index.device)])


@dataclass(frozen=True, eq=False)
class Segments:
    """Columns of one kind behind each other, as if they were one; see `behind`."""

    pieces: tuple[Column, ...]

    @cached_property
    def starts(self) -> np.ndarray:
        """The row that each piece begins with, and the number of rows, int64 `[pieces + 1]`."""
        return np.cumsum([0, *map(length, self.pieces)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, rows: Tensor) -> Taken:
        """Returns what the pieces hold in these rows, in their order."""
        asked = rows.flatten().cpu().numpy()
        piece_of = np.searchsorted(self.starts, asked, side="right") - 1
        hit = np.unique(piece_of)
        if len(hit) == 1:
            return take(self.pieces[hit[0]], rows - int(self.starts[hit[0]]))
        order = np.argsort(piece_of, kind="stable")
        parts = [
            take(self.pieces[p], torch.from_numpy(asked[piece_of == p] - self.starts[p]))
            for p in hit
        ]
        taken: Taken = in_order(parts, np.argsort(order), tuple(rows.shape))
        return taken


@dataclass(frozen=True, eq=False)
class Beside:
    """Inputs of N examples in several views, one beside the other: `[N, features of all]`.

    Each of the `pieces` has inputs of one shape. What is taken is flat, in float32, images of bytes
    from 0 to 1; nothing is copied before.
    """

    pieces: tuple[Column, ...]

    def __len__(self) -> int:
        return length(self.pieces[0])

    def take(self, rows: Tensor) -> Tensor:
        """Returns these rows, float32 `[*rows, features]`."""
        return flat_beside([cast(Tensor, take(piece, rows)) for piece in self.pieces], rows.dim())


def flat_beside(inputs: Sequence[Tensor], axes: int = 1) -> Tensor:
    """Returns inputs, each `[*rows, *shape]` with so many axes of rows, as `[*rows, features]`."""
    parts = [each.flatten(axes) if each.dim() > axes else each[..., None] for each in inputs]
    floats = [part.float() / 255 if part.dtype == torch.uint8 else part.float() for part in parts]
    return torch.cat(floats, dim=-1)


def take(column: Column, rows: Tensor) -> Taken:
    """Returns these rows (int64 of any shape, `[*rows]`) of a column.

    A tensor `[*rows, *shape]`; a tuple of strings, flat; a dictionary of what its columns give.
    """
    if isinstance(column, Tensor):
        asked = rows.flatten().to(column.device)
        read_ahead(column, asked)
        flat = column.index_select(0, asked)
        return flat.view(*rows.shape, *column.shape[1:])
    if isinstance(column, dict):
        return {name: take(each, rows) for name, each in column.items()}
    taken: Any = column.take(rows)
    return cast(Taken, taken)


def chosen(column: Column, rows: Tensor) -> Column:
    """Returns a column of these rows `[n]` alone: a copy of them, unless it would be large."""
    if isinstance(column, Tensor):
        return behind(rows_of(column, rows))
    if isinstance(column, dict):
        return {name: chosen(each, rows) for name, each in column.items()}
    if isinstance(column, Segments):
        return _chosen_behind(column, rows)
    if isinstance(column, Beside):
        return Beside(tuple(chosen(piece, rows) for piece in column.pieces))
    if isinstance(column, Lookup):
        return Lookup(column.table, column.index.index_select(0, rows.to(column.index.device)))
    starts, ends = _bounds(column.ends, rows)
    values = column.utf8 if isinstance(column, Texts) else column.values
    places = [torch.arange(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
    index = torch.cat([*places, torch.empty(0, dtype=torch.int64)])
    kept = values.index_select(0, index.to(values.device))
    return type(column)(kept, torch.from_numpy(np.cumsum(ends - starts, dtype=np.int64)))


def _chosen_behind(column: Segments, rows: Tensor) -> Column:
    """Rows of pieces: rising ones piece by piece, so that large pieces are not joined for it."""
    places = rows.cpu().numpy()
    if not all(isinstance(piece, Tensor) for piece in column.pieces) or (np.diff(places) < 0).any():
        return chosen(whole(column), rows)
    bounds = np.searchsorted(places, column.starts)
    inside = [places[a:b] - at for a, b, at in zip(bounds, bounds[1:], column.starts, strict=False)]
    return behind(
        [chosen(each, torch.from_numpy(at)) for each, at in zip(column.pieces, inside, strict=True)]
    )


def pieces_of(column: Column) -> tuple[Column, ...]:
    """Returns the columns that it consists of, one behind the other: itself where it is one."""
    return column.pieces if isinstance(column, Segments) else (column,)


def tensors_of(column: Column) -> tuple[Tensor, ...]:
    """Returns the tensors of a column of inputs of one shape, in order; else `TypeError`."""
    pieces = [piece for piece in pieces_of(column) if isinstance(piece, Tensor)]
    if not pieces:
        raise TypeError(f"expected inputs of one shape, got {described(column)}")
    return tuple(pieces)


def behind(columns: Sequence[Column]) -> Column:
    """Returns columns of one kind as one; nothing is copied. Raises `DataError` if kinds differ."""
    first = columns[0]
    for other in columns[1:]:
        if described(other) != described(first):
            raise DataError(
                f"examples of {described(other)} cannot stand behind {described(first)}"
            )
    if isinstance(first, dict):
        fields: list[dict[str, Column]] = [each for each in columns if isinstance(each, dict)]
        return {name: behind([each[name] for each in fields]) for name in first}
    pieces: list[Column] = []
    for column in columns:
        pieces.extend(column.pieces if isinstance(column, Segments) else [column])
    filled = [piece for piece in pieces if length(piece)]
    return Segments(tuple(filled)) if len(filled) > 1 else (filled or pieces)[0]


def whole(column: Column) -> Column:
    """Returns the column without segments: a copy where it had any."""
    if isinstance(column, dict):
        return {name: whole(each) for name, each in column.items()}
    if not isinstance(column, Segments):
        return column
    pieces = [whole(piece) for piece in column.pieces]
    lookups = [piece for piece in pieces if isinstance(piece, Lookup)]
    if lookups:
        return _one_lookup(lookups)
    tensors = [piece for piece in pieces if isinstance(piece, Tensor)]
    if len(tensors) == len(pieces):
        return torch.cat(tensors)
    texts = [piece for piece in pieces if isinstance(piece, Texts)]
    if len(texts) == len(pieces):
        return Texts(*_joined([(each.utf8, each.ends) for each in texts]))
    ragged = [piece for piece in pieces if isinstance(piece, Ragged)]
    return Ragged(*_joined([(each.values, each.ends) for each in ragged]))


def length(column: Column) -> int:
    """Returns N, the number of examples."""
    if isinstance(column, dict):
        return length(next(iter(column.values())))
    return len(column)


def moved(column: Column, device: torch.device | str) -> Column:
    """Returns the column with its numbers on `device`; strings and ends stay where they are."""
    if isinstance(column, Tensor):
        return column.to(device)
    if isinstance(column, dict):
        return {name: moved(each, device) for name, each in column.items()}
    if isinstance(column, Segments | Beside):
        return type(column)(tuple(moved(each, device) for each in column.pieces))
    if isinstance(column, Lookup):
        return Lookup(moved(column.table, device), column.index.to(device))
    return Ragged(column.values.to(device), column.ends) if isinstance(column, Ragged) else column


def device_of(column: Column) -> torch.device:
    """Returns where what is taken from the column is."""
    if isinstance(column, Tensor):
        return column.device
    if isinstance(column, dict):
        return device_of(next(iter(column.values())))
    if isinstance(column, Segments | Beside):
        return device_of(column.pieces[0])
    if isinstance(column, Lookup):
        return device_of(column.table)
    return column.values.device if isinstance(column, Ragged) else torch.device("cpu")


def shape_of(column: Column) -> tuple[int, ...]:
    """Returns the shape of one example where all have the same, else `()`."""
    if isinstance(column, Segments):
        return shape_of(column.pieces[0])
    if isinstance(column, Beside):
        return (sum(math.prod(shape_of(piece)) for piece in column.pieces),)
    if isinstance(column, Lookup):
        return shape_of(column.table)
    return tuple(column.shape[1:]) if isinstance(column, Tensor) else ()


def described(column: Column) -> str:
    """Returns what kind of column this is, in words."""
    if isinstance(column, Segments):
        return described(column.pieces[0])
    if isinstance(column, dict):
        return ", ".join(f"{name}: {described(each)}" for name, each in column.items())
    if isinstance(column, Texts):
        return "texts"
    if isinstance(column, Ragged):
        return f"sequences of shape {tuple(column.values.shape[1:])}"
    if isinstance(column, Lookup):
        return "items" if isinstance(column.table, Texts) else f"rows of {described(column.table)}"
    if isinstance(column, Beside):
        return " beside ".join(described(piece) for piece in column.pieces)
    return f"inputs of shape {tuple(column.shape[1:])}"


def _bounds(ends: Tensor, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last + 1 element of each of these rows, flat."""
    index, known = rows.flatten().cpu().numpy(), ends.numpy()
    return np.where(index > 0, known[np.maximum(index - 1, 0)], 0), known[index]


def _one_lookup(pieces: list[Lookup]) -> Lookup:
    """One lookup of all examples: in the table that they share, or in their tables together."""
    tables = [piece.table for piece in pieces]
    if all(table is tables[0] for table in tables):
        return Lookup(tables[0], torch.cat([piece.index for piece in pieces]))
    starts = np.cumsum([0, *map(length, tables)]).tolist()
    places = [piece.index + start for piece, start in zip(pieces, starts, strict=False)]
    return Lookup(whole(behind(tables)), torch.cat(places))


def _joined(pieces: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    starts = np.cumsum([0, *(len(values) for values, _ in pieces)])
    ends = [end + int(start) for (_, end), start in zip(pieces, starts, strict=False)]
    return torch.cat([values for values, _ in pieces]), torch.cat(ends)
