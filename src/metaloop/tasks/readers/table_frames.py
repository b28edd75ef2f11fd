"""Data frames as columns: pandas, polars and Arrow by what they can do, none of them imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.table_columns import Declared, numbers_in_values, text_column
from metaloop.tasks.readers.table_parquet import arrow_columns

_CATEGORIES = ("CategoricalDtype", "Categorical", "Enum")  # types of pandas, and of polars
EXPECTED = "a pandas or polars DataFrame, an Arrow table or a dictionary of columns"


def is_frame(data: Any) -> bool:
    """Returns whether `table_of` can make a table of it."""
    if isinstance(data, Mapping) or hasattr(data, "column_names"):
        return True
    return hasattr(data, "columns") and hasattr(data, "__getitem__")


def frame_columns(where: str, frame: Any) -> Declared:
    """Returns the columns of a frame by name; raises `DataError` if it is none.

    Names that are no text (pandas numbers columns) become it. Columns of a categorical type are
    categories.
    """
    if hasattr(frame, "column_names") and hasattr(frame, "column"):
        return arrow_columns(where, frame)
    if hasattr(frame, "collect") and not hasattr(frame, "to_numpy"):
        raise DataError(f"{where} is lazy; give it .collect()")
    if not is_frame(frame):
        raise DataError(f"{where}: expected {EXPECTED}, got {type(frame).__name__}")
    names: Iterable[Any] = frame if isinstance(frame, Mapping) else frame.columns
    columns: dict[str, np.ndarray] = {}
    categories = set()
    for name in names:
        written = " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
        if written in columns:
            raise DataError(
                f"{where}: several columns are called {written!r}; give each a name of its own"
            )
        values = frame[name]
        columns[written] = column_of(where, written, values)
        if _is_categorical(values):
            categories.add(written)
    return Declared(columns, frozenset(categories))


def _is_categorical(values: Any) -> bool:
    kind = getattr(values, "dtype", None)
    return (kind if isinstance(kind, type) else type(kind)).__name__ in _CATEGORIES


def column_of(where: str, name: str, values: Any) -> np.ndarray:
    """Returns one column: int64, float64 or objects that are `str`; raises `DataError`."""
    try:
        array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: column {name!r} cannot be made into an array: {' '.join(str(error).split())}"
        ) from error
    if array.ndim != 1:
        raise DataError(
            f"{where}: column {name!r} must be [n], got shape {list(array.shape)}; give each of "
            "its features a column"
        )
    kind = array.dtype.kind
    if kind in "bi" or (kind == "u" and array.dtype.itemsize < 8):
        return array.astype(np.int64)
    if kind == "f":
        return array.astype(np.float64)
    if kind == "c":
        raise DataError(f"{where}: column {name!r} holds complex numbers; give their two parts")
    if kind in "mM":
        return text_column([None if np.isnat(v) else str(v) for v in array])
    listed = array.tolist()
    found = numbers_in_values([None if type(v).__name__ == "NAType" else v for v in listed])
    return text_column(listed) if found is None else found
