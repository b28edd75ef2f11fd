"""`TabularModel`: pipelines fitted to a table, what they take, and their way to and from a file.

The file holds the fitted learners as skops has them (`domains/tables/storing.py`): types of a list,
no code, no pickle; and none of the rows that they were fitted to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice, Plan, Result
from metaloop.core.spec import TaskSpec
from metaloop.domains.tables.fitting import FittedPipeline
from metaloop.domains.tables.frame import Column, Frame
from metaloop.domains.tables.pipelines import table_pipeline
from metaloop.domains.tables.scoring import TABLE_METRICS, lifted
from metaloop.domains.tables.storing import as_numbers, restored, stored
from metaloop.domains.tables.target import MOST_CLASSES, Label
from metaloop.domains.tables.understanding import framed
from metaloop.modelfile import ModelFile, TrainingRecord, write_model
from metaloop.selection.ensembling import tempered
from metaloop.tasks.readers.tables import Table

KIND, INPUTS, ENSEMBLE = "table", "table", "ensemble"
_CARD, _COMMON, _MEMBER = "table", "common", "member."


@dataclass(frozen=True, eq=False)
class TabularModel:
    """Fitted pipelines with their weights: a table in, a share for each class or a value out.

    `powers` temper the probabilities of each. `common`: how common classes were, whose power `lift`
    shares are divided by.
    """

    members: tuple[FittedPipeline, ...]
    weights: tuple[float, ...]
    powers: tuple[float, ...]
    schema: tuple[Column, ...]
    target: str
    classes: tuple[Label, ...]
    common: np.ndarray
    lift: float
    metric: str
    training: TrainingRecord
    results: tuple[Result, ...] = ()
    bytes_of: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def candidate(self) -> Candidate:
        """What it is, as records have it."""
        return candidate_of(dict(zip((m.name for m in self.members), self.weights, strict=True)))

    @property
    def name(self) -> str:
        """What it is in a few words."""
        if len(self.members) == 1:
            return self.members[0].name
        shares = zip(self.weights, self.members, strict=True)
        return " + ".join(f"{share:.2f} {one.name}" for share, one in shares)

    def frame(self, table: Table) -> Frame:
        """Returns the columns of a table that the model takes; `DataError` for what lacks."""
        return framed(f"table '{table.name}'", table, self.schema)

    def outputs(self, frame: Frame) -> np.ndarray:
        """Returns shares `[n, classes]`, of which the largest is told, or values `[n]`."""
        found = self.plain_outputs(frame)
        return self.lifted(found) if self.classes else found

    def lifted(self, plain: np.ndarray) -> np.ndarray:
        """Returns probabilities as shares of which the largest is told."""
        return lifted(plain, self.common, self.lift)

    def plain_outputs(self, frame: Frame) -> np.ndarray:
        """Returns probabilities `[n, classes]` as they are, or values `[n]`."""
        return averaged(self.members, self.weights, self.powers, frame)

    def with_results(self, *results: Result) -> TabularModel:
        """Returns the model with further results recorded in it."""
        return replace(self, results=(*self.results, *results))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes `model.metaloop`; raises `OutputError`, and `MissingExtraError` without skops."""
        from metaloop import __version__  # lazy: the package's top module points here

        card = {
            "columns": [asdict(column) for column in self.schema],
            "target": self.target,
            "members": [member.name for member in self.members],
            "weights": list(self.weights),
            "powers": list(self.powers),
            "lift": self.lift,
            "metric": self.metric,
        }
        weights: dict[str, Tensor] = {
            _CARD: torch.from_numpy(as_numbers(json.dumps(card).encode())),
            _COMMON: torch.from_numpy(np.asarray(self.common, np.float64)),
        }
        for place, member in enumerate(self.members):
            data = self.bytes_of.get(member.name) or stored(member)
            weights[f"{_MEMBER}{place}"] = torch.from_numpy(as_numbers(data))
        content = ModelFile(
            kind="table",
            metaloop_version=__version__,
            candidate=self.candidate,
            spec=self._spec,
            input_format=InputFormat(
                INPUTS, (len(self.schema),), (), (), columns=tuple(c.name for c in self.schema)
            ),
            parts={},
            training=self.training,
            results=self.results,
            citations=(),
            weights=weights,
            classes=self.classes,
        )
        write_model(path, content, overwrite=overwrite)

    @property
    def _spec(self) -> TaskSpec:
        ways = len(self.classes)
        objective = "classification" if ways else "regression"
        shape = (len(self.schema),)
        return TaskSpec(ways, 1, 1, shape, objective, () if ways else (1,), ways)


def averaged(
    members: Sequence[FittedPipeline],
    weights: Sequence[float],
    powers: Sequence[float],
    frame: Frame,
) -> np.ndarray:
    """Returns the average of tempered probabilities `[n, classes]`, or of values `[n]`."""
    total: Any = 0.0
    for one, share, power in zip(members, weights, powers, strict=True):
        found = one.outputs(frame)
        total = total + share * (tempered(found, power) if one.classes else found)
    return np.asarray(total)


def candidate_of(weights: Mapping[str, float]) -> Candidate:
    """Returns pipelines with weights as records have them."""
    plan = Plan("none")
    if len(weights) == 1:
        name = next(iter(weights))
        return Candidate(Choice(name, dict(table_pipeline(name).settings)), Choice("columns"), plan)
    options = {"members": list(weights), "weights": [round(w, 4) for w in weights.values()]}
    return Candidate(Choice(ENSEMBLE, options), Choice("columns"), plan)


def tabular_from_file(content: ModelFile) -> TabularModel:
    """Returns the model in a file's content; raises `ModelFileError` unless it fits together."""
    if content.kind != "table":
        raise ModelFileError("the model file is no model of a table")
    try:
        card = json.loads(bytes(content.weights[_CARD].numpy()).decode())
        schema = tuple(Column(**{**c, "words": tuple(c["words"])}) for c in card["columns"])
        count = len(card["members"])
        data = [bytes(content.weights[f"{_MEMBER}{place}"].numpy()) for place in range(count)]
        members = tuple(restored(each) for each in data)
        common = np.asarray(content.weights[_COMMON].numpy(), np.float64)
        weights = tuple(float(weight) for weight in card["weights"])
        powers = tuple(float(power) for power in card["powers"])
        lift, metric, target = float(card["lift"]), str(card["metric"]), str(card["target"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, MetaloopError):
            raise
        raise ModelFileError(f"the model file is damaged: {error}") from error
    classes = content.classes
    if len(powers) != len(members) or not all(0 < power < 100 for power in powers):
        raise ModelFileError("the model file is damaged: its pipelines have no powers")
    _check(members, weights, schema, classes, common, metric)
    kept: dict[str, bytes] = dict(zip((m.name for m in members), data, strict=True))
    return TabularModel(
        members, weights, powers, schema, target, classes, common, lift, metric,  # type: ignore[arg-type]
        content.training, content.results, kept,
    )  # fmt: skip


def _check(
    members: tuple[FittedPipeline, ...],
    weights: tuple[float, ...],
    schema: tuple[Column, ...],
    classes: tuple[Any, ...],
    common: np.ndarray,
    metric: str,
) -> None:
    fits = bool(members) and len(members) == len(weights) and len(classes) <= MOST_CLASSES
    fits = fits and all(member.classes == len(classes) for member in members)
    fits = fits and (not classes or common.shape == (len(classes),))
    fits = fits and metric in TABLE_METRICS and abs(sum(weights) - 1) < 1e-3
    names = [column.name for column in schema]
    fits = fits and len(set(names)) == len(names)
    fits = fits and all(set(member.states) == set(names) for member in members)
    kinds = {"number", "category", "date", "text"}
    if not fits or not all(column.kind in kinds for column in schema):
        raise ModelFileError("the model file is damaged: its pipelines do not fit its columns")
    try:
        one = Frame(schema, {c.name: _empty(c.kind) for c in schema})
        for member in members:
            member.outputs(one)
    except Exception as error:  # whatever a damaged learner raises
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file is damaged: {reason}") from error


def _empty(kind: str) -> np.ndarray:
    """A row with nothing in it."""
    if kind in ("number", "date"):
        return np.full(1, np.nan)
    return np.array([""], object) if kind not in ("category",) else np.full(1, -1, np.int32)
