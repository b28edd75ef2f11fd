"""`TrainedTable`: what `select` has fitted to a table, in scikit-learn's habits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import InputError, ModelFileError
from metaloop.domains.tables.frame import Frame
from metaloop.modelfile import read_model
from metaloop.models.tabular import TabularModel, tabular_from_file
from metaloop.tasks.readers.tables import Table, read_table, table_of


class TrainedTable:
    """Pipelines fitted to a table; they are fitted already.

    `X` is a data frame, a dictionary of columns, or the path of a table; columns are known by name,
    in any order, further ones are left aside. An array has the columns that the model takes, in
    order. `classes_` are the classes in the order of `predict_proba`; None where a number is told.
    """

    def __init__(self, model: TabularModel) -> None:
        self.model = model
        self.classes_ = np.array(model.classes, object) if model.classes else None
        self.n_features_in_ = len(model.schema)
        self.feature_names_in_ = np.array([column.name for column in model.schema], object)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainedTable:
        """Returns what is in a model file; `ModelFileError` if it is damaged or none of a table."""
        return cls(tabular_from_file(read_model(path)))

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes the model file; raises `OutputError` if it cannot be written."""
        self.model.save(path, overwrite=overwrite)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the class, or the value, of each row."""
        outputs = self.model.outputs(self._frame(X))
        if self.classes_ is None:
            return outputs
        return np.asarray(self.classes_[outputs.argmax(1)])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities `[n, classes]`, in the order of `classes_`.

        Which class is predicted may be another than the most probable: for balanced accuracy rare
        classes are worth more. Raises `ModelFileError` where the model tells a number.
        """
        if self.classes_ is None:
            raise ModelFileError(
                "the model tells a number, and knows no probabilities; use predict"
            )
        return self.model.plain_outputs(self._frame(X))

    def told(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns what `predict` and `predict_proba` do, computed once."""
        frame = self._frame(X)
        plain = self.model.plain_outputs(frame)
        if self.classes_ is None:
            return plain, None
        return np.asarray(self.classes_[self.model.lifted(plain).argmax(1)]), plain

    def score(self, X: Any, y: Any) -> float:
        """Returns the share that is told right, or R² of numbers; `InputError` unless `y` fits."""
        predicted, targets = self.predict(X), np.asarray(y)
        if predicted.shape != targets.shape:
            raise InputError(f"X has {len(predicted)} rows, y {targets.shape}; give one each")
        if self.classes_ is not None:
            return float((predicted.astype(str) == targets.astype(str)).mean())
        spread = float(((targets - targets.mean()) ** 2).mean())
        return float(1 - ((predicted - targets) ** 2).mean() / spread) if spread else 0.0

    def _frame(self, X: Any) -> Frame:
        return self.model.frame(as_table(X, tuple(map(str, self.feature_names_in_))))

    def __repr__(self) -> str:
        return f"<TrainedTable {self.model.name} of '{self.model.target}'>"


def as_table(X: Any, names: tuple[str, ...]) -> Table:
    """Returns a table of a frame, of columns, of a path, or of an array with these columns.

    Raises `DataError` or `InputError` for anything else.
    """
    if isinstance(X, Table):
        return X
    if isinstance(X, (str, Path)):
        return read_table(X)
    if isinstance(X, (list, tuple, np.ndarray)):
        array = np.asarray(X)
        if array.ndim != 2 or array.shape[1] != len(names):
            raise InputError(
                f"an array of rows is [n, {len(names)}] here, got shape {list(array.shape)}; or "
                "give a data frame"
            )
        return table_of({name: array[:, place] for place, name in enumerate(names)}, "X")
    return table_of(X, "X")
