"""Images of any kind as a model's raw inputs, by the rules that the data readers follow.

Where numbers are pixels, their range decides what is black and white: 0..1, 0..255, or the smallest
and largest value of the set. It is measured once, on the support, and kept: a query must not
depend on the queries beside it. (Of queries as arrays where the support was files, it is theirs.)
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from metaloop.core.errors import DataError, InputError
from metaloop.core.inputs import InputFormat
from metaloop.tasks.readers.images import decode_image, fit, ink_high

ValueRange = tuple[float, float]

_UNIT: ValueRange = (0.0, 1.0)
_BYTES: ValueRange = (0.0, 255.0)
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_SHAPES = (
    "[n, height, width], [n, height, width, channels] with 1, 3 or 4 channels, "
    "or a list of paths, bytes or PIL images"
)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of one X; a slice of them is uint8 `[n, *input_format.shape]`.

    `value_range`: the numbers that are black and white; None where images are files.
    """

    num_images: int
    load: Callable[[int], np.ndarray]
    value_range: ValueRange | None

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, rows: slice) -> Tensor:
        chosen = range(self.num_images)[rows]
        return torch.from_numpy(np.stack([self.load(row) for row in chosen]))


def read_pictures(
    X: Any, input_format: InputFormat, value_range: ValueRange | None = None
) -> Pictures:
    """Returns the images of `X` in a model's format; raises `InputError` if they are no images.

    `value_range` is that of the support, if its images were arrays. Files are opened when a slice
    needs them: `DataError` then names the first that cannot be read.
    """
    sources = image_sources(X)
    if sources is not None:
        return Pictures(
            len(sources), lambda row: _decoded(sources[row], row, input_format), value_range
        )
    images = _image_array(X)
    value_range = _measured_range(images) if value_range is None else value_range
    _check_range(images, value_range)

    def load(row: int) -> np.ndarray:
        pixels = fit(_as_bytes(images[row], value_range), input_format.shape)
        return ink_high(pixels[None])[0] if input_format.polarity == "ink" else pixels

    return Pictures(len(images), load, value_range)


def image_sources(X: Any) -> list[Any] | None:
    """Returns the paths, bytes or PIL images that `X` lists; None if it holds anything else."""
    if _is_source(X):
        raise InputError("X is a single path or image; expected a list of them, such as [X]")
    if not isinstance(X, Sequence) and getattr(X, "ndim", 0) != 1:
        return None
    items = list(X)
    return items if items and _is_source(items[0]) else None


def _is_source(item: Any) -> bool:
    return isinstance(item, (str, bytes, os.PathLike, Image.Image))


def _decoded(source: Any, row: int, input_format: InputFormat) -> np.ndarray:
    shape, polarity = input_format.shape, input_format.polarity
    if isinstance(source, (str, os.PathLike)):
        return decode_image(Path(source).expanduser(), shape, polarity)
    if not _is_source(source):
        kind = type(source).__name__
        raise InputError(f"X[{row}] is a {kind}, where a path, bytes or a PIL image is expected")
    try:
        encoded = _encoded(source) if isinstance(source, Image.Image) else bytes(source)
        return decode_image(encoded, shape, polarity)
    except (DataError, OSError, ValueError) as error:
        raise DataError(f"X[{row}]: {' '.join(str(error).split())}") from error


def _encoded(image: Image.Image) -> bytes:
    """The image as PNG, so that it is read exactly as its file would be."""
    image = ImageOps.exif_transpose(image)
    file = io.BytesIO()
    if image.mode in ("F", "I"):  # PNG has neither
        image.save(file, "TIFF")
    else:
        image = image if image.mode in _PNG_MODES else image.convert("RGB")
        image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _image_array(X: Any) -> np.ndarray:
    """`X` as `[n, h, w]` or `[n, h, w, 3 or 4]`; torch's `[n, c, h, w]` is understood, too."""
    try:
        images = np.asarray(X)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"X cannot be made into an array ({' '.join(str(error).split())}); expected images "
            f"of one size as {_SHAPES}"
        ) from error
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (3, 4)):
        raise InputError(f"the model takes images: expected {_SHAPES}; {_described(images)}")
    if images.ndim == 3 and images.shape[2] in (3, 4) and images.shape[1] > 4:
        raise InputError(
            f"X looks like one colour image; give X[None] for one image, or {_SHAPES} for several; "
            f"{_described(images)}"
        )
    if images.size == 0:
        raise InputError(f"X has no examples or no pixels; {_described(images)}")
    if images.dtype.kind not in "biuf":
        raise InputError(f"X must hold numbers; {_described(images)}")
    if images.dtype.kind == "f" and not np.isfinite([images.min(), images.max()]).all():
        raise InputError("X contains NaN or infinity; repair or remove these images")
    return images


def _described(array: np.ndarray) -> str:
    return f"got X as {array.dtype} {list(array.shape)}"


def _measured_range(images: np.ndarray) -> ValueRange:
    """What is black and white in a set of images, as `read_arrays` decides it."""
    low, high = float(images.min()), float(images.max())
    if low >= 0 and high <= 1:
        return _UNIT
    if images.dtype.kind in "iu" and low >= 0 and high <= 255:
        return _BYTES
    return low, high if high > low else low + 1.0


def _check_range(images: np.ndarray, value_range: ValueRange) -> None:
    """Refuses images that are clearly on another scale than those the estimator was fitted on."""
    if value_range not in (_UNIT, _BYTES):
        return
    low, high = float(images.min()), float(images.max())
    if low < value_range[0] or high > value_range[1]:
        found = f"run from {low:g} to {high:g}"
    elif value_range == _BYTES and high <= 1 and (images % 1).any():
        found = "are fractions up to 1"
    else:
        return
    raise InputError(
        f"pixels were in {value_range[0]:g}..{value_range[1]:g} when the estimator was fitted, "
        f"those of this X {found}; give images on the same scale"
    )


def _as_bytes(image: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """One image as uint8, clipped to the range; the same rounding as `read_arrays`."""
    if value_range == _BYTES and image.dtype.kind in "iu":
        return image.astype(np.uint8)
    if value_range == _UNIT:
        scaled = image * 255.0 if image.dtype.kind == "f" else np.where(image, 255, 0)
    else:
        low, high = value_range
        scaled = (image.astype(np.float64) - low) * (255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
