"""A fitted pipeline as bytes and back, by skops: loading builds types of a list and runs no code.

A file with any other type is refused (`modelfile/trusted_objects.py`). What is fitted of columns
that are alike is one array: skops writes a file for each, and ten thousand would take half a
minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np

from metaloop.core.errors import ModelFileError, missing_extra
from metaloop.domains.tables.encoding import State
from metaloop.domains.tables.fitting import FittedPipeline
from metaloop.domains.tables.pipelines import table_pipeline
from metaloop.modelfile.trusted_objects import check_trees, object_of, skops_for

_FIELDS = ("name", "classes", "states", "learner", "middle", "scale")
_STACKED, _PARTS = "stacked", "parts"
_WHAT = "a table"
_FURTHER = (  # types that learners of the table need
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
)


def can_store() -> bool:
    """Returns whether skops is installed."""
    return find_spec("skops") is not None


def require_storing() -> None:
    """Raises `MissingExtraError` where skops is not installed."""
    if not can_store():
        raise missing_extra("a table in a model file (skops)", "tables")


def load_storing() -> None:
    """Loads skops if it is installed, which takes two seconds: not when time is short."""
    if can_store():
        import skops.io  # noqa: F401  # optional extra


def stored(fitted: FittedPipeline, packed: bool = True) -> bytes:
    """Returns the bytes of a fitted pipeline; raises `MissingExtraError` without skops.

    `packed`: a sixth of the bytes for forests, and a second more for each 60 MB.
    """
    how = {"compression": ZIP_DEFLATED, "compresslevel": 1} if packed else {}
    return bytes(skops_for(_WHAT).dumps(_content(fitted), **how))


def _content(fitted: FittedPipeline) -> dict[str, Any]:
    """What is written of a fitted pipeline."""
    content = {name: getattr(fitted, name) for name in _FIELDS}
    content["states"], content[_STACKED] = _stacked(fitted.states)
    if fitted.parts:
        content[_PARTS] = [_content(part) for part in fitted.parts]
    return content


def restored(data: bytes) -> FittedPipeline:
    """Returns the pipeline in these bytes.

    Raises `ModelFileError` for types that no learner of the table has, for what is damaged, and
    where what is in there is no fitted pipeline; `MissingExtraError` without skops.
    """
    return object_of(data, _WHAT, _pipeline, _FURTHER)


def _pipeline(content: Any) -> FittedPipeline:
    """The fitted pipeline that was written; raises `ModelFileError` where it is none."""
    content["states"] |= _unstacked(content.get(_STACKED, []))
    parts = tuple(_pipeline(part) for part in content.get(_PARTS, []))
    fitted = FittedPipeline(**{name: content[name] for name in _FIELDS}, parts=parts)
    table_pipeline(fitted.name)
    own = fitted.name, fitted.classes, set(fitted.states)
    if any(p.parts or (p.name, p.classes, set(p.states)) != own for p in parts):
        raise ModelFileError("the model file is damaged: its pipeline is of several kinds")
    if type(fitted.classes) is not int or not isinstance(fitted.states, dict):
        raise ModelFileError("the model file is damaged: its pipeline is none")
    check_trees(fitted.learner)
    return fitted


def _stacked(states: Mapping[str, State]) -> tuple[dict[str, State], list[dict[str, Any]]]:
    """States that hold more than arrays, and the others: names and their arrays, one on another."""
    alike: dict[tuple[Any, ...], dict[str, State]] = {}
    left: dict[str, State] = {}
    for name, state in states.items():
        if not all(isinstance(value, np.ndarray) for value in state.values()):
            left[name] = state
            continue
        kind = tuple((key, value.shape, value.dtype.str) for key, value in state.items())
        alike.setdefault(kind, {})[name] = state
    groups = [
        {
            "names": list(group),
            "arrays": {key: np.stack([s[key] for s in group.values()]) for key, *_ in kind},
        }
        for kind, group in alike.items()
    ]
    return left, groups


def _unstacked(groups: list[dict[str, Any]]) -> dict[str, State]:
    """What was stacked, by name; raises `ValueError` where names and arrays do not fit."""
    found: dict[str, State] = {}
    for group in groups:
        names, arrays = group["names"], group["arrays"]
        if any(len(array) != len(names) for array in arrays.values()):
            raise ValueError("its columns do not fit their names")
        for place, name in enumerate(names):
            found[name] = {key: array[place] for key, array in arrays.items()}
    return found


def as_numbers(data: bytes) -> np.ndarray:
    """Returns bytes as an array of them, as tensors hold them."""
    return np.asarray(np.frombuffer(data, np.uint8).copy())
