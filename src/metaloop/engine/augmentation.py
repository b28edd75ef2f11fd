"""Random changes of training images, one per image, computed on the device in one pass.

Images are floats `[N, channels, height, width]` in 0 to 1. Each augmentation is a function of the
images, a generator and its strengths; `AUGMENTATIONS` is the table that plans choose from.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.errors import unknown_name
from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.records import Choice

_WARP_GRID = (5, 5)


def affine(
    images: Tensor,
    rng: torch.Generator,
    rotation: float = 15.0,
    scale: float = 0.2,
    shear: float = 0.2,
    shift: float = 0.09,
    elastic: float = 0.025,
) -> Tensor:
    """Returns images under a random affine map and a smooth warp each; outside, all is black.

    `rotation` in degrees, `scale` and `shear` as ratios, `shift` as a share of the side: each is
    the half-width of a uniform distribution. `elastic` is the standard deviation of the warp, as a
    share of the side, on a grid of 5x5 places (0: no warp).
    """
    number = len(images)
    draws = torch.rand(6, number, generator=rng, device=images.device) * 2 - 1
    angle = draws[0] * math.radians(rotation)
    scale_x, scale_y = torch.exp(scale * draws[1]), torch.exp(scale * draws[2])
    cos, sin, slant = torch.cos(angle), torch.sin(angle), shear * draws[3]
    matrix = torch.stack(
        [
            torch.stack([scale_x * cos, scale_x * (slant * cos - sin), 2 * shift * draws[4]], -1),
            torch.stack([scale_y * sin, scale_y * (slant * sin + cos), 2 * shift * draws[5]], -1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    if elastic:
        places = torch.randn(number, 2, *_WARP_GRID, generator=rng, device=images.device)
        warp = functional.interpolate(
            2 * elastic * places, size=images.shape[-2:], mode="bicubic", align_corners=True
        )
        grid = grid + warp.permute(0, 2, 3, 1)
    return functional.grid_sample(images, grid, align_corners=False)


def photo(
    images: Tensor,
    rng: torch.Generator,
    shift: float = 0.125,
    flip: bool = True,
    brightness: float = 0.2,
    contrast: float = 0.2,
) -> Tensor:
    """Returns images mirrored half of the time, shifted (edges repeated) and relit."""
    number, device = len(images), images.device
    draws = torch.rand(5, number, generator=rng, device=device)
    mirror = torch.where(draws[0] < 0.5, -1.0, 1.0) if flip else torch.ones(number, device=device)
    height, width = images.shape[-2:]
    # Whole pixels: a shift by part of a pixel would blur, and copying is all that is needed.
    rows = torch.round((draws[1] * 2 - 1) * shift * height).long()
    columns = torch.round((draws[2] * 2 - 1) * shift * width).long()
    y = (torch.arange(height, device=device) + rows[:, None]).clamp(0, height - 1)
    x = (torch.arange(width, device=device) + columns[:, None]).clamp(0, width - 1)
    x = torch.where(mirror[:, None] < 0, width - 1 - x, x)
    index = (torch.arange(number, device=device)[:, None, None], y[:, :, None], x[:, None, :])
    moved = images.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)
    gain = (1 + contrast * (draws[3] * 2 - 1)).view(-1, 1, 1, 1)
    offset = (brightness * (draws[4] * 2 - 1)).view(-1, 1, 1, 1)
    mean = moved.mean((1, 2, 3), keepdim=True)
    return (moved - mean) * gain + mean + offset


def jitter(vectors: Tensor, rng: torch.Generator, strength: float = 0.1) -> Tensor:
    """Returns inputs plus Gaussian noise, `strength` times each feature's spread in the batch."""
    noise = torch.randn(vectors.shape, generator=rng, device=vectors.device)
    return vectors + strength * vectors.std(0, keepdim=True, correction=0) * noise


AUGMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "affine": affine,
    "photo": photo,
    "jitter": jitter,
}


def augmented(batch: Batch, choice: Choice, rng: torch.Generator) -> Batch:
    """Returns the batch with every input changed at random; `none` returns it as it is."""
    if choice.name == "none":
        return batch
    if choice.name not in AUGMENTATIONS:
        raise unknown_name("augmentation", choice.name, [*AUGMENTATIONS, "none"])

    def change(examples: Examples) -> Examples:
        inputs = examples.features
        leading = examples.mask.shape
        flat = inputs.reshape(-1, *inputs.shape[len(leading) :])
        changed = AUGMENTATIONS[choice.name](flat, rng, **choice.options)
        return examples.with_inputs(changed.reshape(inputs.shape))

    if isinstance(batch, EpisodeBatch):
        return EpisodeBatch(change(batch.support), change(batch.query))
    return change(batch)
