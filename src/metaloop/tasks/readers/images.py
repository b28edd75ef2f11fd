"""Decoding images: any file that Pillow reads becomes uint8 `[channels, height, width]`.

Transparent pixels are shown on white, orientation tags are obeyed. Numbers of more than 8 bits are
scaled by the rule of `tasks.value_range`, one range for the whole set; HEIC needs pillow-heif.
Images are squashed to the wanted shape, as by torchvision's `Resize((h, w))`: area averages when
both sides shrink, else bilinear. `ink` polarity inverts each image whose border is bright.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from metaloop.core.errors import DataError
from metaloop.core.large import pieces
from metaloop.core.spec import Shape
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.ranges import range_of_set
from metaloop.tasks.value_range import WORDS, ValueRange, ValueRangeError, decide_range, to_bytes

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif", ".heic", ".heif", ".hif"}
)
_IMAGE = "the image"
_SAMPLE = 256  # images that decide whether a set is grey
_WHITE_BORDER = 200  # a set whose borders are mostly brighter than this is ink on paper
_BRIGHT_BORDER = 127

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
HEIF_REMEDY = (
    "it is HEIC, which needs pillow-heif: pip install 'metaloop[heic]', or convert to JPEG"
)


@dataclass(frozen=True)
class Page:
    """One image of a file that holds several."""

    source: Path | bytes
    number: int


Picture = Path | bytes | np.ndarray | Page
Load = Callable[[int], Picture]


def decode_image(
    source: Path | bytes | Page,
    shape: Shape,
    polarity: Literal["as_is", "ink"] = "as_is",
    value_range: ValueRange | None = None,
) -> np.ndarray:
    """Returns one image, a file or its bytes, as uint8 `[channels, height, width]` like `shape`.

    `value_range` holds for numbers of more than 8 bits. Raises `DataError` if it cannot be read.
    """
    file = source.source if isinstance(source, Page) else source
    what = "the image" if isinstance(file, bytes) else f"image {str(file)!r}"
    if isinstance(file, Path) and not file.is_file():
        raise DataError(f"{what} {'is no regular file' if file.exists() else 'does not exist'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files
        try:
            pixels = fit_or_none(lambda _: source, 0, shape, value_range)
        except ValueRangeError as error:
            raise DataError(f"{what}{str(error).removeprefix(_IMAGE)}") from error
    if pixels is None:
        raise DataError(f"{what} cannot be read: {why_unreadable(file)}")
    return ink_high(pixels[None])[0] if polarity == "ink" else pixels


def fit(picture: Picture, shape: Shape, value_range: ValueRange | None = None) -> np.ndarray:
    """Returns the picture as uint8 of this shape `(1 or 3, height, width)`, its polarity kept.

    Raises `ValueRangeError` if it holds numbers of more than 8 bits whose range is not known.
    """
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    with _opened(picture) as image:
        if image.format == "JPEG":  # decode a large photograph at a half, quarter or eighth
            image.draft(None, (4 * width, 4 * height))
        image = _eight_bits(_upright(image), value_range)
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != (width, height):
            shrinks = image.width >= width and image.height >= height
            kernel = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            image = image.resize((width, height), kernel)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def num_pixels(picture: Picture) -> int:
    """Returns how many pixels a readable picture has, which is not decoded for that."""
    width, height = size_of(picture)
    return width * height


def size_of(picture: Picture) -> tuple[int, int]:
    """Returns width and height of a readable picture in pixels, which is not decoded for that."""
    with _opened(picture) as image:
        return int(image.width), int(image.height)


def image_kind(head: bytes) -> str:
    """Returns the kind of image that a file is which begins so; "" if it is none that is known."""
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if head[4:8] == b"ftyp":
        return "HEIF" if head[8:12] in _HEIF_BRANDS else "AVIF" if head[8:12] == b"avif" else ""
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    starts = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), "")


def why_unreadable(source: Path | bytes) -> str:
    """Returns in words why a file (or its bytes) that Pillow does not read may be so."""
    head = _head(source)
    if not head:
        return "it is empty"
    if image_kind(head) == "HEIF" and not heif_opener():
        return HEIF_REMEDY
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _opened(source).close()
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        return f"it has more than {most:.0f} million pixels; make it smaller"
    except Exception:  # decoders raise nearly anything
        return "it is damaged or no image at all"
    return "it is damaged"


def check_heif(
    where: str, names: Sequence[str], readable: np.ndarray, load: Callable[[str], Picture]
) -> None:
    """Raises `DataError` if images that were not `readable` are HEIC, and nothing opens that."""
    broken = np.setdiff1d(np.arange(len(names)), readable).tolist()
    closed = [i for i in broken if _kind_or_none(load, names[i]) == "HEIF"]
    if closed and not heif_opener():
        raise DataError(
            f"{where}: {len(closed)} of {len(names)} images cannot be read, first "
            f"{tidy(names[closed[0]])!r}: {HEIF_REMEDY}"
        )


def _kind_or_none(load: Callable[[str], Picture], name: str) -> str | None:
    """The kind of a file that was not readable; None where it cannot even be loaded."""
    try:
        source = load(name)
    except Exception:  # a damaged member of a zip
        return None
    return image_kind(_head(source)) if isinstance(source, (Path, bytes)) else None


@cache
def heif_opener() -> bool:
    """Returns whether Pillow can be taught HEIC, and teaches it."""
    try:
        from pillow_heif import register_heif_opener  # optional extra
    except ImportError:
        return False
    register_heif_opener()
    return True


def _head(source: Path | bytes) -> bytes:
    """The first bytes of a regular file; none if there are none or it cannot be opened."""
    if isinstance(source, bytes):
        return source[:32]
    try:
        if source.is_file():
            with source.open("rb") as file:
                return file.read(32)
    except OSError:
        pass
    return b""


def choose_polarity(images: np.ndarray, grey: bool) -> Literal["as_is", "ink"]:
    """Returns `ink` for a grey set `[N, c, h, w]` in which most borders are nearly white."""
    if not grey or len(images) == 0:
        return "as_is"
    white = sum(int((_border_median(images[i]) > _WHITE_BORDER).sum()) for i in pieces(images))
    return "ink" if white / len(images) > 0.5 else "as_is"


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


def sampled(num_images: int) -> list[int]:
    """Returns some indices, evenly spread."""
    chosen: list[int] = np.unique(
        np.linspace(0, num_images - 1, min(num_images, _SAMPLE)).astype(int)
    ).tolist()
    return chosen


def wide_range(
    num_images: int, load: Load, declared: ValueRange | None, where: str
) -> ValueRange | None:
    """Returns the range of numbers of more than 8 bits; the declared one where there are none.

    Raises `ValueRangeError` where it is not known.
    """
    if not any(_is_wide(load, i) for i in sampled(num_images)):
        return declared
    extremes: dict[str, list[tuple[float, float]]] = {}
    for i in range(num_images):
        values = _wide_values(load, i)
        if values is not None:
            found = float(values.min()), float(values.max())
            extremes.setdefault(values.dtype.kind, []).append(found)
    if len(extremes) > 1 and declared is None:
        raise ValueRangeError(
            f"{where}: some images hold whole numbers of more than 8 bits and others fractions; "
            f"say what is black and white, such as --value-range 0..65535"
        )
    for kind, pairs in extremes.items():
        dtype = np.dtype(np.float64 if kind == "f" else np.uint16)
        if kind != "f" and (np.min(pairs) < 0 or np.max(pairs) > WORDS[1]):
            dtype = np.dtype(np.int64)
        declared = range_of_set(np.array(pairs), dtype, declared, where)
    return declared


def _is_wide(load: Load, index: int) -> bool:
    try:
        picture = load(index)
        if isinstance(picture, np.ndarray):
            return False
        with _opened(picture) as image:
            return is_wide_mode(image.mode)
    except MemoryError:
        raise
    except Exception:
        return False


def is_wide_mode(mode: str) -> bool:
    """Returns whether images of this mode of Pillow hold numbers of more than 8 bits."""
    return mode in ("I", "F") or mode.startswith("I;16")


def _wide_values(load: Load, index: int) -> np.ndarray | None:
    """The numbers of an image of more than 8 bits; None for others and for damaged ones."""
    if not _is_wide(load, index):
        return None
    try:
        with _opened(load(index)) as image:
            values = np.asarray(image)
        return values if np.isfinite([values.min(), values.max()]).all() else None
    except MemoryError:
        raise
    except Exception:
        return None


def fit_or_none(
    load: Load, index: int, shape: Shape, value_range: ValueRange | None = None
) -> np.ndarray | None:
    """Returns the decoded image, or None: a damaged file makes decoders raise nearly anything."""
    try:
        return fit(load(index), shape, value_range)
    except (MemoryError, ValueRangeError):
        raise
    except Exception:
        return None


def _opened(picture: Picture) -> Image.Image:
    """The image, not yet decoded; only regular files are opened."""
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    source = picture.source if isinstance(picture, Page) else picture
    if isinstance(source, Path) and not source.is_file():
        raise OSError(f"{source} is no regular file")
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except UnidentifiedImageError:
        if image_kind(_head(source)) != "HEIF" or not heif_opener():
            raise
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    if isinstance(picture, Page):
        image.seek(picture.number)
    return image


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; a damaged tag is as good as none."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        image.load()  # raises if it was the image that is damaged
    return image


def _eight_bits(image: Image.Image, value_range: ValueRange | None) -> Image.Image:
    """The image in mode L or RGB, transparency composited on white."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return paper.convert("RGB")
    if is_wide_mode(image.mode):
        return Image.fromarray(_scaled_to_bytes(np.asarray(image), value_range))
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled_to_bytes(values: np.ndarray, value_range: ValueRange | None) -> np.ndarray:
    """Numbers of more than 8 bits as bytes: whole ones are 0..65535 unless another is given."""
    if not np.isfinite([values.min(), values.max()]).all():
        raise ValueError("the image holds numbers that are not finite")
    if value_range is None:
        value_range = decide_range(values, None, _IMAGE) if values.dtype.kind == "f" else WORDS
    scaled: np.ndarray = to_bytes(values[None], value_range)[0]
    return scaled
