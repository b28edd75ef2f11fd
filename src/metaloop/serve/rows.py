"""Models of a table: rows in JSON come in, what is told of each goes out; there are no tasks.

Rows of one request are one table, as a file for `predict` would be, so that answers are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaloop.core.errors import InputError
from metaloop.estimators import TrainedTable
from metaloop.models.tabular import TabularModel
from metaloop.serve.limits import Limits, RefusedError, too_large
from metaloop.tasks.readers.tables import table_of

_LARGEST = 1e300  # of a number in a cell

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ServedTable:
    """A model of a table under the name by which it is asked."""

    name: str
    estimator: TrainedTable

    @property
    def model(self) -> TabularModel:
        """What it is."""
        return self.estimator.model


@dataclass(frozen=True, eq=False)
class AskedRows:
    """Rows that were sent to a model, checked."""

    served: ServedTable
    rows: tuple[Row, ...]


def asked_rows(served: ServedTable, rows: Sequence[Any], limits: Limits) -> AskedRows:
    """Returns rows of JSON as they can be asked; raises `RefusedError` for what is none."""
    if not rows:
        raise RefusedError(422, "'rows' is empty; give one object for each row")
    cells = len(rows) * max(1, len(served.model.schema))
    if cells > limits.cells:
        raise too_large(
            f"{len(rows):,} rows have {cells:,} cells, the limit is {limits.cells:,}; send fewer"
        )
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RefusedError(422, f"rows[{place}] is no object of columns: {row!r:.60}")
        for name, value in row.items():
            _check_cell(place, name, value)
    for column in served.model.schema:
        if not any(column.name in row for row in rows):
            raise RefusedError(
                422, f"the rows lack the column {column.name!r}; where it is not known, give null"
            )
    return AskedRows(served, tuple(rows))


def _check_cell(place: int, name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and abs(value) < _LARGEST:
        return
    if value is not None and not isinstance(value, str):
        raise RefusedError(
            422,
            f"rows[{place}]: {name[:40]!r} is {value!r:.40}; a cell is a text, a number or null",
        )


def answers_of_rows(asked: Sequence[AskedRows]) -> list[list[dict[str, Any]] | Exception]:
    """Returns what is told of the rows of each request, or why nothing is."""
    found: list[list[dict[str, Any]] | Exception] = []
    for each in asked:
        try:
            found.append(_told(each))
        except Exception as error:
            found.append(error)
    return found


def _told(asked: AskedRows) -> list[dict[str, Any]]:
    estimator, names = asked.served.estimator, [each.name for each in asked.served.model.schema]
    if not names:
        raise InputError("the model takes no column")
    columns = {name: [row.get(name) for row in asked.rows] for name in names}
    told, shares = estimator.told(table_of(columns, "rows"))
    if shares is None:
        return [
            {"label": None, "confidence": None, "probabilities": None, "value": float(value)}
            for value in told.tolist()
        ]
    classes = list(asked.served.model.classes)
    return [
        {
            "label": label,
            "confidence": float(row[classes.index(label)]),
            "probabilities": dict(zip(map(str, classes), row.tolist(), strict=True)),
        }
        for label, row in zip(told.tolist(), shares, strict=True)
    ]
