"""Texts as inputs: seen by the model's view a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metaloop.catalogue.views import seen
from metaloop.core.columns import Texts
from metaloop.core.errors import DataError, InputError
from metaloop.core.fitted_view import FittedView
from metaloop.estimators.one_column import SHOWN, one_column

_EXPECTED = "expected a list, array or column of strings"


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
    values = one_column(X, "text", _EXPECTED)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise InputError(
                f"the model takes texts: X[{row}] is a {type(value).__name__} ({value!r:.{SHOWN}})"
                f"; {_EXPECTED}"
            )
    try:
        Texts.of(values)
    except DataError as error:
        raise InputError(f"X: {error}") from error
    return TextRows(tuple(map(str, values)), view)
