"""Tables as support and as inputs of `predict` and `fit`: which columns the model is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.tasks.readers.table_files import numbers_of
from metaloop.tasks.readers.table_roles import answer_column, feature_columns, single_group
from metaloop.tasks.readers.tables import read_table

Columns = Mapping[str, str | Sequence[str]]


def table_support(
    path: Path, input_format: InputFormat, real: bool, columns: Columns | None
) -> tuple[np.ndarray, list[Any], list[str]]:
    """Returns the numbers `[n, features]` of a table, the answer of each row, and what to note.

    The answer is a label or, with `real`, a number. Raises `DataError` if the table has none, or
    other numbers than the model takes.
    """
    table, width = read_table(path), _width(path, input_format)
    answer = answer_column(table, real, columns)
    missing = table.missing(answer)
    if missing.any():
        raise DataError(
            f"support '{path}': row {int(np.argmax(missing)) + 1} after the header has no "
            f"'{answer}'; remove it or complete it"
        )
    role = "target" if real else "label"
    roles = {**(columns or {}), role: answer}
    features = feature_columns(table, width, roles, input_format.columns)
    if real:
        single_group(table, features, columns)
    note = f"columns: {role} '{answer}', {width} columns of numbers"
    return numbers_of(table, features), table.columns[answer].tolist(), [note]


def table_inputs(
    path: Path, input_format: InputFormat, columns: Columns | None
) -> tuple[list[str], np.ndarray]:
    """Returns a name for each row of a table and the numbers that the model takes.

    Columns that have a role may be there, such as those of a support, and need not.
    """
    table = read_table(path)
    there = {
        role: [name for name in ([names] if isinstance(names, str) else names) if name in table]
        for role, names in (columns or {}).items()
    }
    present = {role: names for role, names in there.items() if names}
    features = feature_columns(table, _width(path, input_format), present, input_format.columns)
    return [f"{path}[{row}]" for row in range(len(table))], numbers_of(table, features)


def _width(path: Path, input_format: InputFormat) -> int:
    if input_format.kind != "vector":
        raise DataError(f"the model takes images, not '{path}'")
    return int(input_format.shape[0])
