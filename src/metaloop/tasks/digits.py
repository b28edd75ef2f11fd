"""scikit-learn's handwritten digits: real data that every installation has, to evaluate on.

1,797 images of 10 digits, 8x8 pixels with 17 grey levels, ink high. They come from the test set of
the UCI data set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, CC BY 4.0).
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import ClassInfo, Reading, Store

_LEVELS = 16.0


def read_digits(image_size: int = 28, channels: int = 1) -> Reading:
    """Returns the digits as images `[1797, channels, image_size, image_size]`, ink high."""
    digits = load_digits()
    images = np.round(digits.images * (255.0 / _LEVELS)).astype(np.uint8)
    read = read_arrays(
        images,
        digits.target,
        name="digits",
        image_size=image_size,
        channels=channels,
        polarity="as_is",
    )
    classes = tuple(ClassInfo(f"digit {info.name}") for info in read.store.classes)
    store = Store(read.store.inputs, read.store.targets, classes)
    return Reading("digits", "scikit-learn's handwritten digits", store)


def digit_pixels() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the original pixels `[1797, 64]`, 0 to 1, and the digits: for pixel baselines."""
    digits = load_digits()
    pixels = torch.from_numpy(digits.data.astype(np.float32) / _LEVELS)
    return pixels, torch.from_numpy(digits.target.astype(np.int64))
