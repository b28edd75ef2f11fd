"""`RunResult`: what the results of `learn` and `select` share: folder, archive, page and JSON."""

from __future__ import annotations

import webbrowser
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaloop.core.strict_json import json_values
from metaloop.report import read_run, write_report
from metaloop.report.figures import printable


@dataclass(frozen=True, eq=False, repr=False)
class RunResult(ABC):
    """A run that ended in the folder `out`; `content` is what `--json` prints."""

    out: Path
    content: Mapping[str, Any]

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
