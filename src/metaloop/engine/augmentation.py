"""Random changes of training inputs, one per input, computed on the device in one pass.

Images are floats `[N, channels, height, width]` in 0 to 1. Each augmentation is a function of the
inputs, a generator and its strengths; `AUGMENTATIONS` is the table that plans choose from. That of
spectrograms is in `sound_augmentation.py`, that of texts in `word_augmentation.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.errors import unknown_name
from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.records import Choice
from metaloop.engine.sound_augmentation import sound
from metaloop.engine.word_augmentation import words

_WARP_GRID = (5, 5)
_LOG_ASPECT = math.log(4 / 3)  # of a crop, in either direction


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
    crop: float = 0.0,
    saturation: float = 0.0,
    greyscale: float = 0.0,
    cutout: float = 0.0,
) -> Tensor:
    """Returns images mirrored half of the time, shifted (edges repeated) and relit, and more.

    `crop`: the largest share of the area that is cut off, the rest scaled to the whole; its aspect
    changes with it, up to 3:4. `saturation`: half-width of the uniform change of colourfulness;
    `greyscale`: the share of images without colour. `cutout`: side of a square at a random place
    that shows the image's mean instead, as a share of the image's side. All are off by default.
    """
    draws = torch.rand(5, len(images), generator=rng, device=images.device)
    y_NH, x_NW = _mirrored_and_shifted(images, draws[:3], shift, flip)
    if crop:
        changed = _cropped(images, y_NH, x_NW, rng, crop)
    else:
        number = torch.arange(len(images), device=images.device)[:, None, None]
        index = (number, y_NH[:, :, None], x_NW[:, None, :])
        changed = images.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)
    changed = _relit(changed, draws[3:] * 2 - 1, brightness, contrast)
    if saturation or greyscale:
        changed = _recoloured(changed, rng, saturation, greyscale)
    return _cut_out(changed, rng, cutout) if cutout else changed


def _mirrored_and_shifted(
    images: Tensor, draws: Tensor, shift: float, flip: bool
) -> tuple[Tensor, Tensor]:
    """Returns which row and which column `[N, side]` of the image each pixel is copied from."""
    number, device = len(images), images.device
    mirror = torch.where(draws[0] < 0.5, -1.0, 1.0) if flip else torch.ones(number, device=device)
    height, width = images.shape[-2:]
    # Whole pixels: a shift by part of a pixel would blur, and copying is all that is needed.
    rows = torch.round((draws[1] * 2 - 1) * shift * height).long()
    columns = torch.round((draws[2] * 2 - 1) * shift * width).long()
    y = (torch.arange(height, device=device) + rows[:, None]).clamp(0, height - 1)
    x = (torch.arange(width, device=device) + columns[:, None]).clamp(0, width - 1)
    return y, torch.where(mirror[:, None] < 0, width - 1 - x, x)


def _relit(images: Tensor, light: Tensor, brightness: float, contrast: float) -> Tensor:
    gain = (1 + contrast * light[0]).view(-1, 1, 1, 1)
    offset = (brightness * light[1]).view(-1, 1, 1, 1)
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * gain + mean + offset


def _cropped(
    images: Tensor, y_NH: Tensor, x_NW: Tensor, rng: torch.Generator, crop: float
) -> Tensor:
    """Random resized crops of the images that `y` and `x` stand for: a matrix for each side."""
    draws = torch.rand(4, len(images), generator=rng, device=images.device)
    area = 1 - crop * draws[0]
    # The longer side of a crop is at most all of the image's.
    aspect = torch.exp((draws[1] * 2 - 1) * torch.clamp(-torch.log(area), max=_LOG_ASPECT))
    sizes = torch.stack([torch.sqrt(area * aspect), torch.sqrt(area / aspect)])
    starts = draws[2:] * (1 - sizes)
    rows_NHH = _resampling(y_NH, starts[0], sizes[0])
    columns_NWW = _resampling(x_NW, starts[1], sizes[1])
    return torch.matmul(torch.matmul(rows_NHH.unsqueeze(1), images), columns_NWW.mT.unsqueeze(1))


def _resampling(source_NS: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """Returns matrices `[N, S, S]`: linear interpolation of `source` from `start` on, by shares."""
    side = source_NS.shape[-1]
    pixels = torch.arange(side, device=start.device)
    places = (start[:, None] + size[:, None] * ((pixels + 0.5) / side)) * side - 0.5
    places = places.clamp(0, side - 1)
    below = places.floor().long()
    above = (below + 1).clamp(max=side - 1)
    source = source_NS.to(places.dtype)
    at = torch.lerp(source.gather(1, below), source.gather(1, above), places - below)
    return (1 - (at.unsqueeze(-1) - pixels).abs()).clamp_(min=0)


def _recoloured(
    images: Tensor, rng: torch.Generator, saturation: float, greyscale: float
) -> Tensor:
    draws = torch.rand(2, len(images), generator=rng, device=images.device)
    colour = 1 + saturation * (draws[0] * 2 - 1)
    colour = torch.where(draws[1] < greyscale, torch.zeros_like(colour), colour)
    grey = (reduce(torch.add, images.unbind(1)) / images.shape[1]).unsqueeze(1)
    return torch.lerp(grey.expand_as(images), images, colour.view(-1, 1, 1, 1))


def _cut_out(images: Tensor, rng: torch.Generator, cutout: float) -> Tensor:
    """Squares with a side of at most all of the image, their centres anywhere in it."""
    number, device = len(images), images.device
    centres = torch.rand(2, number, 1, generator=rng, device=device)
    y_in, x_in = (
        (((torch.arange(side, device=device) + 0.5) / side) - centre).abs() < cutout / 2
        for side, centre in zip(images.shape[-2:], centres, strict=True)
    )
    hidden = (y_in.unsqueeze(-1) & x_in.unsqueeze(-2)).unsqueeze(1).to(images.dtype)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(images, mean.expand_as(images), hidden)  # quicker than where, here


def jitter(vectors: Tensor, rng: torch.Generator, strength: float = 0.1) -> Tensor:
    """Returns inputs plus Gaussian noise, `strength` times each feature's spread in the batch."""
    noise = torch.randn(vectors.shape, generator=rng, device=vectors.device)
    return vectors + strength * vectors.std(0, keepdim=True, correction=0) * noise


AUGMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "affine": affine,
    "photo": photo,
    "jitter": jitter,
    "sound": sound,
    "words": words,
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
