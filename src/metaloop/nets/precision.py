"""The number format in which nets embed while training; heads and losses stay in float32.

On processors with bfloat16 arithmetic a convolutional step is up to twice as fast; on others it is
far slower. So it is a choice of the engine, which measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_embedding_precision: ContextVar[torch.dtype] = ContextVar("precision", default=torch.float32)


@contextmanager
def embedding_in(precision: torch.dtype) -> Iterator[None]:
    """Lets nets called inside embed in this precision where they use `batch` statistics."""
    token = _embedding_precision.set(precision)
    try:
        yield
    finally:
        _embedding_precision.reset(token)


def embedding_precision() -> torch.dtype:
    """Returns the precision that nets embed training batches in."""
    return _embedding_precision.get()
