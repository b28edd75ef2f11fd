"""One number for every example, equal where the bytes are: to find what occurs twice, quickly.

A random combination of an example's 8-byte words modulo 2^64. It is no cryptographic hash: two
different examples of real data collide with a chance of about 2^-40 or less. Hashing each example
with BLAKE2 as `tasks/duplicates.py` does takes several times as long.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from metaloop.core.columns import Column, tensors_of
from metaloop.core.randomness import numpy_stream

_WORD_BYTES = 8
_BYTES_AT_ONCE = 1 << 21  # what a processor's cache holds


def fingerprints(inputs: Column) -> np.ndarray:
    """Returns uint64 `[N]` for inputs `[N, ...]`, in segments or not."""
    return np.concatenate([_of_tensor(piece) for piece in tensors_of(inputs)])


def _of_tensor(inputs: Tensor) -> np.ndarray:
    rows = np.ascontiguousarray(inputs.cpu().numpy()).reshape(len(inputs), -1)
    octets = rows.view(np.uint8) if rows.size else np.empty((len(rows), 0), np.uint8)
    padding = -octets.shape[1] % _WORD_BYTES
    num_words = (octets.shape[1] + padding) // _WORD_BYTES
    rng = numpy_stream(0, "fingerprints")
    weights = rng.integers(0, 2**64, num_words, dtype=np.uint64, endpoint=False) | np.uint64(1)
    out = np.empty(len(rows), np.uint64)
    at_once = max(1, _BYTES_AT_ONCE // max(1, octets.shape[1]))
    for start in range(0, len(rows), at_once):
        piece = octets[start : start + at_once]
        if padding:
            piece = np.pad(piece, ((0, 0), (0, padding)))
        words = piece.view(np.uint64)
        spread = words ^ (words >> np.uint64(29))  # high bytes reach the low bits, too
        out[start : start + len(piece)] = np.einsum("nw,w->n", spread, weights)
    return out
