"""`LearnResult`: what `learn` returns, a run with its model, its figures and its page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, overload

from metaloop.api.figures import Figures
from metaloop.api.loading import estimator_of
from metaloop.api.runs import RunResult
from metaloop.api.tables import html_table
from metaloop.core.leagues import (
    AND,
    WITHOUT,
    EncoderCard,
    backbones_sentence,
    card_from_json,
    league_words,
)
from metaloop.core.own import NOTHING_OWN, Own
from metaloop.core.pretraining import SeenBefore, seen_sentence
from metaloop.estimators import FewShotClassifier, FewShotGenerator, FewShotRegressor
from metaloop.models import Model, load_model
from metaloop.report.figures import estimate, intervals_text, printable, seconds
from metaloop.tasks.store import LeftOut

_ROWS_SHOWN = 12  # of a leaderboard, beside all baselines
COLUMNS = ("learner", "net", "league", "how", "search", "promotion", "steps", "CPU s", "status")


@dataclass(frozen=True)
class Leaderboard(Sequence[Mapping[str, Any]]):
    """The candidates of a run, the best first: rows as docs/json.md describes them.

    `pandas.DataFrame(run.leaderboard)` makes a frame of them.
    """

    rows: tuple[Mapping[str, Any], ...]

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Leaderboard: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Leaderboard:
        if isinstance(index, slice):
            return Leaderboard(self.rows[index])
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        lines = [", ".join(f"{name} {cell}" for name, cell in row) for row in self._named()]
        return "\n".join([f"<Leaderboard of {len(self)} candidates>", *lines])

    def _repr_html_(self) -> str:
        """The best rows and all baselines as a table."""
        return html_table(self.columns, self.table)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the table's columns."""
        return COLUMNS

    @property
    def table(self) -> list[tuple[str, ...]]:
        """The best rows and all baselines in words, in those columns."""
        return [
            tuple(_cells(row)[name] for name in self.columns)
            for place, row in enumerate(self.rows)
            if place < _ROWS_SHOWN or row["baseline"]
        ]

    def _named(self) -> Iterator[list[tuple[str, str]]]:
        for cells in self.table:
            yield [pair for pair in zip(self.columns, cells, strict=True) if pair[1] != "-"]


@dataclass(frozen=True, eq=False, repr=False)
class LearnResult(RunResult):
    """A run of `learn` that ended.

    `out` is its folder, `content` what `--json` prints (`to_json` returns a copy), `left_out` what
    was found in the data and not used, `own` what the run was given of the user's own.

    `run.model.fit(X, y).predict(X_new)` learns new classes; `run.test.value` and `run.test.ci95`
    say how well; `run.report(open=True)` shows the page.
    """

    left_out: tuple[LeftOut, ...] = ()
    own: Own = NOTHING_OWN
    _before: ClassVar[str] = "a learner was measured; go on with resume=True and the same out"

    @property
    def model(self) -> FewShotClassifier | FewShotRegressor | FewShotGenerator:
        """A new estimator with the learner that was chosen, ready to `fit`; one each time.

        Raises `ModelFileError` if the run was interrupted before there was one.
        """
        return estimator_of(self._model)

    @property
    def takes(self) -> str:
        """What the model is given: `images`, `texts`, `recordings`, `items` or `vectors`."""
        return self._model.takes

    @cached_property
    def _model(self) -> Model:
        return load_model(self.path, self.own)

    @cached_property
    def test(self) -> Figures | None:
        """What the model has on classes that the run had never seen; None if it was interrupted."""
        found = self.content["test"]
        if found is None:
            return None
        figures = Figures.from_json(found)
        return replace(figures, backbones=self.backbones, pretraining=self.pretraining)

    @cached_property
    def leaderboard(self) -> Leaderboard:
        """The candidates, the best first."""
        return Leaderboard(tuple(self.content["leaderboard"]))

    def _repr_html_(self) -> str:
        """The claim and the leaderboard."""
        below = intervals_text(self.test.result) if self.test else ""
        cost = f"{seconds(self.cpu_seconds)} CPU-seconds, in {self.out}"
        said = (below, self.content["certainty"], self.about_league, cost)
        below = " ".join(part for part in said if part)
        board = self.leaderboard
        return html_table(board.columns, board.table, self._headline, below)

    @property
    def backbones(self) -> tuple[EncoderCard, ...]:
        """The encoders that the chosen learner sees inputs through, of all that were on offer."""
        names = self.league.split(AND)
        return tuple(card_from_json(e) for e in self.content["backbones"] if e["name"] in names)

    @property
    def league(self) -> str:
        """The names of the chosen learner's backbones; `none`: it has no pretraining."""
        best = self.content["best"]
        return str(best["league"]) if best else WITHOUT

    @property
    def pretraining(self) -> tuple[SeenBefore, ...]:
        """Which of the classes of the test each of these backbones has seen before."""
        best = self.content["best"]
        return tuple(SeenBefore(**each) for each in best["pretraining"]) if best else ()

    @property
    def about_league(self) -> str:
        """The same as a sentence, with what the backbones have seen; "" if none were on offer."""
        if not self.content["backbones"]:
            return ""
        said = f"{backbones_sentence(self.backbones)} {seen_sentence(self.pretraining)}"
        return printable(said.rstrip())

    @property
    def _headline(self) -> str:
        best = self.content["best"]
        who = f"{best['learner']} / {best['net']}" if best else "nothing measured"
        found = f": {self.test}" if self.test else f", {self.status}"
        return printable(f"{who}{found}")


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    options = ", ".join(f"{name} {value}" for name, value in row["options"].items())
    cells = {
        "learner": row["learner"] + (f" ({options})" if options else ""),
        "net": row["net"],
        "league": league_words(row["league"]),
        "how": "baseline" if row["baseline"] else row["operator"],
        "search": figure_text(row["search"]),
        "promotion": figure_text(row["promotion"]),
        "steps": f"{row['steps']:,}",
        "CPU s": f"{row['cpu_seconds']:,.1f}",
        "status": row["status"],
    }
    return {name: printable(cell) for name, cell in cells.items()}


def figure_text(figures: Mapping[str, Any] | None) -> str:
    """Returns figures of JSON as `94.1 ± 0.4 % (± 1.2 new)`, `-` for none.

    The second half-width is left out where it is not known, and where every episode is a task of
    its own, for then both say the same.
    """
    if figures is None:
        return "-"
    value, ci95 = (math.nan if figures[key] is None else figures[key] for key in ("value", "ci95"))
    several = figures.get("units", 0) < figures.get("episodes", 1)
    new = figures.get("ci95_new") if several else None
    return estimate(figures.get("metric", "accuracy"), value, ci95, new)
