"""Frozen nets on images: what they are given, and how thousands of images go through them.

What a net returns for an image hangs on that image alone, so images go through in small batches, as
a processor's cache likes them. Everything is float32: bfloat16 takes 0.6 of the time on a processor
that has it and longer on others, and features must be the same on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.columns import Taken
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError

_PIXELS_AT_ONCE = 16 * 96 * 96  # measured: at 96 pixels 16 images take 3/4 of the time of 64
_MOST_AT_ONCE = 64
LARGEST_SIDE = 1024  # pixels: beyond, a few images fill the memory


@dataclass(frozen=True)
class ImagePreparation:
    """How a net wants images: squares of `side` pixels, `(x - mean) / deviation` of x in 0 to 1.

    Images of another size are squashed to that, as metaloop's readers do it; when they shrink,
    the pixels that make one are averaged. One channel becomes three equal ones.
    """

    side: int
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    deviation: Sequence[float] = (1.0, 1.0, 1.0)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """Returns float32 `[N, 3, side, side]`, channels last, of uint8 `[N, 1 or 3, h, w]`."""
        pixels = images.float() / 255
        if tuple(images.shape[2:]) != (self.side, self.side):
            pixels = functional.interpolate(
                pixels, (self.side, self.side), mode=self.interpolation, antialias=True
            ).clamp_(0, 1)
        mean, deviation = (
            torch.tensor(tuple(numbers)).view(1, 3, 1, 1) for numbers in (self.mean, self.deviation)
        )
        pixels = (pixels.expand(-1, 3, -1, -1) - mean) / deviation
        return pixels.contiguous(memory_format=torch.channels_last)


@final
class ImageEncoder(Encoder):
    """A net on prepared images as an encoder; `net` returns features `[N, card.features]`.

    Raises `DataError` for an image side that no net is for.
    """

    def __init__(
        self, card: EncoderCard, prepare: ImagePreparation, net: Callable[[Tensor], Tensor]
    ) -> None:
        if not 1 <= prepare.side <= LARGEST_SIDE:
            raise DataError(
                f"{card.name} wants images of {prepare.side} pixels; 1 to {LARGEST_SIDE} can be had"
            )
        self.card = card
        self._prepare = prepare
        self._net = net

    def encode(self, inputs: Taken) -> Tensor:
        """Returns what the net makes of the images, in small batches: see `Encoder.encode`."""
        images = checked_images(inputs)
        at_once = max(1, min(_MOST_AT_ONCE, _PIXELS_AT_ONCE // self._prepare.side**2))
        encoded = torch.empty(len(images), self.card.features)  # no inference tensor: it is used
        with torch.inference_mode():
            for start in range(0, len(images), at_once):
                some = images[start : start + at_once]
                features = self._net(self._prepare(some))
                if features.shape != (len(some), self.card.features):
                    raise DataError(
                        f"{self.card.name} returned {list(features.shape)} for {len(some)} images; "
                        f"[{len(some)}, {self.card.features}] was expected"
                    )
                encoded[start : start + at_once] = features.float()
        return encoded


def measured_features(name: str, prepare: ImagePreparation, net: Callable[[Tensor], Tensor]) -> int:
    """Returns how many features a net has, by one grey image.

    Raises `DataError` where it does not return one vector of finite numbers for an image.
    """
    image = torch.full((1, 3, prepare.side, prepare.side), 128, dtype=torch.uint8)
    with torch.inference_mode():
        try:
            features = net(prepare(image))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{name} cannot take an image of {prepare.side} pixels: {reason}"
            ) from error
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != 1:
        shape = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise DataError(f"{name} returns {shape} for one image; features [1, D] were expected")
    if not bool(torch.isfinite(features).all()):
        raise DataError(f"{name} returns values that are not finite; its weights are damaged")
    return int(features.shape[1])


def checked_images(inputs: Taken) -> Tensor:
    """Returns the inputs if they are images, uint8 `[N, 1 or 3, height, width]`.

    Raises `DataError` otherwise.
    """
    if not isinstance(inputs, Tensor):
        kind = "texts" if isinstance(inputs, tuple) else "several fields"
        raise DataError(f"the backbone takes images, got {kind}; choose another with --backbone")
    if inputs.dtype != torch.uint8 or inputs.ndim != 4 or inputs.shape[1] not in (1, 3):
        raise DataError(
            f"the backbone takes images, uint8 [N, 1 or 3, height, width], got "
            f"{str(inputs.dtype).removeprefix('torch.')} {list(inputs.shape)}; choose another with "
            f"--backbone"
        )
    if 0 in inputs.shape[2:]:
        raise DataError("images of no pixels have no features; leave them out")
    return inputs.detach().cpu()
