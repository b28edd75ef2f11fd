"""How `select` reads images: as one labelled set, and once more as they came, for encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metaloop.core.errors import MetaloopError
from metaloop.tasks.readers import read
from metaloop.tasks.store import Reading
from metaloop.tasks.value_range import ValueRange

_MOST_DETAIL = 1 << 30  # bytes of images for encoders


def read_images(
    data: Any,
    *,
    image_size: int | None,
    classes_at: int | None,
    value_range: ValueRange | None,
    detail: int,
) -> Reading:
    """Returns a `Reading` of the images at a path, or the one that was given.

    `detail`: the largest side in pixels that an encoder takes; 0 if none does. Raises `DataError`
    for what cannot be read, `MetaloopError` for data that are no path.
    """
    if isinstance(data, Reading):
        return data
    if not isinstance(data, (str, Path)):
        raise MetaloopError(
            f"data is a path or a Reading of images, got {type(data).__name__}; make one of "
            "arrays with metaloop.tasks.readers.read_arrays"
        )
    return read(
        data,
        image_size=image_size,
        classes_at=classes_at,
        value_range=value_range,
        strict=False,
        detail=detail,
        detail_bytes=_MOST_DETAIL,
    )
