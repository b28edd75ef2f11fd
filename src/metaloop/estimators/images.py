"""Images of any kind as a model's raw inputs, by the rules that the data readers follow.

Where numbers are pixels, their range decides what is black and white (`tasks.value_range`). It is
declared, or decided once, on the support, and kept: a query must not depend on the queries beside
it. A support of files says nothing of arrays: undeclared, those that follow are read as 0 to 255.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from scipy.sparse import issparse
from torch import Tensor

from metaloop.core.errors import DataError, InputError
from metaloop.core.forking import ForkableLock
from metaloop.core.inputs import InputFormat
from metaloop.tasks.readers.images import (
    Picture,
    decode_image,
    fit,
    ink_high,
    is_wide_mode,
    size_of,
    wide_range,
)
from metaloop.tasks.readers.ranges import range_of_set
from metaloop.tasks.value_range import BYTES, ValueRange, check_scale, to_bytes

_loading = ForkableLock()
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_SHAPES = (
    "[n, height, width], [n, height, width, channels] with 1, 3 or 4 channels, "
    "or a list of paths, bytes or PIL images"
)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of one X; a slice of them is uint8 `[n, *input_format.shape]`.

    `value_range`: the numbers that are black and white wherever images are arrays.
    """

    num_images: int
    load: Callable[[int], np.ndarray]
    value_range: ValueRange

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, rows: slice) -> Tensor:
        chosen = range(self.num_images)[rows]
        return torch.from_numpy(np.stack([self.load(row) for row in chosen]))


def read_pictures(
    X: Any,
    input_format: InputFormat,
    known: ValueRange | None = None,
    declared: ValueRange | None = None,
) -> Pictures:
    """Returns the images of `X` in a model's format; raises `InputError` if they are no images.

    `known` is the range that was decided before, with the support; else it is the one that is
    `declared`, or decided now. Files are opened when a slice needs them: `DataError` then names the
    first that cannot be read.
    """
    sources = image_sources(X)
    if sources is not None:
        wide = known  # for numbers of more than 8 bits
        if known is None:
            wide = wide_range(len(sources), lambda row: _wide(sources[row]), declared, "X")
        elif declared is None and known[1] <= BYTES[1]:
            wide = None  # decided on arrays or on files of 8 bits: it says nothing of them
        value_range = known or wide or BYTES
        return Pictures(
            len(sources),
            lambda row: _decoded(sources[row], row, input_format, wide),
            value_range,
        )
    images = _image_array(X)
    if known is not None:
        check_scale(images, known)
        value_range = known
    else:
        extremes = np.array([images.min(), images.max()])
        value_range = range_of_set(extremes, images.dtype, declared, "X")

    def load(row: int) -> np.ndarray:
        pixels = fit(to_bytes(images[row : row + 1], value_range)[0], input_format.shape)
        return ink_high(pixels[None])[0] if input_format.polarity == "ink" else pixels

    return Pictures(len(images), load, value_range)


def image_sources(X: Any) -> list[Any] | None:
    """Returns the paths, bytes or PIL images that `X` lists; None if it holds anything else.

    An array or data frame of one column is such a list, too.
    """
    if _is_source(X):
        raise InputError("X is a single path or image; expected a list of them, such as [X]")
    if getattr(X, "ndim", 0) == 2 and X.shape[1] == 1 and not issparse(X):
        column = np.asarray(X)[:, 0]
        X = column if column.dtype.kind in "OUST" else X
    if not isinstance(X, Sequence) and getattr(X, "ndim", 0) != 1:
        return None
    items = list(X)
    return items if items and _is_source(items[0]) else None


def sizes_of(X: Any) -> list[tuple[int, int]]:
    """Returns width and height of readable images `X` in pixels, as they came; of an array once."""
    sources = image_sources(X)
    if sources is None:
        height, width = _image_array(X).shape[1:3]
        return [(width, height)]
    sizes = []
    for source in sources:
        if isinstance(source, Image.Image):
            sizes.append(source.size)
        else:
            sizes.append(
                size_of(source if isinstance(source, bytes) else Path(source).expanduser())
            )
    return sizes


def _is_source(item: Any) -> bool:
    return isinstance(item, (str, bytes, os.PathLike, Image.Image))


def _wide(source: Any) -> Picture:
    """The source as `wide_range` takes it; what cannot be read is left to who decodes it."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source).expanduser()
    if isinstance(source, Image.Image):
        return _encoded(source) if is_wide_mode(source.mode) else np.zeros((1, 1), np.uint8)
    return bytes(source) if isinstance(source, bytes) else np.zeros((1, 1), np.uint8)


def _decoded(
    source: Any, row: int, input_format: InputFormat, wide: ValueRange | None
) -> np.ndarray:
    shape, polarity = input_format.shape, input_format.polarity
    if isinstance(source, (str, os.PathLike)):
        return decode_image(Path(source).expanduser(), shape, polarity, wide)
    if not _is_source(source):
        kind = type(source).__name__
        raise InputError(f"X[{row}] is a {kind}, where a path, bytes or a PIL image is expected")
    try:
        encoded = _encoded(source) if isinstance(source, Image.Image) else bytes(source)
        return decode_image(encoded, shape, polarity, wide)
    except (DataError, OSError, ValueError) as error:
        raise DataError(f"X[{row}]: {' '.join(str(error).split())}") from error


def _encoded(image: Image.Image) -> bytes:
    """The image as PNG, so that it is read exactly as its file would be."""
    with _loading:  # of the first call: Pillow reads the image's file then
        image.load()
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
    if issparse(X):
        raise InputError(
            f"X is a sparse matrix {list(X.shape)}, but the model takes images: expected {_SHAPES}"
        )
    if isinstance(X, Iterator) or hasattr(X, "read"):
        raise InputError(
            f"X is a {type(X).__name__}, which can be read only once; expected {_SHAPES}"
        )
    try:
        images = _numbers(X)
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


def _numbers(X: Any) -> np.ndarray:
    """`X` as an array; tensors, alone or in a list, lose their gradients and their device."""
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        return np.asarray(X.float() if X.dtype == torch.bfloat16 else X)
    if isinstance(X, Sequence) and X and all(isinstance(item, Tensor) for item in X):
        return np.stack([_numbers(item) for item in X])
    return np.asarray(X)


def _described(array: np.ndarray) -> str:
    return f"got X as {array.dtype} {list(array.shape)}"
