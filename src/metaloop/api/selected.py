"""`SelectResult`: what `select` returns, a run with its classifier, its figures and its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from metaloop.api.runs import SelectionResult
from metaloop.core.encoder import Encoder
from metaloop.core.leagues import league_words
from metaloop.estimators.trained import TrainedClassifier
from metaloop.report.figures import estimate, printable
from metaloop.tasks.store import LeftOut

COLUMNS = ("pipeline", "league", "how", "search", "rung", "test", "CPU s", "status")


@dataclass(frozen=True)
class TestFigures:
    """What a classifier has on examples that were sealed; accuracies are fractions.

    `chance` is what always naming the commonest class would have.
    """

    metric: str
    value: float
    ci95: float
    examples: int
    balanced_accuracy: float
    chance: float
    better_than_chance: bool

    def __str__(self) -> str:
        return f"{estimate(self.metric, self.value, self.ci95)} ({self.examples:,} examples)"


@dataclass(frozen=True, eq=False, repr=False)
class SelectResult(SelectionResult):
    """A run of `select` that ended; `content` is what `--json` prints.

    `run.model.predict(X)` tells images apart; `run.test` says how well; `run.report(open=True)`
    shows the page.
    """

    left_out: tuple[LeftOut, ...] = ()
    own: Encoder | None = None  # an encoder of the caller's own that took part

    _before: ClassVar[str] = "a classifier was trained; go on with resume=True and the same out"
    _columns: ClassVar[tuple[str, ...]] = COLUMNS
    _rows_shown: ClassVar[int] = 12

    @cached_property
    def model(self) -> TrainedClassifier:
        """The classifier, ready to `predict`; `ModelFileError` if there is none yet."""
        return TrainedClassifier.load(self.path, backbone=self.own)

    @cached_property
    def test(self) -> TestFigures | None:
        """What the classifier has on the sealed examples; None if it was interrupted."""
        found = self.content["test"]
        if found is None:
            return None
        return TestFigures(**{name: found[name] for name in TestFigures.__dataclass_fields__})

    @staticmethod
    def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
        search = row["search"]
        rungs = ("shrunk", "short", "whole")
        cells = (
            _named(row),
            league_words(row["league"]),
            "baseline" if row["baseline"] else row["operator"],
            _figure(search),
            "-" if search is None else rungs[min(row["rung"], 2)],
            _figure(row["test"]),
            f"{row['cpu_seconds']:,.1f}",
            row["message"] or row["status"],
        )
        return tuple(printable(cell) for cell in cells)


def _named(row: Mapping[str, Any]) -> str:
    """A pipeline in words."""
    if row["name"]:
        return str(row["name"])
    options = row["options"]
    if "head" in options:
        mirrored = " of mirrored pairs" if options.get("copies", 1) == 2 else ""
        second = f" and at {options['second']} pixels" if options.get("second") else ""
        return f"{row['league']}{second}, {options['head']}{mirrored}"
    widths = "-".join(map(str, row["net_options"].get("widths", ())))
    return f"{row['learner']} / {row['net']} {widths}, {row['plan']['optimiser']}"


def _figure(found: Mapping[str, Any] | None) -> str:
    return "-" if found is None else estimate("accuracy", found["value"], found["ci95"])
