"""New classes from images by moving their pixels: rotated, mirrored, under a fixed map, scrambled.

A quarter turn of a class is a class of its own: what was a change to be ignored becomes one to be
told apart. Source of the idea for few-shot learning: Santoro et al. 2016, arXiv:1605.06065.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.errors import DataError
from metaloop.generators.classes import Classes, joined

_GREATEST_TURN = math.pi / 2  # of `affine(1)`
_GREATEST_STRETCH = 0.5  # of `affine(1)`: the logarithm of the scale, and the shear
_GREATEST_SHIFT = 0.2  # of `affine(1)`, as a share of the side


def rotate(classes: Classes, rng: np.random.Generator, degrees: int) -> Classes:
    """Returns every class rotated by all multiples of 90 or of 180 degrees (3 or 1 new ones each).

    Raises `DataError` if images that are not square would be rotated by 90 degrees.
    """
    height, width = classes.inputs.shape[-2:]
    if degrees == 90 and height != width:
        raise DataError(
            f"rotate(90) takes square images, these have {height} x {width}; use rotate(180)"
        )

    def rotated(angle: int) -> Classes:
        return classes.changed(
            f"rotate({angle})", lambda images, _: torch.rot90(images, angle // 90, (-2, -1))
        )

    return joined([rotated(angle) for angle in range(degrees, 360, degrees)])


def flip(classes: Classes, rng: np.random.Generator, direction: str) -> Classes:
    """Returns every class mirrored, left to right (`horizontal`) or upside down (`vertical`)."""
    side = -1 if direction == "horizontal" else -2
    return classes.changed(f"flip({direction})", lambda images, _: images.flip(side))


def affine(classes: Classes, rng: np.random.Generator, strength: float) -> Classes:
    """Returns every class under an affine map of its own, the same for all its examples.

    `strength` 1 rotates by 45 to 90 degrees, scales by up to exp(0.5) along each side, shears by up
    to 0.5 and shifts by up to a fifth of the side; less is in proportion. Where the map looks
    beyond the image, colour images are mirrored and grey ones repeat their edge.
    """
    sign = rng.choice([-1.0, 1.0], len(classes))
    angle = sign * rng.uniform(0.5, 1.0, len(classes)) * strength * _GREATEST_TURN
    scale_x, scale_y, shear = strength * _GREATEST_STRETCH * rng.uniform(-1, 1, (3, len(classes)))
    shift = 2 * strength * _GREATEST_SHIFT * rng.uniform(-1, 1, (2, len(classes)))
    cos, sin = np.cos(angle), np.sin(angle)
    rows = [
        np.stack([np.exp(scale_x) * cos, np.exp(scale_x) * (shear * cos - sin), shift[0]], -1),
        np.stack([np.exp(scale_y) * sin, np.exp(scale_y) * (shear * sin + cos), shift[1]], -1),
    ]
    maps = torch.from_numpy(np.stack(rows, 1).astype(np.float32)).to(classes.inputs.device)
    padding = "reflection" if classes.inputs.shape[1] == 3 else "border"

    def mapped(images: Tensor, labels: np.ndarray) -> Tensor:
        chosen = maps[torch.from_numpy(labels).to(maps.device)]
        grid = functional.affine_grid(chosen, list(images.shape), align_corners=False)
        return functional.grid_sample(
            images.float(), grid, padding_mode=padding, align_corners=False
        )

    return classes.changed(f"affine({strength})", mapped)


def scramble(classes: Classes, rng: np.random.Generator, grid: int) -> Classes:
    """Returns every class with its images cut into `grid` x `grid` tiles in a new order of its own.

    Raises `DataError` if the sides cannot be divided so.
    """
    channels, height, width = classes.inputs.shape[1:]
    if height % grid or width % grid:
        raise DataError(
            f"scramble({grid}) cuts sides into {grid} equal pieces, these images have "
            f"{height} x {width} pixels; use another number or image size"
        )
    orders = torch.from_numpy(
        np.stack([_other_order(grid * grid, rng) for _ in range(len(classes))])
    ).to(classes.inputs.device)
    tile = (height // grid, width // grid)

    def moved(images: Tensor, labels: np.ndarray) -> Tensor:
        number = len(images)
        tiles = images.reshape(number, channels, grid, tile[0], grid, tile[1])
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(number, grid * grid, channels, *tile)
        order = orders[torch.from_numpy(labels).to(orders.device)]
        tiles = tiles[torch.arange(number, device=order.device)[:, None], order]
        tiles = tiles.reshape(number, grid, grid, channels, *tile).permute(0, 3, 1, 4, 2, 5)
        return tiles.reshape(images.shape)

    return classes.changed(f"scramble({grid})", moved)


def _other_order(number: int, rng: np.random.Generator) -> np.ndarray:
    """A random order of `number` things that is not the one they are in."""
    order = rng.permutation(number)
    return np.roll(order, 1) if (order == np.arange(number)).all() else order
