"""Parquet files and Arrow tables as columns; needs pyarrow, the extra `parquet`."""

from __future__ import annotations

import base64
import gzip
import io
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.table_columns import Declared, Opened, numbers_in_values, text_column

# Parquet has dictionaries of texts alone; the schema that was written is beside it, in base64.
_WRITTEN = b"ARROW:schema"


def read_parquet(where: str, opened: Opened) -> Declared:
    """Returns the columns of a Parquet file; those of dictionaries are categories.

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
            file = parquet.ParquetFile(source)
            found = arrow_columns(where, file.read(use_threads=False))
            kept = (file.metadata.metadata or {}).get(_WRITTEN)
        if kept is None:
            return found
        written = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(kept)))
        further = {str(each.name) for each in written if _is_dictionary(each.type)}
        return Declared(found.columns, found.categories | (further & set(found.columns)))
    except (pyarrow.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{where} is no Parquet file, or is damaged ({reason})") from error


def arrow_columns(where: str, table: Any) -> Declared:
    """Returns the columns of an Arrow table; raises `DataError` for two of one name.

    Columns of dictionaries, which is how Arrow and Parquet keep them, are categories.
    """
    names = [str(name) for name in table.column_names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: several columns are called {twice!r}; give each its own name")
    columns = {name: table.column(place) for place, name in enumerate(names)}
    categories = frozenset(name for name, each in columns.items() if _is_dictionary(each.type))
    return Declared({name: _column(each) for name, each in columns.items()}, categories)


def _is_dictionary(kind: Any) -> bool:
    return getattr(kind, "value_type", None) is not None and str(kind).startswith("dictionary")


def _column(column: Any) -> np.ndarray:
    """One column: numbers through NumPy, anything else by its values."""
    kind = column.type
    if _is_dictionary(kind):
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
