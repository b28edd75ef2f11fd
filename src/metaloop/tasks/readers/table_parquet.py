"""Parquet files and Arrow tables as columns; needs pyarrow, the extra `parquet`."""

from __future__ import annotations

import gzip
import io
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.table_columns import Opened, numbers_in_values, text_column


def read_parquet(where: str, opened: Opened) -> dict[str, np.ndarray]:
    """Returns the columns of a Parquet file.

    Raises `DataError` for a damaged one, and if pyarrow is not installed.
    """
    try:
        import pyarrow  # optional extra
        from pyarrow import parquet  # optional extra
    except ImportError as error:
        raise DataError(
            f"{where} is Parquet, which needs pyarrow: pip install 'metaloop[parquet]', or save "
            "the table as CSV"
        ) from error
    try:
        with opened() as raw:
            # what is packed is unpacked once: Parquet is read from its end
            source = io.BytesIO(raw.read()) if isinstance(raw, gzip.GzipFile) else raw
            return arrow_columns(where, parquet.read_table(source, use_threads=False))
    except (pyarrow.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{where} is no Parquet file, or is damaged ({reason})") from error


def arrow_columns(where: str, table: Any) -> dict[str, np.ndarray]:
    """Returns the columns of an Arrow table; raises `DataError` for two of one name."""
    names = [str(name) for name in table.column_names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: several columns are called {twice!r}; give each its own name")
    return {name: _column(table.column(place)) for place, name in enumerate(names)}


def _column(column: Any) -> np.ndarray:
    """One column: numbers through NumPy, anything else by its values."""
    kind = column.type
    if getattr(kind, "value_type", None) is not None and str(kind).startswith("dictionary"):
        column = column.cast(kind.value_type)
        kind = column.type
    written = str(kind)
    if written.startswith("decimal"):
        column, written = column.cast("double"), "double"
    if written.startswith(("int", "uint")) and not column.null_count and written != "uint64":
        return np.asarray(column.to_numpy(), np.int64)
    if written.startswith(("halffloat", "float", "double")):
        return np.asarray(column.to_numpy(), np.float64)  # null is NaN
    values = column.to_pylist()
    found = numbers_in_values(values)
    return text_column(values) if found is None else found
