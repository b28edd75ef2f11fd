"""Messages between a process and a guest's own: JSON and arrays, never code.

8 bytes  length of the JSON, big-endian
8 bytes  length of the arrays
JSON     UTF-8
arrays   safetensors
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import load, save

Arrays = Mapping[str, np.ndarray]

_LENGTHS = struct.Struct(">QQ")


def write_message(stream: BinaryIO, content: Mapping[str, Any], arrays: Arrays) -> None:
    """Writes one message; raises `OSError` if nobody reads any more."""
    text = json.dumps(content).encode()
    packed = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    stream.write(_LENGTHS.pack(len(text), len(packed)))
    stream.write(text)
    stream.write(packed)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Returns the next message; None if the stream ended, in the middle of one, too."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    length, size = _LENGTHS.unpack(lengths)
    text, packed = stream.read(length), stream.read(size)
    if len(text) < length or len(packed) < size:
        return None
    content = json.loads(text)
    assert isinstance(content, dict)
    return content, load(packed)
