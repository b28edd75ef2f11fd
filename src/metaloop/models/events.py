"""What is told of data once it is there."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.catalogue.families import OpenedData
from metaloop.tasks.kept import class_parts
from metaloop.tasks.store import LeftOut


@dataclass(frozen=True)
class DataRead:
    """The data is there: how it was understood."""

    name: str
    kind: str
    parts: dict[str, int]  # number of classes per part
    left_out: tuple[LeftOut, ...]
    wall_seconds: float
    notes: tuple[str, ...] = ()  # where it could be meant otherwise


def data_read(opened: OpenedData, seconds: float) -> DataRead:
    """Returns the event that tells how the data was understood."""
    parts = {part: len(names) for part, names in class_parts(opened.family).items()}
    return DataRead(opened.family.name, opened.kind, parts, opened.left_out, seconds, opened.notes)
