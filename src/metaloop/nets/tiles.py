"""Maps in square tiles with margins, so that looking at near places is a product of matrices.

Shapes: T tasks, N images of each, H, W sides, A channels of all heads, d of one, G tiles of an
image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def windows(maps: Tensor, tasks: int, number: int, heads: int, tile: int, margin: int) -> Tensor:
    """Returns tiles with their margins of maps `[TN, H, W, A]`: `[TG, heads, N * side^2, d]`."""
    height, width = maps.shape[1:3]
    maps = maps.permute(0, 3, 1, 2)
    below, right = -height % tile, -width % tile
    maps = functional.pad(maps, (margin, margin + right, margin, margin + below))
    side = tile + 2 * margin
    pieces = maps.unfold(2, side, tile).unfold(3, side, tile)  # [TN, A, down, across, s, s]
    pieces = pieces.reshape(tasks, number, heads, -1, *pieces.shape[2:])
    pieces = pieces.permute(0, 4, 5, 2, 1, 6, 7, 3)  # [T, down, across, heads, N, s, s, d]
    down, across = pieces.shape[1:3]
    return pieces.reshape(tasks * down * across, heads, number * side * side, -1)


def offsets(tile: int, margin: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns where the places of a window are, row and column from its tile's first pixel on."""
    along = torch.arange(-margin, tile + margin, device=device).float()
    y, x = torch.meshgrid(along, along, indexing="ij")
    return y.flatten(), x.flatten()


def untiled(found: Tensor, tasks: int, number: int, sides: tuple[int, ...], tile: int) -> Tensor:
    """Returns what tiles have `[TG, heads, N * tile^2, d]` by pixel: `[T, N, H, W, A]`."""
    height, width = sides
    down, across = math.ceil(height / tile), math.ceil(width / tile)
    found = found.view(tasks, down, across, found.shape[1], number, tile, tile, -1)
    found = found.permute(0, 4, 1, 5, 2, 6, 3, 7)  # [T, N, down, t, across, t, heads, d]
    found = found.reshape(tasks, number, down * tile, across * tile, -1)
    return found[:, :, :height, :width]
