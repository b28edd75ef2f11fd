"""`TableTask`: a table as one task: columns, target, and the rows that are sealed, as the run has it.

The parts are sets of rows: `known` may be learned from, `test` is opened once. Rows of one group,
and rows that may be copies, are in one part as far as they can be; where not, a note says so.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from metaloop.core.errors import DataError
from metaloop.domains.tables.cells import distinct, is_nothing, number_of
from metaloop.domains.tables.dealing import (
    FEWEST_PARTS,
    are_copies,
    kept_together,
    sealed_rows,
    strata,
)
from metaloop.domains.tables.frame import Frame, row_hashes
from metaloop.domains.tables.target import Label, Target, find_column, find_target
from metaloop.domains.tables.understanding import as_words, framed, understand
from metaloop.tasks.readers.tables import Table

FEWEST_ROWS = 10  # in all, to learn from and to test


@dataclass(frozen=True, eq=False)
class TableTask:
    """Rows of a table, their targets, and which of them may be learned from.

    `blocks`: rows of equal numbers stay together. `dropped`: columns that are of no use, and why.
    `numbered`: columns that number the rows. `by_groups`: whether the caller named groups.
    """

    name: str
    frame: Frame
    target: Target
    blocks: np.ndarray
    known: np.ndarray
    test: np.ndarray
    dropped: Mapping[str, str]
    notes: tuple[str, ...]
    numbered: Mapping[str, np.ndarray]
    by_groups: bool

    @property
    def classes(self) -> tuple[Label, ...]:
        """The names of the classes; none where the target is a number."""
        return self.target.classes

    @cached_property
    def digest(self) -> str:
        """A hash of content, target and parts, 16 hexadecimal digits."""
        digest = hashlib.sha256(
            repr([(c.name, c.kind, c.words) for c in self.frame.schema]).encode()
        )
        digest.update(row_hashes(self.frame).astype("<u8").tobytes())
        digest.update(self.target.values.astype("<f8").tobytes())
        digest.update("\0".join(map(str, self.classes)).encode())
        digest.update(self.test.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def content(self) -> str:
        """A hash of rows and target, whatever their order and parts, 16 hexadecimal digits."""
        rows = row_hashes(self.frame)
        told = self.target.values.astype("<f8").view("<u8")
        both = np.sort(rows * np.uint64(0x9E3779B97F4A7C15) ^ told)
        return hashlib.sha256(both.astype("<u8").tobytes()).hexdigest()[:16]

    @cached_property
    def common(self) -> np.ndarray:
        """How common each class is among the known rows, `[classes]`."""
        counts = np.bincount(
            self.target.values[self.known].astype(int), minlength=len(self.classes)
        )
        return np.asarray(counts / counts.sum())


def table_task(
    table: Table,
    target: str,
    *,
    objective: str | None = None,
    groups: str | None = None,
    ignored: Sequence[str] = (),
    test: Table | None = None,
    split_seed: int = 0,
    sealed: bool = True,
) -> TableTask:
    """Returns a table as a task; without a table of its own a part of the rows is `test`.

    `sealed` False: all rows may be learned from. Raises `DataError` and `UnknownNameError` for what
    cannot be learned: see `find_target` and `understand`.
    """
    where = f"table '{table.name}'"
    found = find_target(where, table, target, objective)
    aside = [find_column(where, table, name, "to be ignored") for name in ignored]
    group = None if groups is None else find_column(where, table, groups, "the groups")
    if group == found.name:
        raise DataError(f"{where}: '{group}' is the target, and cannot be the groups as well")
    aside += [found.name] + ([group] if group else [])
    rows = found.rows
    if len(rows) < FEWEST_ROWS:
        raise DataError(
            f"{where} has {len(rows)} rows with a target, and {FEWEST_ROWS} are the fewest that "
            "something can be learned from and tested on"
        )
    table = _rows_of(table, rows)
    understood = understand(where, table, aside)
    notes = list(found.notes)
    frame, values, classes = understood.frame, found.values, len(found.classes)
    hashes = row_hashes(frame)
    blocks, said = _blocks(where, hashes, values, table, group)
    notes += said
    known, tested = np.arange(len(rows)), np.zeros(0, np.int64)
    if test is not None:
        frame, values, added, told = _with_test(frame, values, found, test)
        notes += told
        hashes = row_hashes(frame)
        blocks = np.concatenate([blocks, hashes[len(rows) :]])  # what is tested is dealt no more
        tested = np.arange(len(rows), len(rows) + added)
        copies = int(np.isin(hashes[tested], hashes[known]).sum())
        if copies:
            notes.append(f"{copies:,} rows of the test file are in the table as well")
    elif sealed:
        tested = _sealed(where, strata(values, classes), blocks, split_seed, found)
        known = np.setdiff1d(known, tested)
        notes.append(f"{len(tested):,} of {len(rows):,} rows are sealed as test")
        notes += [] if group is None else _untested_notes(found, values[tested])
    notes += understood.told
    whole = Target(found.name, values, found.classes, np.arange(len(values)), found.notes)
    return TableTask(
        table.name, frame, whole, blocks, known, tested, understood.dropped, tuple(notes),
        understood.numbered, group is not None,
    )  # fmt: skip


def _blocks(
    where: str, hashes: np.ndarray, targets: np.ndarray, table: Table, group: str | None
) -> tuple[np.ndarray, list[str]]:
    """Which rows stay together, uint64 `[n]`: groups and copies; and what is to be said of it.

    Raises `DataError` for fewer than three groups.
    """
    as_copies = are_copies(hashes, targets)
    if group is None:
        return hashes if as_copies else np.arange(len(hashes), dtype=np.uint64), []
    blocks = distinct(as_words(table.columns[group]))[1].astype(np.uint64)
    number = len(np.unique(blocks))
    if number < FEWEST_PARTS:
        raise DataError(
            f"{where}: '{group}' has {number} groups, and {FEWEST_PARTS} are the fewest: to "
            "learn from, to choose by and to test"
        )
    if not as_copies:
        return blocks, []
    parts, able = kept_together(blocks, hashes)
    said = (
        f"so many groups of '{group}' have equal rows that these cannot be kept together: groups "
        "are, and a row of test may be equal to one that is learned from"
    )
    return parts, [] if able else [said]


def _sealed(
    where: str, layers: np.ndarray, blocks: np.ndarray, split_seed: int, target: Target
) -> np.ndarray:
    """The sealed rows; raises `DataError` where none can be without one that is needed."""
    tested = sealed_rows(layers, blocks, split_seed, bool(target.classes))
    if not len(tested):
        raise DataError(
            f"{where}: no rows can be sealed as test, for all that stay together (groups, equal "
            f"rows) hold a class of '{target.name}' that no others have; give --test FILE"
        )
    return tested


def _untested_notes(target: Target, tested: np.ndarray) -> list[str]:
    """What is said of classes that are learned and, for groups are whole, not tested."""
    there = set(tested.astype(np.int64).tolist()) if target.classes else set()
    untested = [repr(label) for place, label in enumerate(target.classes) if place not in there]
    if not untested:
        return []
    said = ", ".join(untested[:3]) + (", ..." if untested[3:] else "")
    return [f"classes of which no row is in test, for groups are kept whole: {said}"]


def _rows_of(table: Table, rows: np.ndarray) -> Table:
    if len(rows) == len(table):
        return table
    return replace(table, columns={n: column[rows] for n, column in table.columns.items()})


def _with_test(
    frame: Frame, values: np.ndarray, target: Target, test: Table
) -> tuple[Frame, np.ndarray, int, list[str]]:
    """The rows of a test file behind the others, how many they are, and what is to be said."""
    where = f"test file '{test.name}'"
    name = find_column(where, test, target.name, "the target")
    words, codes = distinct(as_words(test.columns[name]))
    labels = set(map(str, target.classes))
    known = ~np.array([is_nothing(word) and word not in labels for word in words], bool)[codes]
    if not known.any():
        raise DataError(f"{where}: the target '{name}' is missing in every row")
    lacking = int((~known).sum())
    notes = [f"{lacking:,} rows of the test file without '{name}' are left out"] if lacking else []
    test, codes = _rows_of(test, np.flatnonzero(known)), codes[known]
    told = _as_targets(where, target, words, np.unique(codes))[codes]
    added = framed(where, test, frame.schema)
    joined = {n: np.concatenate([frame.values[n], added.values[n]]) for n in frame.values}
    return Frame(frame.schema, joined), np.concatenate([values, told]), len(told), notes


def _as_targets(where: str, target: Target, words: Sequence[str], there: np.ndarray) -> np.ndarray:
    """Each word as a target, `[words]`; raises `DataError` for those there that are none."""
    if target.classes:
        places = {str(label): place for place, label in enumerate(target.classes)}
        foreign = [words[place] for place in there if words[place] not in places]
        if foreign:
            raise DataError(
                f"{where} has a target {foreign[0][:40]!r} that the table does not have; its "
                f"classes are {', '.join(list(places)[:5])}"
            )
        return np.array([places.get(word, -1) for word in words], np.int64)
    numbers = [number_of(word) for word in words]
    found = np.array([np.nan if number is None else number for number in numbers], np.float64)
    odd = there[~np.isfinite(found[there])]
    if len(odd):
        raise DataError(
            f"{where}: the target '{target.name}' is {words[odd[0]][:40]!r} in a row, and a finite "
            "number is needed; mend it, or leave the cell empty"
        )
    return found
