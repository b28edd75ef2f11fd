"""What a user may ask of a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metaloop.core.errors import DataError

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 4, 1024  # pixels; beyond, it is surely a slip of the keyboard


@dataclass(frozen=True)
class ReadOptions:
    """How to read; None means that the data decides. Raises `DataError` for values out of range."""

    image_size: int | None = None
    channels: int | None = None
    polarity: Literal["as_is", "ink"] | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        size = self.image_size
        if size is not None and not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE:
            raise DataError(
                f"the image size must be {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels, got {size}"
            )
        if self.channels not in (None, 1, 3):
            raise DataError(f"channels must be 1 (grey) or 3 (colour), got {self.channels}")
        if self.polarity not in (None, "as_is", "ink"):
            raise DataError(f"polarity must be 'as_is' or 'ink', got {self.polarity!r}")
