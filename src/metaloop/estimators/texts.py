"""Texts as inputs: seen by the model's view a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from metaloop.catalogue.views import seen
from metaloop.core.columns import Texts
from metaloop.core.errors import DataError, InputError
from metaloop.core.fitted_view import FittedView

_EXPECTED = "expected a list, array or column of strings"
_SHOWN = 40  # characters of a text in a message


@dataclass(frozen=True, eq=False)
class TextRows:
    """Texts, and the view that a model has of them; a slice is a tensor `[n, features]`."""

    texts: tuple[str, ...]
    view: FittedView

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: slice) -> Tensor:
        return seen(self.view, Texts.of(self.texts[rows]))


def read_texts(X: Any, view: FittedView) -> TextRows:
    """Returns `X`, a sequence of strings (a list, an array, a column of a data frame).

    Raises `InputError` for anything else, naming the first that is no string.
    """
    if isinstance(X, str | bytes):
        raise InputError(f"X is one text ({X[:_SHOWN]!r}); {_EXPECTED}: [X]")
    if isinstance(X, Iterator) or hasattr(X, "read"):
        raise InputError(
            f"X is a {type(X).__name__}, which can be read only once; give a list or an array"
        )
    values = np.asarray(X, dtype=object) if not isinstance(X, Sequence) else X
    if isinstance(values, np.ndarray):
        if values.ndim == 2 and values.shape[1] == 1:  # a frame of one column
            values = values[:, 0]
        if values.ndim != 1:
            raise InputError(f"the model takes texts: {_EXPECTED}, got X as {list(values.shape)}")
        values = values.tolist()
    if not len(values):
        raise InputError(f"X has no examples; {_EXPECTED}")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise InputError(
                f"the model takes texts: X[{row}] is a {type(value).__name__} ({value!r:.{_SHOWN}})"
                f"; {_EXPECTED}"
            )
    try:
        Texts.of(values)
    except DataError as error:
        raise InputError(f"X: {error}") from error
    return TextRows(tuple(map(str, values)), view)
