"""`X` that is a list of one thing each: texts, names of items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from metaloop.core.errors import InputError

SHOWN = 40  # characters of a value in a message


def one_column(X: Any, kind: str, expected: str) -> list[Any]:
    """Returns the values of `X`: a sequence, an array, or a data frame or array of one column.

    `kind` is what each is, `expected` what to give. Raises `InputError` for a
    single text, for what can be read only once, for more columns, and for nothing at all.
    """
    if isinstance(X, str | bytes):
        raise InputError(f"X is one {kind} ({X[:SHOWN]!r}); {expected}: [X]")
    if isinstance(X, Iterator) or hasattr(X, "read"):
        raise InputError(
            f"X is a {type(X).__name__}, which can be read only once; give a list or an array"
        )
    values = X if isinstance(X, Sequence) else np.asarray(X, dtype=object)
    if isinstance(values, np.ndarray):
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise InputError(f"the model takes {kind}s: {expected}, got X as {list(values.shape)}")
        values = values.tolist()
    if not len(values):
        raise InputError(f"X has no examples; {expected}")
    return list(values)
