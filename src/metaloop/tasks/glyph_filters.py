"""Matrices that blur and resample a line of pixels: `image -> matrix @ image @ matrix.T`.

Each row sums to 1. Pixel i of n covers i/n to (i + 1)/n of the line.
"""

import numpy as np
from numpy.typing import NDArray


def area_down(num_pixels: int, num_cells: int) -> NDArray[np.float64]:
    """The mean over each cell's part of the line: `[num_cells, num_pixels]`, cells <= pixels."""
    pixel = np.arange(num_pixels) / num_pixels
    cell = np.arange(num_cells)[:, None] / num_cells
    ends = np.minimum(pixel + 1 / num_pixels, cell + 1 / num_cells)
    overlap = np.maximum(ends - np.maximum(pixel, cell), 0)
    return np.asarray(overlap * num_cells, np.float64)


def linear_up(num_cells: int, num_pixels: int) -> NDArray[np.float64]:
    """Linear between the centres of the cells, constant outside: `[num_pixels, num_cells]`."""
    centre = (np.arange(num_pixels)[:, None] + 0.5) / num_pixels * num_cells - 0.5
    place = np.clip(centre, 0, num_cells - 1)
    return np.asarray(np.maximum(1 - np.abs(place - np.arange(num_cells)), 0), np.float64)


def blur(num_pixels: int, deviation: float) -> NDArray[np.float64]:
    """A Gaussian of a standard deviation in shares of the line: `[num_pixels, num_pixels]`."""
    if deviation == 0:
        return np.eye(num_pixels)
    centre = (np.arange(num_pixels) + 0.5) / num_pixels
    weight = np.exp(-0.5 * ((centre[:, None] - centre) / deviation) ** 2)
    return np.asarray(weight / weight.sum(1, keepdims=True), np.float64)
