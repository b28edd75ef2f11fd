"""Images as a model's net or encoder is given them, for those who want its features alone.

They are squashed to size and read as estimators read arrays, so features are those of `predict`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.views import own_format, read_format, seen
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.tasks.readers.images import fit, ink_high


def sized(images: Tensor, input_format: InputFormat) -> Tensor:
    """Returns uint8 images `[N, 1 or 3, height, width]` of any size in a model's own format."""
    if not len(images):
        return torch.zeros(0, *input_format.shape, dtype=torch.uint8)
    arrays = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()
    arrays = arrays[..., 0] if arrays.shape[-1] == 1 else arrays
    pixels = np.stack([fit(array, input_format.shape) for array in arrays])
    return torch.from_numpy(ink_high(pixels) if input_format.polarity == "ink" else pixels)


def seen_images(view: FittedView, input_format: InputFormat, images: Tensor) -> Tensor:
    """Returns what a view sees of uint8 images `[N, 1 or 3, height, width]` of any size.

    float32 `[N, features]`, in `input_format`. Raises `DataError` for a view of something else.
    """
    detail = sized(images, read_format(view, input_format))
    own = own_format(view, input_format)
    return seen(view, detail if own is None else sized(images, own), detail)
