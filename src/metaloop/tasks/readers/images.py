"""Decoding images: any file that Pillow reads becomes uint8 `[channels, height, width]`.

Transparent pixels are shown on white, orientation tags are obeyed, 16-bit values are scaled to 8.
Images are squashed to the wanted shape, as by torchvision's `Resize((h, w))`: area averages when
both sides shrink, else bilinear. `ink` polarity inverts each image whose border is bright.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from metaloop.core.errors import DataError
from metaloop.core.spec import Shape
from metaloop.tasks.readers.options import ReadOptions

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".tga"}
)
GREY_SIZE, COLOUR_SIZE = 28, 32  # pixels; the sizes of Omniglot and of CIFAR-FS in the papers
_SAMPLE = 256  # images that decide whether a set is grey
_GREY_TOLERANCE = 3  # levels; a grey JPEG that was saved as colour is not exactly grey
_WHITE_BORDER = 200  # a set whose borders are mostly brighter than this is ink on paper
_BRIGHT_BORDER = 127

Picture = Path | bytes | np.ndarray
Load = Callable[[int], Picture]


def decode_image(
    source: Path | bytes, shape: Shape, polarity: Literal["as_is", "ink"] = "as_is"
) -> np.ndarray:
    """Returns one image, a file or its bytes, as uint8 `[channels, height, width]` like `shape`.

    Raises `DataError` if it cannot be read.
    """
    what = "the image" if isinstance(source, bytes) else f"image {str(source)!r}"
    if isinstance(source, Path) and not source.exists():
        raise DataError(f"{what} does not exist")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files
        pixels = _fit_or_none(lambda _: source, 0, shape)
    if pixels is None:
        raise DataError(f"{what} cannot be read: it is damaged, too large or no image at all")
    return ink_high(pixels[None])[0] if polarity == "ink" else pixels


def decode_all(
    num_images: int, load: Load, options: ReadOptions
) -> tuple[np.ndarray, np.ndarray, Literal["as_is", "ink"]]:
    """Returns uint8 images `[readable, channels, size, size]`, their indices, their polarity.

    `load(i)` gives image i as a path, as encoded bytes or as an array `[h, w(, c)]`. Size and
    channels that `options` leave open are decided by a sample of 256 images.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files
        grey = _is_grey(num_images, load)
        size = options.image_size or (GREY_SIZE if grey else COLOUR_SIZE)
        shape = (options.channels or (1 if grey else 3), size, size)
        images = np.empty((num_images, *shape), np.uint8)
        readable = np.zeros(num_images, bool)
        for i in range(num_images):
            pixels = _fit_or_none(load, i, shape)
            if pixels is not None:
                images[i], readable[i] = pixels, True
    if not readable.all():
        images = images[readable]
    polarity = options.polarity or choose_polarity(images, grey)
    if polarity == "ink":
        images = ink_high(images)
    return images, np.flatnonzero(readable), polarity


def fit(picture: Picture, shape: Shape) -> np.ndarray:
    """Returns the picture as uint8 of this shape `(1 or 3, height, width)`, its polarity kept."""
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    with _opened(picture) as image:
        if image.format == "JPEG":  # decode a large photograph at a half, quarter or eighth
            image.draft(None, (4 * width, 4 * height))
        image = _eight_bits(_upright(image))
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != (width, height):
            shrinks = image.width >= width and image.height >= height
            kernel = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            image = image.resize((width, height), kernel)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def choose_polarity(images: np.ndarray, grey: bool) -> Literal["as_is", "ink"]:
    """Returns `ink` for a grey set `[N, c, h, w]` in which most borders are nearly white."""
    if not grey or len(images) == 0:
        return "as_is"
    return "ink" if np.mean(_border_median(images) > _WHITE_BORDER) > 0.5 else "as_is"


def ink_high(images: np.ndarray) -> np.ndarray:
    """Returns `[N, c, h, w]` with every image inverted whose border is bright."""
    bright = _border_median(images) > _BRIGHT_BORDER
    inverted: np.ndarray = images ^ (bright * np.uint8(255))[:, None, None, None]  # 255 - byte
    return inverted


def _border_median(images: np.ndarray) -> np.ndarray:
    """The median of the outermost ring of pixels of every image, over all channels."""
    sides = (images[:, :, 0], images[:, :, -1], images[:, :, 1:-1, 0], images[:, :, 1:-1, -1])
    ring = np.concatenate([side.reshape(len(images), -1) for side in sides], axis=1)
    middle = ring.shape[1] // 2
    return np.asarray(np.partition(ring, middle, axis=1)[:, middle])


def _is_grey(num_images: int, load: Load) -> bool:
    """Whether the sampled images have equal channels, whatever their file says."""
    sample = np.unique(np.linspace(0, num_images - 1, min(num_images, _SAMPLE)).astype(int))
    for pool in (sample.tolist(), range(num_images)):  # all of them, if no sampled one is readable
        seen = _all_grey(pool, load)
        if seen is not None:
            return seen
    return True


def _all_grey(indices: Sequence[int], load: Load) -> bool | None:
    """Whether all readable images among these are grey; None if none is readable."""
    seen = None
    for i in indices:
        pixels = _fit_or_none(load, i, (3, COLOUR_SIZE, COLOUR_SIZE))
        if pixels is not None:
            spread = pixels.max(axis=0).astype(int) - pixels.min(axis=0)
            if spread.max() > _GREY_TOLERANCE:
                return False
            seen = True
    return seen


def _fit_or_none(load: Load, index: int, shape: Shape) -> np.ndarray | None:
    """The decoded image, or None: a damaged file makes decoders raise nearly any exception."""
    try:
        return fit(load(index), shape)
    except MemoryError:
        raise
    except Exception:
        return None


def _opened(picture: Picture) -> Image.Image:
    """The image, not yet decoded."""
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    return Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; a damaged tag is as good as none."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        image.load()  # raises if it was the image that is damaged
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, transparency composited on white."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return paper.convert("RGB")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_scaled_to_bytes(np.asarray(image)))
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled_to_bytes(values: np.ndarray) -> np.ndarray:
    """Integers from 0..65535, floats from 0..1, 0..255 or else from their own range, to 0..255."""
    if values.dtype.kind != "f":
        return np.asarray(np.clip(values, 0, 65535) // 257, np.uint8)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("the image holds numbers that are not finite")
    if low < 0 or high > 255:
        values = (values - low) * (255.0 / (high - low))
    elif high <= 1:
        values = values * 255.0
    return np.asarray(np.rint(values), np.uint8)
