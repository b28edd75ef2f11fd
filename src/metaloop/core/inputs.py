"""`InputFormat`: how raw inputs (images of any size, vectors) become what a net is given.

It is measured once on the training classes, stored in the model file, and applied unchanged to
everything the model ever sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metaloop.core.spec import Shape


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
        ones = (1,) * (len(self.shape) - 1)
        mean = torch.tensor(self.mean, device=inputs.device).view(-1, *ones)
        deviation = torch.tensor(self.deviation, device=inputs.device).view(-1, *ones)
        return (inputs - mean) / deviation
