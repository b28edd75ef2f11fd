"""What a model file keeps of the examples that a model was made with, and its strict way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.domains import domain_of
from metaloop.core.errors import ModelFileError
from metaloop.core.inputs import InputFormat
from metaloop.models.checking import check_tensors
from metaloop.tasks.fingerprints import BYTES, Scale
from metaloop.tasks.recognising import MOST_EXAMPLES, Seen

_PRINTS, _CLASSES, _MEAN, _DEVIATION = "prints", "classes", "mean", "deviation"


def to_tensors(seen: Seen | None) -> dict[str, Tensor] | None:
    """Returns it as tensors, 48 bytes an example; None where nothing was kept."""
    if seen is None:
        return None
    tensors = {
        _PRINTS: torch.from_numpy(np.ascontiguousarray(seen.prints)),
        _CLASSES: torch.from_numpy(np.ascontiguousarray(seen.classes)),
    }
    if seen.scale is not None:
        tensors[_MEAN] = torch.from_numpy(np.ascontiguousarray(seen.scale.mean))
        tensors[_DEVIATION] = torch.from_numpy(np.ascontiguousarray(seen.scale.deviation))
    return tensors


def from_tensors(
    tensors: Mapping[str, Tensor] | None,
    parts: Mapping[str, Sequence[str]],
    input_format: InputFormat,
    viewed: bool = False,
) -> Seen | None:
    """Returns what a file has kept; `ModelFileError` unless it is as `to_tensors` would make it.

    `viewed`: the examples were no vectors, but are seen as such.
    """
    if tensors is None:
        return None
    number = len(tensors[_PRINTS]) if _PRINTS in tensors and tensors[_PRINTS].dim() else 0
    expected = {_PRINTS: ((number, BYTES), torch.uint8), _CLASSES: ((number,), torch.int64)}
    vectors = not (viewed or domain_of(input_format).in_files)
    if vectors:
        width = int(np.prod(input_format.shape)) + len(input_format.target_mean)
        expected |= dict.fromkeys((_MEAN, _DEVIATION), ((width,), torch.float64))
    check_tensors("fingerprints", tensors, expected)
    classes = tensors[_CLASSES].numpy()
    known = sum(len(names) for names in parts.values())
    if number > MOST_EXAMPLES or (number and not 0 <= classes.min() <= classes.max() < known):
        raise ModelFileError(
            f"is damaged: its fingerprints are of other classes than its {known}, or are more than "
            f"{MOST_EXAMPLES}"
        )
    scale = None
    if vectors:
        if bool((tensors[_DEVIATION] <= 0).any()):
            raise ModelFileError("is damaged: a deviation of its fingerprints is not above 0")
        scale = Scale(tensors[_MEAN].numpy(), tensors[_DEVIATION].numpy())
    return Seen(tensors[_PRINTS].numpy(), classes, scale)
