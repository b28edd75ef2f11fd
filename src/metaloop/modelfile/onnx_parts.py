"""Whether an ONNX file is whole: told from its bytes, before a program that follows it is asked.

onnxruntime reads weights from other files that a model names, even where it was given bytes alone:
then from the folder the program runs in. So the file is gone through here, as the protocol buffer
that it is, along all messages that hold tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_TENSOR = "tensor"
# The fields of messages that lead to tensors, by the numbers of onnx.proto.
_WITHIN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # kinds of fields


def has_other_files(content: bytes) -> bool:
    """Returns whether a model has tensors in other files.

    Raises `ValueError` for what is no protocol buffer.
    """
    waiting = [("model", memoryview(content))]
    while waiting:
        message, part = waiting.pop()
        for number, value in _fields(part):
            if message == _TENSOR:
                if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value):
                    return True
            elif number in _WITHIN[message]:
                if isinstance(value, int):
                    raise ValueError("a message is a number")
                waiting.append((_WITHIN[message][number], value))
    return False


def _fields(part: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yields number and content of every field of a message."""
    place = 0
    while place < len(part):
        key, place = _varint(part, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(part, place)
            yield number, value
            continue
        size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind)
        if kind == _LENGTH:
            size, place = _varint(part, place)
        if size is None or place + size > len(part):
            raise ValueError("it is cut, or no protocol buffer")
        yield number, part[place : place + size]
        place += size


def _varint(part: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(part) and shift < 70:
        byte = part[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("it is cut, or no protocol buffer")
