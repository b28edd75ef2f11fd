"""Files of several images: every page of a TIFF is an example, of an animation only the first.

Reduced copies and masks that a TIFF carries beside its image are no pages.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.images import Page, Picture
from metaloop.tasks.readers.recordings import RECORDING_SUFFIXES

MAX_PAGES = 10_000  # of one file; more are surely a damaged one
_SINGLE = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".npy", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    *(*sorted(RECORDING_SUFFIXES), ".txt", ".text"),
)
_SUBFILE, _REDUCED_OR_MASK = 254, 0b101  # the TIFF tag NewSubfileType


@dataclass(frozen=True)
class Pages:
    """Examples `paths`, `a.tif[3]` for a page, whose files are in `file_of`; `load` opens one."""

    paths: Sequence[str]
    load: Callable[[str], Picture]
    file_of: dict[str, str]
    notes: list[str]


def with_pages(files: ImageFiles) -> Pages:
    """Returns the examples in image files: pages where a TIFF has several, else the file itself."""
    paths: list[str] = []
    numbers: dict[str, int] = {}
    file_of: dict[str, str] = {}
    animated: list[str] = []
    for path in files.paths:
        found, is_animated = _pages_of(path, files.load)
        animated += [path] * is_animated
        if len(found) < 2:
            paths.append(path)
            continue
        for number in found:
            page = f"{path}[{number}]"
            paths.append(page)
            numbers[page], file_of[page] = number, path

    def load(path: str) -> Picture:
        if path not in file_of:
            return files.load(path)
        source = files.load(file_of[path])
        assert not isinstance(source, (np.ndarray, Page))
        return Page(source, numbers[path])

    notes = []
    if file_of:
        stacks = len(set(file_of.values()))
        notes.append(f"{stacks:,} files have several pages: each of {len(file_of):,} is an example")
    if animated:
        notes.append(
            f"{len(animated):,} animations, first {animated[0]!r}: only the first frame is read"
        )
    return Pages(paths, load, file_of, notes)


def _pages_of(path: str, load: Callable[[str], Picture]) -> tuple[list[int], bool]:
    """The numbers of a file's pages (one or none: itself), and whether it is an animation."""
    if path.lower().endswith(_SINGLE):
        return [], False
    try:
        source = load(path)
        assert isinstance(source, (bytes, Path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd files
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                if image.format != "TIFF":
                    return [], bool(getattr(image, "is_animated", False))
                count = min(MAX_PAGES, int(getattr(image, "n_frames", 1)))
                return [i for i in range(count) if count > 1 and _is_page(image, i)], False
    except MemoryError:
        raise
    except Exception:  # of damaged files nearly any; decoding will say so
        return [], False


def _is_page(image: Image.Image, number: int) -> bool:
    image.seek(number)
    tags = getattr(image, "tag_v2", {})
    return number == 0 or not int(tags.get(_SUBFILE, 0)) & _REDUCED_OR_MASK
