"""`InputFormat`: how raw inputs (images of any size, vectors) become what a net is given.

It is measured once on the training classes, stored in the model file, and applied unchanged to
everything the model ever sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from metaloop.core.spec import Shape

# Inputs embedded at once: what a processor's cache holds (benchmarks/embedding.py), or a GPU fills.
_AT_ONCE_ON_CPU, _AT_ONCE_ELSEWHERE = 64, 2048


@dataclass(frozen=True)
class InputFormat:
    """Shape, scale and polarity of inputs.

    `kind`: `image` (`shape` = channels, height, width; stored as uint8) or `vector` (`[features]`).
    `mean`, `deviation`: one number per channel or feature, in units of the float input
    (images: 0 to 1). `polarity`: `ink` if images whose border is bright are inverted when read, so
    that what is drawn is high; `as_is` otherwise.
    """

    kind: Literal["image", "vector"]
    shape: Shape
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    polarity: Literal["as_is", "ink"] = "as_is"

    def to_float(self, inputs: Tensor) -> Tensor:
        """Returns float32 inputs `[..., *shape]`: images 0 to 1, vectors as they are."""
        if inputs.dtype == torch.uint8:
            return inputs.to(torch.float32).div_(255.0)
        return inputs.to(torch.float32)

    def normalise(self, inputs: Tensor) -> Tensor:
        """Returns `(inputs - mean) / deviation` of float inputs `[..., *shape]`."""
        mean, deviation = _moments(self, inputs.device)
        return (inputs - mean) / deviation


@lru_cache(maxsize=64)
def _moments(input_format: InputFormat, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns means and deviations as tensors that fit the inputs; both are made once."""
    ones = (1,) * (len(input_format.shape) - 1)
    mean, deviation = (
        torch.tensor(numbers, device=device).view(-1, *ones)
        for numbers in (input_format.mean, input_format.deviation)
    )
    return mean, deviation


def embedded_at_once(device: torch.device) -> int:
    """Returns how many inputs a net should embed at once there."""
    return _AT_ONCE_ON_CPU if device.type == "cpu" else _AT_ONCE_ELSEWHERE
