"""`glyphs`, the embedded default family: characters drawn from the fonts that matplotlib ships.

A class is a code point, its examples are faces, weights and slants under random changes; digits are
left out, so that handwritten digits are classes never seen. Drawn once, then kept in the cache.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pooch  # type: ignore[import-untyped]
import torch

from metaloop.core.randomness import numpy_stream
from metaloop.tasks.glyphs_render import (
    RENDER_VERSION,
    fonts_fingerprint,
    glyph_classes,
    render_glyphs,
)
from metaloop.tasks.store import ClassInfo, Reading, Store

_EXAMPLES = 20  # per class, as in Omniglot
_SEED = 0  # the family is one data set: the same for every run


def read_glyphs(image_size: int = 28, examples: int = _EXAMPLES) -> Reading:
    """Returns about 2,000 classes of `examples` images `[1, image_size, image_size]`, ink high."""
    classes = glyph_classes()
    images = _cached_images(image_size, examples)
    if images is None or images.shape[:2] != (len(classes), examples):
        rng = numpy_stream(_SEED, "glyphs", image_size, examples)
        images = render_glyphs(classes, examples, rng, image_size)
        _keep(images, image_size, examples)
    infos = tuple(
        ClassInfo(f"U+{glyph.code_point:04X} {glyph.name}", glyph.group) for glyph in classes
    )
    inputs = torch.from_numpy(images.reshape(-1, 1, image_size, image_size))
    targets = torch.arange(len(classes)).repeat_interleave(examples)
    kind = "characters drawn from the fonts that matplotlib ships"
    return Reading("glyphs", kind, Store(inputs, targets, infos))


def cache_folder() -> Path:
    """Returns where drawn glyphs are kept: `METALOOP_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("METALOOP_CACHE") or pooch.os_cache("metaloop"))


def _cache_file(image_size: int, examples: int) -> Path:
    key = f"{RENDER_VERSION}-{fonts_fingerprint()[:12]}-{image_size}-{examples}"
    return cache_folder() / f"glyphs-{key}.npy"


def _cached_images(image_size: int, examples: int) -> np.ndarray | None:
    try:
        images: np.ndarray = np.load(_cache_file(image_size, examples), allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or damaged: drawn anew
        return None
    return images if images.dtype == np.uint8 and images.ndim == 4 else None


def _keep(images: np.ndarray, image_size: int, examples: int) -> None:
    """Writes the cache in one move; a cache that cannot be written is done without."""
    path = _cache_file(image_size, examples)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npy")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, images)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
