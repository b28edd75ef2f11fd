"""What a user may ask of a reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metaloop.core.errors import DataError
from metaloop.tasks.value_range import ValueRange, declared_range

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 4, 1024  # pixels; beyond, it is surely a slip of the keyboard
MAX_DEPTH = 32  # folders
LEAST_CLIP_SECONDS, MOST_CLIP_SECONDS = 0.1, 600.0


@dataclass(frozen=True)
class ReadOptions:
    """How to read; None means that the data decides. Raises `DataError` for values out of range.

    `classes_at`: how many folders below the data the folders are that are classes. `value_range`:
    what is black and white in pixels of more than 8 bits, and in arrays of pixels. `columns`: the
    columns of a table that have a role, as `table_roles.py` has it. `detail`: the side in pixels of
    the colour images that are kept beside the others for encoders; 0 for none; or a function that
    says so once it is known how many images there are. `detail_bytes`: where it is not 0 they are
    no larger than they came, and take no more than so many bytes together. `features`: the columns
    of numbers that a model was trained with, in its order; empty: those that are there.
    `speaker_pattern`: a regular expression whose first group is the speaker in the path of a
    recording. `clip_seconds`: how long one may be; of longer ones the loudest stretch is used.
    """

    image_size: int | None = None
    channels: int | None = None
    polarity: Literal["as_is", "ink"] | None = None
    strict: bool = False
    classes_at: int | None = None
    value_range: ValueRange | None = None
    columns: Mapping[str, str | Sequence[str]] | None = None
    detail: int | Callable[[int], int] = 0
    detail_bytes: int = 0
    features: tuple[str, ...] = ()
    speaker_pattern: str | None = None
    clip_seconds: float | int | None = None

    def __post_init__(self) -> None:
        if not callable(self.detail):
            _checked_detail(self.detail)
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

        if self.clip_seconds is not None and not (
            LEAST_CLIP_SECONDS <= self.clip_seconds <= MOST_CLIP_SECONDS
        ):
            raise DataError(
                f"clips are {LEAST_CLIP_SECONDS:g} to {MOST_CLIP_SECONDS:g} seconds long, got "
                f"{self.clip_seconds:g}"
            )
        _checked_pattern(self.speaker_pattern)

    def detail_of(self, num_images: int) -> int:
        """Returns the side of the images that are kept for encoders, where there are so many."""
        return _checked_detail(self.detail(num_images) if callable(self.detail) else self.detail)

    def refuse_recordings(self, where: str) -> None:
        """Raises `DataError` if something was asked for that only recordings have."""
        asked = {"speaker pattern": self.speaker_pattern, "clip seconds": self.clip_seconds}
        for name, value in asked.items():
            if value is not None:
                raise DataError(f"{where}: a {name} is for recordings; leave it away")

    def refuse_pixels(self, where: str) -> None:
        """Raises `DataError` if something was asked for that only images have."""
        asked = (self.image_size, self.channels, self.polarity, self.value_range)
        if any(value is not None for value in asked):
            raise DataError(
                f"{where}: image size, channels, polarity and value range are for images; leave "
                "these options out"
            )

    def refuse_depth(self, where: str) -> None:
        """Raises `DataError` if a depth was asked for, where there are no folders that decide."""
        if self.classes_at is not None:
            raise DataError(
                f"{where}: --classes-at {self.classes_at} is for folders of images; leave it away"
            )

    def refuse_columns(self, where: str) -> None:
        """Raises `DataError` if roles of columns were declared, where there is no table."""
        if self.columns:
            raise DataError(
                f"{where}: columns (--columns, --text, --label, --domain) are named of tables "
                "(CSV, JSONL, ...); leave them away"
            )


def _checked_detail(side: int) -> int:
    if side and not MIN_IMAGE_SIZE <= side <= MAX_IMAGE_SIZE:
        raise DataError(
            f"an encoder sees images of {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels, got {side}"
        )
    return side


def _checked_pattern(pattern: str | None) -> None:
    """Raises `DataError` unless it is a regular expression with a group."""
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise DataError(
            f"the speaker pattern {pattern!r} is no regular expression ({error})"
        ) from error
    if not groups:
        raise DataError(
            f"the speaker pattern {pattern!r} has no group; put what names the speaker in "
            "brackets, as in '(\\w+)_'"
        )
