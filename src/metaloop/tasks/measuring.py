"""The format of inputs, measured on the examples of training classes alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.core.large import AT_ONCE, MOST_IN_MEMORY
from metaloop.tasks.store import Store


def measure_format(store: Store, classes: np.ndarray) -> InputFormat:
    """Returns the input format with means and deviations over the examples of `classes`."""
    members = torch.isin(store.targets, torch.from_numpy(classes).to(store.targets.device))
    rows = members.nonzero().flatten()
    if not len(rows):
        raise DataError("no examples to measure the inputs' scale on")
    first = store.taken(rows[:1])
    if first.dtype == torch.uint8:
        return _image_format(rows, store)
    if len(rows) * first.nbytes > MOST_IN_MEMORY:
        return _vector_format(rows, store)
    inputs = store.taken(rows)
    deviation = inputs.std(0, correction=0)
    constant = deviation < 1e-8 * inputs.abs().amax(0).clamp(min=1e-8)
    deviation = torch.where(constant, torch.ones(()), deviation)
    return InputFormat(
        "vector",
        tuple(inputs.shape[1:]),
        tuple(inputs.mean(0).flatten().tolist()),
        tuple(deviation.flatten().tolist()),
        columns=store.columns,
    )


def _vector_format(rows: Tensor, store: Store) -> InputFormat:
    """The same of more numbers than should be in memory, piece by piece, in float64."""
    total, squares, largest = (torch.zeros((), dtype=torch.float64) for _ in range(3))
    for inputs in _pieces(rows, store):
        total = total + inputs.double().sum(0)
        largest = torch.maximum(largest, inputs.abs().amax(0).double())
    mean = total / len(rows)
    for inputs in _pieces(rows, store):
        squares = squares + ((inputs.double() - mean) ** 2).sum(0)
    deviation = (squares / len(rows)).sqrt()
    constant = deviation < 1e-8 * largest.clamp(min=1e-8)
    deviation = torch.where(constant, 1.0, deviation)
    mean, deviation = mean.float().flatten(), deviation.float().flatten()
    moments = tuple(mean.tolist()), tuple(deviation.tolist())
    return InputFormat("vector", store.input_shape, *moments, columns=store.columns)


def _image_format(rows: Tensor, store: Store) -> InputFormat:
    """Exact moments from histograms of each channel, a few images at a time."""
    counts_CL = torch.zeros(store.input_shape[0], 256, dtype=torch.float64)
    for inputs in _pieces(rows, store):
        for channel, counts_L in zip(inputs.unbind(1), counts_CL, strict=True):
            counts_L += torch.bincount(channel.flatten().to(torch.int32), minlength=256).cpu()
    means, deviations = [], []
    levels = torch.arange(256, dtype=torch.float64) / 255
    for counts in counts_CL:
        mean = (counts * levels).sum() / counts.sum()
        variance = (counts * (levels - mean) ** 2).sum() / counts.sum()
        means.append(float(mean))
        deviations.append(max(float(variance.sqrt()), 1e-3))
    shape = tuple(store.input_shape)
    return InputFormat("image", shape, tuple(means), tuple(deviations), store.polarity)


def _pieces(rows: Tensor, store: Store) -> Iterator[Tensor]:
    """The inputs of these rows, a few at a time."""
    for some in torch.split(rows, max(1, AT_ONCE // max(1, store.taken(rows[:1]).nbytes))):
        yield store.taken(some)
