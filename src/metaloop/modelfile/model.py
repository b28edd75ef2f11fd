"""What is in a model file, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice, Result
from metaloop.core.spec import TaskSpec

Tensors = dict[str, Tensor]
Label = str | int | float | bool


@dataclass(frozen=True)
class TrainingRecord:
    """How a model was trained: seed, budget as written (`240s`), what was spent, on which data."""

    seed: int
    budget: str
    steps: int
    wall_seconds: float
    cpu_seconds: float
    data_hash: str
    data_name: str


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A trained learner, or one that is adapted to a task.

    `parts` maps each part to the names of its classes (empty where tasks are not classes).
    `weights` are the meta-parameters. An `adapted` model has `state` (what was learned from the
    support, flat: see `flatten_tensors`) or the kept `support` (`inputs` as uint8 or float,
    `targets`, of documents also what these would be at other lengths, of items their names) or
    both, and the labels of its classes in the order of its outputs. `fingerprints` are of the
    examples that the model was made with, to know them again. `rejection` is what tells queries of
    other classes than a task's. `view` is how raw inputs become those of the format, with its
    `assets`; None if they are. A `classifier` is complete: its weights tell the `classes` apart
    that it was trained on. A `table` model is complete, too: `weights` hold fitted pipelines as
    bytes (`models/tabular.py`). `custom_net` is the class name of a net of the user's own: loading
    then needs the net itself.

    Raises `ValueError` where these do not fit together.
    """

    kind: Literal["learner", "adapted", "classifier", "table"]
    metaloop_version: str
    candidate: Candidate
    spec: TaskSpec
    input_format: InputFormat
    parts: Mapping[str, tuple[str, ...]]
    training: TrainingRecord
    results: tuple[Result, ...]
    citations: tuple[str, ...]
    weights: Tensors
    custom_net: str | None = None
    classes: tuple[Label, ...] = ()
    support: Tensors | None = None
    state: Tensors | None = None
    fingerprints: Tensors | None = None
    view: Choice | None = None
    assets: Tensors | None = None
    rejection: Tensors | None = None

    def __post_init__(self) -> None:
        adapted = self.kind == "adapted"
        if adapted and self.support is None and self.state is None:
            raise ValueError("an adapted model needs its task state or its support")
        learned = self.support is not None or self.state is not None
        if self.kind == "learner" and (self.classes or learned):
            raise ValueError("a learner has no classes, support or task state of its own")
        if self.kind == "classifier" and (len(self.classes) < 2 or learned):
            raise ValueError("a classifier has its classes, and no support or task state")
        if self.kind == "table" and (len(self.classes) == 1 or learned):
            raise ValueError("a model of a table has its classes or none, and no support")
        if (self.view is None) != (self.assets is None):
            raise ValueError("a view and its assets belong together")
