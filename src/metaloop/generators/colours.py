"""New classes from images by changing what is bright: negatives, and exchanged colour channels."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.generators.classes import Classes

_OTHER_ORDERS = [order for order in permutations(range(3)) if order != (0, 1, 2)]


def invert(classes: Classes, rng: np.random.Generator) -> Classes:
    """Returns the negatives of every class."""
    return classes.changed("invert()", lambda images, _: 255 - images)


def permute_channels(classes: Classes, rng: np.random.Generator) -> Classes:
    """Returns every class with its colours exchanged, in one order for all its examples.

    Raises `DataError` for images without three channels.
    """
    channels = classes.inputs.shape[1]
    if channels != 3:
        raise DataError(f"permute_channels() takes images of 3 channels, these have {channels}")
    orders = torch.from_numpy(rng.choice(_OTHER_ORDERS, len(classes))).to(classes.inputs.device)

    def exchanged(images: Tensor, labels: np.ndarray) -> Tensor:
        order = orders[torch.from_numpy(labels).to(orders.device)]
        return images[torch.arange(len(images), device=order.device)[:, None], order]

    return classes.changed("permute_channels()", exchanged)
