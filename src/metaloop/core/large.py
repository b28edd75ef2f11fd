"""Arrays that are larger than memory may be: in files that go with them, or mapped as they are.

What is mapped is in memory only as long as nothing else needs the room. So nothing here copies
more than a piece at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

MOST_IN_MEMORY = 1 << 30  # bytes of one array
AT_ONCE = 1 << 24  # bytes that are looked at or moved together
_MOST_RUNS = 64  # of rows: each is a piece to be gathered from


def room(shape: tuple[int, ...], dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """Returns an array of this shape: in memory, or where it is large in a file that goes with it.

    Its content is whatever was there.
    """
    if np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize <= MOST_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def pieces(array: np.ndarray | Tensor) -> Iterator[slice]:
    """Yields slices of rows that together are all of them, each a piece to be looked at at once."""
    each = array[:1].nbytes
    step = max(1, AT_ONCE // max(1, each))
    for start in range(0, len(array), step):
        yield slice(start, start + step)


def compact(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the rows `[n]` of an array alone, as a copy that has `room`."""
    out = room((len(rows), *array.shape[1:]), array.dtype)
    for piece in pieces(out):
        out[piece] = array[rows[piece]]
    return out


def rows_of(tensor: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
    """Returns rows `[n]` of a tensor as one or several tensors, one behind the other.

    They are a copy, which has `room`; of a large tensor on the CPU they are a few pieces of itself
    where rows rise and are in few places.
    """
    if tensor.nbytes <= MOST_IN_MEMORY or tensor.device.type != "cpu":
        return (tensor.index_select(0, rows.to(tensor.device)),)
    places = rows.cpu().numpy()
    ends = (np.flatnonzero(np.diff(places) != 1) + 1).tolist()
    if len(ends) >= _MOST_RUNS or not len(places) or (np.diff(places) < 1).any():
        return (torch.from_numpy(compact(tensor.numpy(), places)),)
    starts, stops = [0, *ends], [*ends, len(places)]
    return tuple(
        tensor[int(places[start]) : int(places[stop - 1]) + 1]
        for start, stop in zip(starts, stops, strict=True)
    )
