"""`TrainResult`: what `train` returns, one trained learner and how its training went."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaloop.api.figures import Figures
from metaloop.api.loading import estimator_of
from metaloop.api.tables import html_table
from metaloop.core.leagues import card_json
from metaloop.core.strict_json import json_values
from metaloop.estimators import FewShotClassifier, FewShotGenerator, FewShotRegressor
from metaloop.modelfile import TrainingRecord
from metaloop.models import Model
from metaloop.report.figures import figure, intervals_text, printable, seconds
from metaloop.tasks.store import LeftOut


@dataclass(frozen=True, eq=False, repr=False)
class TrainResult:
    """A training of one learner that ended.

    `trained` is the model with its weights, `search` its last early figures (None if there were
    none), `interrupted` whether it was stopped early, `out` the file it was written to (None: it
    was not), `left_out` what was found in the data and not used.

    `result.model.fit(X, y).predict(X_new)` learns new classes, `result.save(path)` writes the file.
    """

    trained: Model
    search: Figures | None
    interrupted: bool
    out: Path | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def status(self) -> str:
        """`finished` or `interrupted`."""
        return "interrupted" if self.interrupted else "finished"

    @property
    def model(self) -> FewShotClassifier | FewShotRegressor | FewShotGenerator:
        """A new estimator with the learner, ready to `fit`; one each time."""
        return estimator_of(self.trained)

    @property
    def training(self) -> TrainingRecord:
        """Steps, seconds, seed, budget and data of the training."""
        return self.trained.training

    @property
    def steps(self) -> int:
        """Steps of training."""
        return self.training.steps

    @property
    def wall_seconds(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.training.wall_seconds

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds of training, those before an interruption included."""
        return self.training.cpu_seconds

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes the model file; raises `OutputError` if it cannot, or something is there."""
        self.trained.save(path, overwrite=overwrite)

    def to_json(self) -> dict[str, Any]:
        """Returns the values that `metaloop train --json` prints: see docs/json.md."""
        candidate = self.trained.candidate
        values: dict[str, Any] = json_values(
            {
                "status": self.status,
                "model": None if self.out is None else str(self.out),
                "learner": candidate.learner.name,
                "net": candidate.net.name,
                "league": self.trained.league,
                "backbones": [card_json(card) for card in self.trained.backbones],
                "steps": self.steps,
                "wall_seconds": self.wall_seconds,
                "cpu_seconds": self.cpu_seconds,
                "search": None if self.search is None else self.search.to_json(),
            }
        )
        return values

    def __repr__(self) -> str:
        where = f" in '{printable(str(self.out))}'" if self.out is not None else ""
        return f"<TrainResult {self._headline}{where}>"

    def _repr_html_(self) -> str:
        """The learner, what it cost and its early figure, as a small table."""
        result = None if self.search is None else self.search.result
        names = ("learner", "steps", "CPU s", "search", "status")
        row = (
            self.trained.candidate.label, f"{self.steps:,}", seconds(self.cpu_seconds),
            figure(result), self.status,
        )  # fmt: skip
        return html_table(names, [row], below="" if result is None else intervals_text(result))

    @property
    def _headline(self) -> str:
        early = f", {self.search}" if self.search else ""
        stopped = ", interrupted" if self.interrupted else ""
        return f"{printable(self.trained.candidate.label)}: {self.steps:,} steps{early}{stopped}"
