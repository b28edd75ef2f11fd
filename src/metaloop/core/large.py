"""Arrays that are larger than memory may be: in files that go with them, or mapped as they are.

What is mapped is in memory only as long as nothing else needs the room. So nothing here copies
more than a piece at a time.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_IN_MEMORY = 1 << 30  # bytes of one array
AT_ONCE = 1 << 24  # bytes that are looked at or moved together
_MOST_RUNS = 64  # of rows: each is a piece to be gathered from
_MOST_ASKED = 1 << 14  # rows; of more, reading ahead does as well
_WILL_NEED = 3  # <sys/mman.h>
_PAGE = 4096  # bytes, or a multiple of that


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


def read_ahead(tensor: Tensor, rows: Tensor) -> None:
    """Has the kernel fetch these rows of a large tensor all at once, if it is mapped from a file.

    Gathering then waits for the slowest of them, not for each in turn. Elsewhere it does nothing.
    """
    if tensor.nbytes <= MOST_IN_MEMORY or tensor.device.type != "cpu" or len(rows) > _MOST_ASKED:
        return
    libc = _libc()
    if libc is None or not tensor.is_contiguous():
        return
    first, each = tensor.data_ptr(), tensor[:1].nbytes
    for row in rows.tolist():
        start = (first + row * each) // _PAGE * _PAGE
        libc.madvise(start, first + (row + 1) * each - start, _WILL_NEED)


@cache
def _libc() -> Any:
    """The library that has `madvise`; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        madvise = (libc := ctypes.CDLL("libc.so.6")).madvise
    except (OSError, AttributeError):
        return None
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return libc


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
