"""Arrays of numbers as compressed bytes: scores of units in archives and in workers' answers.

Little-endian, exact, and small where numbers repeat, as shares of a few queries do: 2,000 of them
take about 2 kB. Unpacking never makes more than was asked for.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from metaloop.core.query_scores import QueryScores
from metaloop.core.statistics import EpisodeScores

_MOST_BYTES = 1 << 26  # of one array: a million episodes of eight units


def packed(array: np.ndarray, kind: str = "<f8") -> bytes:
    """Returns the numbers of an array, row by row, as compressed bytes of this type."""
    return zlib.compress(np.ascontiguousarray(array, dtype=kind).tobytes())


def unpacked(content: bytes, shape: tuple[int, ...], kind: str = "<f8") -> np.ndarray:
    """Returns the array that `packed` was given; `ValueError` for bytes that hold anything else."""
    wanted = int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
    if not 0 <= wanted <= _MOST_BYTES:
        raise ValueError(f"an array of shape {shape} is too large")
    stream = zlib.decompressobj()
    try:
        numbers = stream.decompress(content, wanted + 1)
    except zlib.error as error:
        raise ValueError(f"packed numbers are damaged: {error}") from error
    if len(numbers) != wanted:
        raise ValueError(f"packed numbers are not of shape {shape}")
    array = np.frombuffer(numbers, dtype=kind).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))


def scores_to_json(scores: EpisodeScores) -> dict[str, Any]:
    """Returns scores as JSON values, all bits of them: what a worker answers with."""
    content: dict[str, Any] = {
        "shape": list(scores.units.shape),
        "values": _text(packed(scores.values)),
        "unit_values": _text(packed(scores.unit_values)),
        "units": _text(packed(scores.units, "<i8")),
    }
    if scores.queries is not None:
        content["queries"] = {
            "number": scores.queries.examples.shape[1],
            "values": _text(packed(scores.queries.values)),
            "examples": _text(packed(scores.queries.examples, "<i8")),
        }
    return content


def scores_from_json(content: Mapping[str, Any]) -> EpisodeScores:
    """Returns the scores that `scores_to_json` wrote; `ValueError` where they are damaged."""
    episodes, width = (int(number) for number in content["shape"])
    return EpisodeScores(
        unpacked(_bytes(content["values"]), (episodes,)),
        unpacked(_bytes(content["unit_values"]), (episodes, width)),
        unpacked(_bytes(content["units"]), (episodes, width), "<i8"),
        _queries(content["queries"], episodes) if "queries" in content else None,
    )


def _queries(content: Mapping[str, Any], episodes: int) -> QueryScores:
    shape = (episodes, int(content["number"]))
    return QueryScores(
        unpacked(_bytes(content["values"]), shape),
        unpacked(_bytes(content["examples"]), shape, "<i8"),
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"packed numbers are damaged: {error}") from error
