"""The test of a finished run of `select` once more: the same sealed images, told by its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.core.records import Protocol, Result
from metaloop.engine.classifying import measured_accuracy
from metaloop.models.classifier import Classifier
from metaloop.selecting.reading import read_images
from metaloop.selecting.run import accuracy, protocol_on
from metaloop.tasks.labelled import labelled_set
from metaloop.tasks.value_range import ValueRange


@dataclass(frozen=True)
class SealedImages:
    """The test part of a labelled set: raw images `[N, ...]` as a model takes them, and classes."""

    name: str
    inputs: Tensor
    targets: Tensor
    protocol: Protocol

    def told_by(self, model: Classifier) -> Result:
        """Returns the accuracy, as `select` has it."""
        right, _ = measured_accuracy(model.log_probabilities(self.inputs), self.targets)
        return accuracy(float(right.mean()), len(right), self.protocol)


def sealed_images(
    model: Classifier,
    data: Any,
    *,
    image_size: int | None = None,
    classes_at: int | None = None,
    value_range: ValueRange | None = None,
    split_seed: int = 0,
) -> SealedImages:
    """Returns the images that `select` seals of a data set, in the size that the model takes.

    `image_size` is needed where the run was asked for one and chose a frozen backbone, which takes
    images as they came. Raises `DataError` where the data cannot be read, are no images, or are
    images that the model does not take.
    """
    frozen, side = model.view is not None, model.input_format.shape[-1]
    reading = read_images(
        data,
        image_size=image_size if frozen or image_size else side,
        classes_at=classes_at,
        value_range=value_range,
        detail=side if frozen else 0,
    )
    labelled, _, _ = labelled_set(reading, split_seed)
    rows = torch.from_numpy(labelled.rows["test"])
    inputs, targets = labelled.part("test")
    detail = labelled.store.detail
    if frozen and isinstance(detail, Tensor):
        inputs = detail[rows]
    if inputs.shape[1:] != model.input_format.shape:
        raise DataError(
            f"{labelled.name} has images of {tuple(inputs.shape[1:])} (channels, height, width), "
            f"and the model takes {model.input_format.shape}"
        )
    return SealedImages(labelled.name, inputs, targets, protocol_on(labelled, "test"))
