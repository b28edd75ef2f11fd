"""`RunResult`: what the results of `learn` and `select` share: folder, archive, page and JSON.

`SelectionResult` is what those of images and of tables share beyond that.
"""

from __future__ import annotations

import webbrowser
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from metaloop.api.tables import html_table
from metaloop.core.errors import ModelFileError
from metaloop.core.strict_json import json_values
from metaloop.report import read_run, write_report
from metaloop.report.figures import printable, seconds


@dataclass(frozen=True, eq=False, repr=False)
class RunResult(ABC):
    """A run that ended in the folder `out`; `content` is what `--json` prints."""

    out: Path
    content: Mapping[str, Any]

    _before: ClassVar[str]  # what an interrupted run without a model has not come to; what to do

    @property
    def path(self) -> Path:
        """The model file; `ModelFileError` if the run was interrupted before there was one."""
        if self.content["model"] is None:
            raise ModelFileError(f"the run in '{self.out}' was interrupted before {self._before}")
        return Path(self.content["model"])

    @property
    def status(self) -> str:
        """`finished`, or `interrupted`: then there is no test, and maybe no model."""
        return str(self.content["status"])

    @property
    def archive(self) -> Path:
        """The archive: everything that was tried, in one SQLite file."""
        return Path(self.content["archive"])

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds of this process and all workers, reading and the final test included."""
        return float(self.content["cpu_seconds"])

    def report(self, path: str | Path | None = None, open: bool = False) -> Path:
        """Returns where the page about the run was written: `path`, or `report.html` in `out`.

        `open` shows it in the browser. It is what `metaloop report` writes. Raises `OutputError`
        if it cannot be written, or something else is there.
        """
        asked = None if path is None else Path(path)
        page = write_report(read_run(self.archive), self.archive, asked)
        if open:
            webbrowser.open(page.absolute().as_uri())
        return page

    def to_json(self) -> dict[str, Any]:
        """Returns the values that the command prints with `--json`: see docs/json.md."""
        values: dict[str, Any] = json_values({**self.content, "out": str(self.out)})
        return values

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._headline} in '{printable(str(self.out))}'>"

    @property
    @abstractmethod
    def _headline(self) -> str:
        """What came of it, in a line that can be printed."""


@dataclass(frozen=True, eq=False, repr=False)
class SelectionResult(RunResult):
    """A run of `select` that ended: one figure on what was sealed, and rows of pipelines."""

    _columns: ClassVar[tuple[str, ...]]
    _rows_shown: ClassVar[int]

    @property
    def league(self) -> str | None:
        """The pretrained nets of what was chosen, `none` if there is none; None of no choice."""
        best = self.content["best"]
        return None if best is None else str(best["league"])

    @property
    def table(self) -> list[tuple[str, ...]]:
        """The pipelines in words, the best first."""
        return [self._cells(row) for row in self.content["leaderboard"][: self._rows_shown]]

    @property
    @abstractmethod
    def test(self) -> object | None:
        """What was chosen has on what was sealed; None if the run was interrupted."""

    @staticmethod
    @abstractmethod
    def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
        """A pipeline in words."""

    def _repr_html_(self) -> str:
        """The figure and the pipelines that were tried."""
        cost = f"{seconds(self.cpu_seconds)} CPU-seconds, in {self.out}"
        return html_table(self._columns, self.table, self._headline, cost)

    @property
    def _headline(self) -> str:
        return printable(self.status if self.test is None else str(self.test))
