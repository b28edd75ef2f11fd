"""What a column holds, as hashes and as tensors by name: identity, and files.

Segments count as if they were joined: how examples came together says nothing of what they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from metaloop.core.columns import (
    Beside,
    Column,
    Lookup,
    Ragged,
    Segments,
    Texts,
    described,
    length,
    shape_of,
    whole,
)

_ROWS_AT_ONCE = 1 << 18  # whose hashes are in memory


def hash_into(digest: Any, column: Column) -> None:
    """Gives a column's content to a digest of `hashlib`."""
    if isinstance(column, dict):
        for name, each in sorted(column.items()):
            digest.update(f"{name}\0".encode())
            hash_into(digest, each)
        return
    if isinstance(column, Beside):
        for piece in column.pieces:
            hash_into(digest, piece)
        return
    pieces = column.pieces if isinstance(column, Segments) else (column,)
    lookups = [piece for piece in pieces if isinstance(piece, Lookup)]
    if lookups:
        digest.update(f"{described(column)} {length(column)}".encode())
        for lookup in lookups:
            _hash_rows_into(digest, lookup)
        return
    tensors = [piece for piece in pieces if isinstance(piece, Tensor)]
    if tensors:
        kind = tensors[0][:0].cpu().numpy().dtype
        digest.update(f"{kind}{(length(column), *shape_of(column))}".encode())
        for tensor in tensors:
            digest.update(tensor.cpu().contiguous().numpy().data)
        return
    sequences = [piece for piece in pieces if isinstance(piece, Texts | Ragged)]
    digest.update(f"{described(column)} {length(column)}".encode())
    for piece in sequences:
        digest.update(np.diff(piece.ends.numpy(), prepend=0).data)
    for piece in sequences:
        digest.update(_elements(piece).numpy().data)


def row_hashes(column: Column) -> list[bytes]:
    """Returns a hash of the content of every example, 16 bytes: equal for equal examples alone."""
    if isinstance(column, dict | Beside):
        named = {} if isinstance(column, Beside) else dict(sorted(column.items()))
        several = column.pieces if isinstance(column, Beside) else named.values()
        fields = [row_hashes(each) for each in several]
        return [_hash(b"".join(row)) for row in zip(*fields, strict=True)]
    if isinstance(column, Segments):
        return [row for piece in column.pieces for row in row_hashes(piece)]
    if isinstance(column, Lookup):
        known = row_hashes(column.table)
        return [known[place] for place in column.index.tolist()]
    if isinstance(column, Tensor):
        rows = column.cpu().contiguous().numpy().reshape(len(column), -1)
        return [_hash(row.data) for row in rows]
    content = _elements(column).numpy()
    return [_hash(content[start:end].data) for start, end in pairwise([0, *column.ends.tolist()])]


def _hash_rows_into(digest: Any, piece: Lookup) -> None:
    """Gives the hash of every row, so that the order of a table means nothing."""
    known = np.frombuffer(b"".join(row_hashes(piece.table)), np.uint8).reshape(-1, 16)
    index = piece.index.cpu().numpy()
    for start in range(0, len(index), _ROWS_AT_ONCE):
        digest.update(np.ascontiguousarray(known[index[start : start + _ROWS_AT_ONCE]]).data)


def _hash(content: Any) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _elements(piece: Texts | Ragged) -> Tensor:
    """What the sequences consist of, one behind the other."""
    return piece.utf8 if isinstance(piece, Texts) else piece.values.cpu().contiguous()


def to_tensors(column: Column, name: str) -> dict[str, Tensor]:
    """Returns all content of a column by names that begin with `name`; see `from_tensors`."""
    if isinstance(column, Tensor):
        return {name: column.cpu().contiguous()}
    if isinstance(column, Texts):
        return {f"{name}.utf8": column.utf8, f"{name}.utf8_ends": column.ends}
    if isinstance(column, Ragged):
        return {f"{name}.values": column.values.cpu(), f"{name}.values_ends": column.ends}
    if isinstance(column, Segments):
        return to_tensors(whole(column), name)
    if isinstance(column, Lookup):
        index = column.index.cpu().contiguous()
        return {f"{name}.index": index, **to_tensors(column.table, f"{name}.table")}
    if isinstance(column, Beside):
        parts = [to_tensors(each, f"{name}.by.{n}") for n, each in enumerate(column.pieces)]
        return {key: tensor for each in parts for key, tensor in each.items()}
    if any("." in field for field in column):
        raise ValueError(f"names of fields have no dots, got {sorted(column)}")
    named = [to_tensors(each, f"{name}.of.{field}") for field, each in column.items()]
    return {key: tensor for each in named for key, tensor in each.items()}


def from_tensors(tensors: Mapping[str, Tensor], name: str) -> Column:
    """Returns the column that `to_tensors` took apart; raises `LookupError` without it."""
    if name in tensors:
        return tensors[name]
    if f"{name}.utf8" in tensors:
        return Texts(tensors[f"{name}.utf8"], tensors[f"{name}.utf8_ends"])
    if f"{name}.values" in tensors:
        return Ragged(tensors[f"{name}.values"], tensors[f"{name}.values_ends"])
    if f"{name}.index" in tensors:
        return Lookup(from_tensors(tensors, f"{name}.table"), tensors[f"{name}.index"])
    start = f"{name}.by."
    places = {int(key[len(start) :].partition(".")[0]) for key in tensors if key.startswith(start)}
    if places:
        return Beside(tuple(from_tensors(tensors, f"{start}{place}") for place in sorted(places)))
    start = f"{name}.of."
    fields = {key[len(start) :].partition(".")[0]: None for key in tensors if key.startswith(start)}
    if not fields:
        raise LookupError(f"there is no column '{name}'")
    return {field: from_tensors(tensors, f"{start}{field}") for field in fields}
