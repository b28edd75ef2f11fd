"""What a user may ask of a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metaloop.core.errors import DataError
from metaloop.tasks.value_range import ValueRange, declared_range

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 4, 1024  # pixels; beyond, it is surely a slip of the keyboard
MAX_DEPTH = 32  # folders


@dataclass(frozen=True)
class ReadOptions:
    """How to read; None means that the data decides. Raises `DataError` for values out of range.

    `classes_at`: how many folders below the data the folders are that are classes. `value_range`:
    what is black and white in pixels of more than 8 bits, and in arrays of pixels. `columns`: the
    columns of a table that have a role, as `table_roles.py` has it. `detail`: the side in pixels of
    the colour images that are kept beside the others for encoders; 0 for none. `features`: the
    columns of numbers that a model was trained with, in its order; empty: those that are there.
    """

    image_size: int | None = None
    channels: int | None = None
    polarity: Literal["as_is", "ink"] | None = None
    strict: bool = False
    classes_at: int | None = None
    value_range: ValueRange | None = None
    columns: Mapping[str, str | Sequence[str]] | None = None
    detail: int = 0
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.detail and not MIN_IMAGE_SIZE <= self.detail <= MAX_IMAGE_SIZE:
            raise DataError(
                f"an encoder sees images of {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels, got "
                f"{self.detail}"
            )
        size = self.image_size
        if size is not None and not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE:
            raise DataError(
                f"the image size must be {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels, got {size}"
            )
        if self.classes_at is not None and not 1 <= self.classes_at <= MAX_DEPTH:
            raise DataError(
                f"classes_at (--classes-at) is how many folders below the data the classes are, "
                f"1 to {MAX_DEPTH}; got {self.classes_at}"
            )
        declared_range(self.value_range)
        if self.channels not in (None, 1, 3):
            raise DataError(f"channels must be 1 (grey) or 3 (colour), got {self.channels}")
        if self.polarity not in (None, "as_is", "ink"):
            raise DataError(f"polarity must be 'as_is' or 'ink', got {self.polarity!r}")

    def refuse_depth(self, where: str) -> None:
        """Raises `DataError` if a depth was asked for, where there are no folders that decide."""
        if self.classes_at is not None:
            raise DataError(
                f"{where}: --classes-at {self.classes_at} is for folders of images; leave it away"
            )

    def refuse_columns(self, where: str) -> None:
        """Raises `DataError` if roles of columns were declared, where there is no table."""
        if self.columns:
            raise DataError(f"{where}: --columns is for tables (CSV, JSONL, ...); leave it away")
