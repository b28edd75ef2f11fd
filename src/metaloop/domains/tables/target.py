"""What is to be told of a row: the target column, whether it is classes or a number, its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.core.errors import DataError, unknown_name
from metaloop.domains.tables.cells import distinct, is_nothing, mostly_numbers, number_of
from metaloop.domains.tables.understanding import as_words
from metaloop.tasks.readers.tables import Table

CLASSIFICATION, REGRESSION = "classification", "regression"
OBJECTIVES = (CLASSIFICATION, REGRESSION)
MOST_CLASSES = 1000
_FEW = 20  # whole numbers, that are taken for classes
_MANY, _ROWS_EACH = 100, 10  # if they are 0, 1, 2, ... and each has so many rows
_FEWEST = 2  # rows of a class that anything can be learned of

Label = str | int


@dataclass(frozen=True, eq=False)
class Target:
    """The target of the rows that have one: places of `classes`, or numbers where there are none.

    `rows` are those of the table that have it; `notes` is what is to be said.
    """

    name: str
    values: np.ndarray
    classes: tuple[Label, ...]
    rows: np.ndarray
    notes: tuple[str, ...]

    @property
    def objective(self) -> str:
        """`classification` or `regression`."""
        return CLASSIFICATION if self.classes else REGRESSION


def find_column(where: str, table: Table, name: str, what: str) -> str:
    """Returns a column as it is written in the table; raises `UnknownNameError` with near ones."""
    if name in table.columns:
        return name
    same = [known for known in table.columns if known.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    raise unknown_name(f"column of {where} ({what})", name, list(table.columns))


def find_target(where: str, table: Table, name: str, objective: str | None) -> Target:
    """Returns the target of a table.

    Raises `DataError` where it is constant, empty, not finite, of too many classes, or other than
    the objective that was asked for needs.
    """
    name = find_column(where, table, name, "the target")
    column, declared = table.columns[name], name in table.categories
    words, codes = distinct(as_words(column))
    nothing = np.array([not word if declared else is_nothing(word) for word in words], bool)
    numbers = [number_of(word) for word in words]
    objective, notes = _asked(name, objective, declared, None not in numbers)
    rows = np.flatnonzero(~nothing[codes])
    if len(rows) < len(codes):
        notes.append(f"{len(codes) - len(rows):,} rows without '{name}' are left out")
    if not len(rows):
        raise DataError(f"{where}: the target '{name}' is missing in every row")
    if objective != CLASSIFICATION:
        odd_words = _odd_words(numbers, nothing, np.bincount(codes, minlength=len(words)))
        nothing[odd_words] = True
        notes += _odd_notes(name, [words[place] for place in odd_words], codes, odd_words)
        rows = np.flatnonzero(~nothing[codes])
    known = [n for n, empty in zip(numbers, nothing, strict=True) if not empty]
    if len(known) == 1:
        only = next(w for w, empty in zip(words, nothing, strict=True) if not empty)
        raise DataError(
            f"{where}: the target '{name}' is {only[:40]!r} in every row; there is nothing to learn"
        )
    numeric = all(number is not None for number in known)
    counts = np.bincount(codes[rows], minlength=len(words))[~nothing]
    is_classes = objective == CLASSIFICATION or (
        objective is None and not (numeric and _is_measured(np.array(known, float), counts))
    )
    if is_classes:
        return _classes(where, name, words, codes, nothing, rows, numeric, notes, objective)
    if not numeric:
        odd = next(
            w for w, n, e in zip(words, numbers, nothing, strict=True) if n is None and not e
        )
        raise DataError(
            f"{where}: the target '{name}' holds {odd[:40]!r}, and a number is needed for "
            f"{REGRESSION}; mend it, or leave --objective away"
        )
    found = [np.nan if number is None else number for number in numbers]
    values = np.array(found, np.float64)[codes][rows]
    if column.dtype.kind == "f":
        values = column[rows].astype(np.float64)
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise DataError(
            f"{where}: the target '{name}' is infinite in {count:,} rows; mend or remove them"
        )
    if objective is None:
        notes.append(f"'{name}' holds {len(known):,} different numbers: {REGRESSION}")
    return Target(name, values, (), rows, tuple(notes))


def _asked(
    name: str, objective: str | None, declared: bool, numeric: bool
) -> tuple[str | None, list[str]]:
    """The objective that was asked for or follows from a declaration, and what is to be said."""
    if objective is not None and objective not in OBJECTIVES:
        raise unknown_name("objective of a table", objective, OBJECTIVES)
    if objective is not None or not declared:
        return objective, []
    said = f"'{name}' is declared to be of categories: {CLASSIFICATION}"
    return CLASSIFICATION, [f"{said} (else say --objective {REGRESSION})"] if numeric else []


def _odd_words(
    numbers: Sequence[float | None], nothing: np.ndarray, counts: np.ndarray
) -> list[int]:
    """The few words in a target that is measured: places of those that are no numbers."""
    odd = [place for place, number in enumerate(numbers) if number is None]
    told = [place for place, n in enumerate(numbers) if n is not None and not nothing[place]]
    share = counts[told].sum() / max(1, counts[~nothing].sum())
    measured = _is_measured(np.array([numbers[place] for place in told], float), counts[told])
    return odd if mostly_numbers(len(odd), share) and len(told) > 1 and measured else []


def _odd_notes(name: str, words: Sequence[str], codes: np.ndarray, odd: Sequence[int]) -> list[str]:
    """What is said of rows whose target is one of these words."""
    count = int(np.isin(codes, odd).sum())
    said = ", ".join(repr(word[:40]) for word in words)
    return [f"{count:,} rows whose '{name}' is no number are left out: {said}"] if words else []


def _is_measured(known: np.ndarray, counts: np.ndarray) -> bool:
    """Whether different numbers are measurements and not classes."""
    if not np.array_equal(known, np.rint(known)):
        return True
    if len(known) <= _FEW:
        return False
    in_order = np.array_equal(np.sort(known) - known.min(), np.arange(len(known)))
    return not (in_order and len(known) <= _MANY and counts.min() >= _ROWS_EACH)


def _classes(
    where: str,
    name: str,
    words: list[str],
    codes: np.ndarray,
    nothing: np.ndarray,
    rows: np.ndarray,
    numeric: bool,
    notes: list[str],
    objective: str | None,
) -> Target:
    names = [word for word, empty in zip(words, nothing, strict=True) if not empty]
    if len(names) > MOST_CLASSES and len(names) < len(rows):
        raise DataError(
            f"{where}: the target '{name}' has {len(names):,} classes, and {MOST_CLASSES:,} are "
            f"the most; if it is a number say --objective {REGRESSION}"
        )
    place = np.cumsum(~nothing) - 1
    values = place[codes][rows]
    counts = np.bincount(values, minlength=len(names))
    if counts.max() < _FEWEST or len(names) == len(rows):
        raise DataError(
            f"{where}: each of the {len(names):,} classes of '{name}' has one row; is it a name of "
            f"the rows, or a number (--objective {REGRESSION})?"
        )
    whole = numeric and all(float(n).is_integer() for n in names)
    labels: list[Label] = [int(float(n)) for n in names] if whole else list(names)
    if len(set(labels)) < len(labels):
        labels = list(names)
    if whole and labels != names:  # in the order of numbers
        order = np.argsort(np.array(labels, float), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        labels, values = [labels[i] for i in order], rank[values]
    rare = [labels[i] for i, count in Counter(values.tolist()).items() if count < 3]
    if rare:
        said = ", ".join(repr(one) for one in sorted(rare, key=str)[:3]) + (
            ", ..." if rare[3:] else ""
        )
        notes.append(f"{len(rare):,} classes have fewer than 3 rows and are hardly learned: {said}")
    if numeric and objective is None and not whole:
        notes.append(f"'{name}': {CLASSIFICATION}")
    elif numeric and objective is None:
        notes.append(
            f"'{name}' holds {len(labels):,} whole numbers: {CLASSIFICATION} "
            f"(else say --objective {REGRESSION})"
        )
    return Target(name, values.astype(np.int64), tuple(labels), rows, tuple(notes))
