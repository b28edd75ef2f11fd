"""Data that was read and cannot be used: for learning, or by a model of other inputs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from metaloop.catalogue.offered import AUTO, NONE
from metaloop.core.column_kinds import is_of_vectors, kind_of
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError, MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.domains.summaries.view import KIND
from metaloop.tasks.split import MIN_CLASSES
from metaloop.tasks.store import Reading


def check_enough(data: Any, reading: Reading) -> None:
    """Raises `DataError` for data of a few classes, with the way to use them all the same."""
    number = len(reading.store.classes)
    if number >= MIN_CLASSES:
        return
    source = shlex.quote(str(data)) if isinstance(data, str | Path) else "SUPPORT"
    read_as = f" ({reading.notes[0]})" if reading.notes else ""
    raise DataError(
        f"{reading.name} has {number} classes{read_as}; learning keeps classes apart for training, "
        f"choosing and testing and needs at least {MIN_CLASSES}. To tell these {number} apart, "
        f"train a classifier of them: metaloop select {source}; or, with few examples of each, "
        f"adapt a learner that was trained on other classes: metaloop fit MODEL --support {source} "
        f"--out adapted.metaloop (MODEL: a model.metaloop that 'metaloop learn' wrote)"
    )


def check_shape(reading: Reading, input_format: InputFormat | None) -> None:
    """Raises `MetaloopError` for inputs of another shape than a model was trained on."""
    if input_format is None or kind_of(reading.store.inputs) == KIND:
        return
    shape = reading.store.input_shape
    if shape != tuple(input_format.shape):
        raise MetaloopError(
            f"the model was trained on inputs of shape {tuple(input_format.shape)}, "
            f"{reading.name} has {shape}; give it data of the same kind"
        )


def backbone_for(reading: Reading, backbone: str | Encoder) -> str | Encoder:
    """Returns the backbone for what was read; `DataError` if one is named for images in a store.

    A store has images for nets, and none as large as backbones want them: `auto` means none then.
    """
    if reading.store.kept is None or is_of_vectors(reading.store.inputs):
        return backbone
    if backbone not in (NONE, AUTO):
        raise DataError(
            f"{reading.name} is a store of images for nets, and has none for backbones; give the "
            "data that it was built from, or --backbone none"
        )
    return NONE
