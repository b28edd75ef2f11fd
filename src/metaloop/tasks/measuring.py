"""The format of inputs, measured on the examples of training classes alone."""

from __future__ import annotations

import numpy as np
import torch

from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.tasks.store import Store


def measure_format(store: Store, classes: np.ndarray) -> InputFormat:
    """Returns the input format with means and deviations over the examples of `classes`."""
    members = torch.isin(store.targets, torch.from_numpy(classes).to(store.targets.device))
    inputs = store.taken(members.nonzero().flatten())
    if not len(inputs):
        raise DataError("no examples to measure the inputs' scale on")
    if inputs.dtype == torch.uint8:
        return _image_format(inputs, store)
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


def _image_format(inputs: torch.Tensor, store: Store) -> InputFormat:
    means, deviations = [], []
    for channel in inputs.unbind(1):  # exact histogram moments: no float copy of all images
        counts = torch.bincount(channel.flatten().to(torch.int32), minlength=256).double()
        levels = torch.arange(256, dtype=torch.float64, device=counts.device) / 255
        mean = (counts * levels).sum() / counts.sum()
        variance = (counts * (levels - mean) ** 2).sum() / counts.sum()
        means.append(float(mean))
        deviations.append(max(float(variance.sqrt()), 1e-3))
    shape = tuple(inputs.shape[1:])
    return InputFormat("image", shape, tuple(means), tuple(deviations), store.polarity)
