"""Files of tensors that are mapped: written in a stream, opened without reading them.

The format is safetensors: 8 bytes that say how long the header is, the header as JSON, the numbers.
Any reader of that format reads them. What is opened here is checked against the length of the file
first, and is mapped for this process alone: nothing that is written to a tensor reaches the file.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from metaloop.core.large import pieces

_ALIGNMENT = 64  # bytes, as torch aligns: sums over other addresses may differ in their last bits
_LONGEST_HEADER = 1 << 20
_DTYPES = {
    "U8": torch.uint8,
    "I64": torch.int64,
    "F32": torch.float32,
    "F64": torch.float64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class NoSuchFileError(ValueError):
    """The file is none of those that `map_file` opens, or a damaged one."""


def write_file(
    file: BinaryIO, tensors: Mapping[str, Sequence[Tensor]], facts: Mapping[str, str]
) -> None:
    """Writes tensors, each given as pieces one behind the other, and facts about them.

    A few rows are in memory at a time. Those whose numbers are larger come first: all are aligned.
    """
    header: dict[str, Any] = {"__metadata__": dict(facts)}
    end = 0
    order = sorted(tensors, key=lambda name: -tensors[name][0].element_size())
    for name in order:
        first, start = tensors[name][0], end
        end += sum(piece.nbytes for piece in tensors[name])
        shape = [sum(map(len, tensors[name])), *first.shape[1:]]
        offsets = [start, end]
        header[name] = {"dtype": _NAMES[first.dtype], "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        for tensor in tensors[name]:
            for rows in pieces(tensor):
                file.write(tensor[rows].cpu().contiguous().numpy().tobytes())


def facts_of(path: Path) -> Mapping[str, str]:
    """Returns the facts in a file of this format; empty for any other file."""
    try:
        with path.open("rb") as file:
            facts = _header(file)[0].get("__metadata__", {})
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def map_file(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file by name, mapped. Raises `NoSuchFileError` or `OSError`."""
    with path.open("rb") as file:
        header, start = _header(file)
        header.pop("__metadata__", None)
        length = file.seek(0, 2)
        end = start + max(int(entry["data_offsets"][1]) for entry in header.values())
        if length != end:
            told = "ends too early" if length < end else "is too long"
            raise NoSuchFileError(f"it {told}: {length:,} bytes of {end:,}")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return {name: _tensor(mapped, name, entry, start) for name, entry in header.items()}


def _tensor(mapped: mmap.mmap, name: str, entry: Mapping[str, Any], start: int) -> Tensor:
    dtype, shape = _DTYPES.get(entry["dtype"]), entry["shape"]
    begin, end = entry["data_offsets"]
    if dtype is None or begin < 0 or end - begin != math.prod(shape) * dtype.itemsize:
        raise NoSuchFileError(f"its tensor '{name}' is not as long as it should be")
    if not math.prod(shape):
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(mapped, dtype=dtype, count=math.prod(shape), offset=start + begin).view(
        shape
    )


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and where the numbers begin."""
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= _LONGEST_HEADER:
        raise NoSuchFileError("it has no header")
    header = json.loads(file.read(length))
    if not isinstance(header, dict) or len(header) < 2:
        raise NoSuchFileError("it has no tensors")
    return header, 8 + length
