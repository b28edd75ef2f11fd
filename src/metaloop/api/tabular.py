"""`select` on a table of mixed columns: the run, followed and told, and what it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from metaloop.api.destination import discard_unused, fresh_folder, is_unused
from metaloop.api.progress import Progress, style_of
from metaloop.api.runs import SelectionResult
from metaloop.api.stopping import Interrupted, Stopper
from metaloop.api.telling import LearnTeller, tell_reading
from metaloop.archive import check_elsewhere, place_of, record_elsewhere
from metaloop.core.budget import parse_budget
from metaloop.core.errors import MetaloopError
from metaloop.core.leagues import league_words
from metaloop.estimators.tabular import TrainedTable
from metaloop.loop import DataRead, Learned, LoopEvent
from metaloop.report.figures import estimate, printable
from metaloop.selecting.tabular.selecting import select_table
from metaloop.tasks.readers.table_frames import is_frame
from metaloop.tasks.readers.table_roles import listed
from metaloop.tasks.readers.tables import Table, is_table, read_table, table_of

TABLE_COLUMNS = ("pipeline", "league", "cross-validated", "folds", "rows", "CPU s", "status")


@dataclass(frozen=True)
class TableTest:
    """What was chosen has on the sealed rows; `chance`: what a constant answer would have."""

    metric: str
    value: float
    ci95: float
    examples: int
    chance: float
    better_than_chance: bool

    def __str__(self) -> str:
        return f"{estimate(self.metric, self.value, self.ci95)} ({self.examples:,} rows)"


@dataclass(frozen=True, eq=False, repr=False)
class TableResult(SelectionResult):
    """A run of `select` on a table that ended; `content` is what `--json` prints.

    `run.model.predict(frame)` tells new rows; `run.test` says how well; `run.report(open=True)`
    shows the page.
    """

    _before: ClassVar[str] = "anything was fitted; select again"
    _columns: ClassVar[tuple[str, ...]] = TABLE_COLUMNS
    _rows_shown: ClassVar[int] = 16

    @cached_property
    def model(self) -> TrainedTable:
        """The fitted pipelines, ready to `predict`; `ModelFileError` if there are none."""
        return TrainedTable.load(self.path)

    @cached_property
    def test(self) -> TableTest | None:
        """What was chosen has on the sealed rows; None if the run was interrupted."""
        found = self.content["test"]
        if found is None:
            return None
        return TableTest(**{name: found[name] for name in TableTest.__dataclass_fields__})

    @staticmethod
    def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
        search = row["search"]
        figure = "-"
        if search is not None:
            figure = estimate(search["metric"], search["value"], search["ci95"], search["ci95_new"])
        cells = (
            row["pipeline"], league_words(row["league"]), figure, str(row["folds"]),
            f"{row['rows']:,}", f"{row['cpu_seconds']:,.1f}", row["message"] or row["status"],
        )  # fmt: skip
        return tuple(printable(cell) for cell in cells)


def is_tabular(data: Any) -> bool:
    """Returns whether data is a table: a frame, or the path of one."""
    if isinstance(data, (str, Path)):
        return is_table(data)
    return isinstance(data, Table) or is_frame(data)


def selected_table(
    data: Any,
    *,
    target: str | None,
    ignore: Sequence[str],
    time_limit_per_row: str | None,
    out: str | Path | None,
    progress: bool | None,
    archive_to: str | Path | None,
    **asked: Any,
) -> TableResult:
    """Returns a run on a table, once pipelines were chosen, fitted and tested on sealed rows."""
    table = data if isinstance(data, (str, Path)) else _as_table(data)
    if target is None:
        read = read_table(table) if isinstance(table, (str, Path)) else table
        raise MetaloopError(
            f"which column is to be told? Name it with --target NAME; there are "
            f"{listed(read.columns)} ('select' takes tables of numbers, categories and dates, and "
            "images; for texts see learn)"
        )
    limit = None if time_limit_per_row is None else _seconds_per_row(time_limit_per_row)
    test = asked.pop("test")
    if test is not None and not isinstance(test, (str, Path)):
        test = _as_table(test)
    if archive_to is not None:
        check_elsewhere(archive_to)
    name = Path(table).stem if isinstance(table, (str, Path)) else table.name
    folder = Path(out) if out is not None else fresh_folder(name)
    was_unused = is_unused(folder)
    with Stopper() as stopper, Progress(style_of(progress)) as shown:
        shown.status(f"reading {name}")
        stop = asked.pop("stop")
        events = select_table(
            table,
            target,
            out=folder,
            test=test,
            stop=lambda: stop() or stopper(),
            ignored=tuple(ignore),
            per_row=limit,
            **{
                **asked,
                "archive": None if asked["archive"] is None else place_of(asked["archive"]),
            },
        )
        try:
            run = _followed(events, shown, stopper, folder)
            if archive_to is not None and run.status == "finished":
                record_elsewhere(run.archive, archive_to)
        except MetaloopError:
            if was_unused:
                discard_unused(folder)
            raise
    if stopper.signal is not None:
        raise Interrupted("interrupted; select again, with another out", stopper.exit_code, run)
    return run


def _seconds_per_row(text: str) -> float:
    seconds = parse_budget(text).wall_seconds
    if seconds is None:
        raise MetaloopError(f"--time-limit-per-row is a time, such as 0.001s; got '{text}'")
    return seconds


def _as_table(data: Any) -> Table:
    return data if isinstance(data, Table) else table_of(data)


def _followed(
    events: Iterator[LoopEvent], shown: Progress, stopper: Stopper, folder: Path
) -> TableResult:
    """Returns the result at the end of the events, which are told on the way."""
    teller = LearnTeller(shown)
    for event in events:
        if isinstance(event, DataRead):
            stopper.can_save = True
            counts = " / ".join(f"{number:,}" for number in event.parts.values())
            shown.line(f"{event.name}: {event.kind} {counts} to {' / '.join(event.parts)}")
            tell_reading(event, shown)
        elif isinstance(event, Learned):
            return TableResult(folder, event.report)
        else:
            teller.tell(event)
    raise AssertionError("selecting ended without a report")


def refused_together(asked: Mapping[str, Any], what: str, why: Sequence[str] = ()) -> None:
    """Raises `MetaloopError` where options were given that are not for such data."""
    plain = (str, bool, int, tuple, list, type(None))  # a data frame has no truth
    given = [n for n, value in asked.items() if not isinstance(value, plain) or value]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise MetaloopError(f"{names}: not for {what}; leave it away{''.join(why)}")
