"""Synthetic classes that owe the training data only its level, spread and shape.

strokes:   drawings of 2 to 4 curves; examples move the ends a little and tilt the whole
blobs:     smooth random fields in colour; examples shift them and add a field of their own
gaussian:  vectors; centres as scattered as the class means, examples as scattered as the
           training examples around theirs: both are random sums of the observed deviations,
           which have exactly these covariances without the matrices being formed
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.errors import DataError
from metaloop.generators.classes import Classes, like
from metaloop.tasks.store import ClassInfo

_MEASURED_IMAGES = 1000
_MOST_EXAMPLES = 32  # of a synthetic class: more would cost memory and add little
_IMAGES_AT_ONCE = 256
_POINTS_OF_CURVE = 24
_THICKNESS = (0.035, 0.06)  # of strokes, in half sides: about two pixels of 28 are dark
# How far examples of a class differ: such that a net trained for some seconds has work to do.
_STROKE_JITTER, _STROKE_TILT = 0.1, 0.2
_BLOB_JITTER, _BLOB_TILT = 0.8, 0.25
_COARSE = 5  # places along a side of a smooth field
_RESIDUALS_OF_CLASS = 32  # observed deviations that the examples of one class are sums of


def prior(classes: Classes, rng: np.random.Generator, kind: str, number: int) -> Classes:
    """Returns `number` synthetic classes of the usual size, at most 32 examples each.

    Raises `DataError` if `kind` does not make such inputs.
    """
    wanted, makers = _PRIORS[classes.inputs.dim()]
    if kind not in makers:
        fitting = " or ".join(f"prior({name})" for name in makers)
        raise DataError(f"prior({kind}) does not make {wanted}s; use {fitting}")
    size = int(np.clip(np.median(classes.sizes), 2, _MOST_EXAMPLES))
    inputs = makers[kind](classes, rng, number, size)
    origin = f"prior({kind})"
    infos = tuple(ClassInfo(f"{origin} {k + 1}", unit=origin) for k in range(number))
    return Classes(inputs, np.full(number, size, np.int64), infos)


def _strokes(classes: Classes, rng: np.random.Generator, number: int, size: int) -> Tensor:
    channels, height, width = classes.inputs.shape[1:]
    mean, _ = _levels(classes, rng)
    bright_paper = mean.mean() > 127
    curves = rng.integers(2, 5, number)
    controls = rng.uniform(-0.75, 0.75, (number, 4, 3, 2))  # class, curve, control point, (x, y)
    images = []
    labels = np.repeat(np.arange(number), size)
    ink = np.full((len(labels), channels), 0.0 if bright_paper else 255.0)
    paper = 255.0 - ink
    if channels == 3:  # a class has a colour, more or less, on any paper that contrasts
        ink = (rng.uniform(0, 255, (number, 3))[labels] + rng.normal(0, 40, ink.shape)).clip(0, 255)
        paper = (ink + rng.uniform(85, 170, ink.shape)) % 255
    thickness = rng.uniform(*_THICKNESS, len(labels))
    for chunk in np.array_split(np.arange(len(labels)), -(-len(labels) // _IMAGES_AT_ONCE)):
        label = labels[chunk]
        points = _curve_points(controls[label], rng)
        present = np.repeat(np.arange(4) < curves[label][:, None], _POINTS_OF_CURVE, axis=1)
        drawn = _drawn(points, present, thickness[chunk], height, width)[:, None]
        whole = torch.lerp(
            _whole(paper[chunk], height, width), _whole(ink[chunk], height, width), drawn
        )
        images.append(like(whole.to(classes.inputs.device), classes.inputs))
    return torch.cat(images)


def _whole(colours: np.ndarray, height: int, width: int) -> Tensor:
    """Images of one colour `[n, channels, height, width]` for colours `[n, channels]`."""
    return torch.from_numpy(colours).float()[:, :, None, None].expand(-1, -1, height, width)


def _curve_points(controls: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points `[n, curves * points, 2]` of quadratic Bezier curves, tilted and jittered."""
    moved = controls + rng.normal(0, _STROKE_JITTER, controls.shape)
    tilt = rng.normal(0, _STROKE_TILT, (len(controls), 2, 2)) + np.eye(2)
    moved = np.einsum("nkpi,nij->nkpj", moved, tilt)
    t = np.linspace(0, 1, _POINTS_OF_CURVE)
    basis = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    points: np.ndarray = np.einsum("nkpi,pt->nkti", moved, basis).reshape(len(controls), -1, 2)
    return points


def _drawn(
    points: np.ndarray, present: np.ndarray, thickness: np.ndarray, height: int, width: int
) -> Tensor:
    """Ink `[n, height, width]`, 0 to 1: Gaussian dots along the curves, saturated."""
    sides = []
    for axis, pixels in ((1, height), (0, width)):
        places = (np.arange(pixels) + 0.5) / pixels * 2 - 1
        away = (places - points[:, :, axis, None]) / thickness[:, None, None]
        sides.append(torch.from_numpy(np.exp(-0.5 * away**2)).float())
    ys, xs = sides
    ys = ys * torch.from_numpy(present).float()[:, :, None]
    return 1 - torch.exp(-torch.bmm(ys.transpose(1, 2), xs))


def _blobs(classes: Classes, rng: np.random.Generator, number: int, size: int) -> Tensor:
    channels, height, width = classes.inputs.shape[1:]
    mean, deviation = _levels(classes, rng)
    fields = _coarse(number, channels, rng)
    labels = np.repeat(np.arange(number), size)
    level = torch.from_numpy(mean).float().view(1, -1, 1, 1)
    spread = torch.from_numpy(deviation).float().view(1, -1, 1, 1)
    images = []
    for chunk in np.array_split(np.arange(len(labels)), -(-len(labels) // _IMAGES_AT_ONCE)):
        label = torch.from_numpy(labels[chunk])
        own = _coarse(len(chunk), channels, rng)
        maps = np.eye(2, 3) + rng.normal(0, _BLOB_TILT, (len(chunk), 2, 3))
        smooth = functional.interpolate(
            fields[label] + _BLOB_JITTER * own, (height, width), mode="bicubic", align_corners=True
        )
        grid = functional.affine_grid(
            torch.from_numpy(maps).float(), list(smooth.shape), align_corners=False
        )
        moved = functional.grid_sample(smooth, grid, padding_mode="reflection", align_corners=False)
        images.append(like((level + spread * moved).to(classes.inputs.device), classes.inputs))
    return torch.cat(images)


def _coarse(number: int, channels: int, rng: np.random.Generator) -> Tensor:
    """Fields `[number, channels, coarse, coarse]` of unit variance; channels go mostly together."""
    grey = rng.normal(size=(number, 1, _COARSE, _COARSE))
    colour = rng.normal(size=(number, channels, _COARSE, _COARSE))
    return torch.from_numpy((0.85 * grey + 0.53 * colour).astype(np.float32))


def _levels(classes: Classes, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel `[channels]`, over a sample of the images."""
    number = min(_MEASURED_IMAGES, len(classes.inputs))
    chosen = np.sort(rng.choice(len(classes.inputs), number, replace=False))
    sample = classes.inputs[torch.from_numpy(chosen).to(classes.inputs.device)].cpu().numpy()
    return sample.mean((0, 2, 3)), sample.std((0, 2, 3))


def _gaussian(classes: Classes, rng: np.random.Generator, number: int, size: int) -> Tensor:
    vectors = classes.inputs.cpu().double()
    labels = torch.from_numpy(classes.labels)
    means = torch.zeros(len(classes), vectors.shape[1], dtype=torch.float64)
    means.index_add_(0, labels, vectors)
    means /= torch.from_numpy(classes.sizes)[:, None]
    middle = means.mean(0)
    residuals = vectors - means[labels]
    weights = torch.from_numpy(rng.normal(size=(number, len(classes))))
    centres = middle + weights @ (means - middle) / np.sqrt(max(1, len(classes) - 1))
    # The mean of a class lies between its examples, so residuals are a little too small.
    unbiased = np.sqrt(len(vectors) / max(1, len(vectors) - len(classes)))
    drawn = []
    for centre in centres:
        used = residuals[torch.from_numpy(rng.integers(0, len(residuals), _RESIDUALS_OF_CLASS))]
        noise = torch.from_numpy(rng.normal(size=(size, _RESIDUALS_OF_CLASS)))
        drawn.append(centre + unbiased * (noise @ used) / np.sqrt(_RESIDUALS_OF_CLASS))
    return torch.cat(drawn).to(classes.inputs)


_Maker = Callable[[Classes, np.random.Generator, int, int], Tensor]
_PRIORS: dict[int, tuple[str, dict[str, _Maker]]] = {  # by the axes of stacked inputs
    4: ("image", {"strokes": _strokes, "blobs": _blobs}),
    2: ("vector", {"gaussian": _gaussian}),
}
