"""Views: the forms in which inputs can be seen, by statistics of the training classes alone.

    raw            x, as the data have it (images 0 to 1)
    standardised   (x - mean) / deviation: every feature has the same say, in whatever unit it came
    unit           (x - mean) / |x - mean|: the centred input's direction, as a cosine sees it

Which one is best differs from data to data by many points of accuracy, and costs no training to
find out: plain learners are tuned over all of them, and nets may have each.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.core.inputs import InputFormat

View = Literal["raw", "standardised", "unit"]
VIEWS: tuple[View, ...] = get_args(View)


def checked_view(name: object) -> View:
    """Returns the view of this name; raises `MetaloopError` naming near matches."""
    if not isinstance(name, str):
        raise MetaloopError(f"a view is one of {', '.join(VIEWS)}, got {name!r}")
    for view in VIEWS:
        if view == name:
            return view
    raise unknown_name("view", name, dict.fromkeys(VIEWS))


def seen(inputs: Tensor, input_format: InputFormat, view: View) -> Tensor:
    """Returns float inputs `[..., *shape]` in that view."""
    if view == "raw":
        return inputs
    return restored(input_format.normalise(inputs), input_format, view)


def restored(standardised: Tensor, input_format: InputFormat, view: View) -> Tensor:
    """Returns inputs `[..., *shape]` that were standardised in that view instead."""
    if view == "standardised":
        return standardised
    deviation = _column(input_format.deviation, input_format, standardised)
    centred = standardised * deviation
    if view == "raw":
        return centred + _column(input_format.mean, input_format, standardised)
    flat = centred.flatten(-len(input_format.shape))
    return functional.normalize(flat, dim=-1).view_as(centred)


def _column(numbers: tuple[float, ...], input_format: InputFormat, like: Tensor) -> Tensor:
    """Returns a number per channel or feature in a shape that goes with inputs."""
    ones = (1,) * (len(input_format.shape) - 1)
    return torch.tensor(numbers, device=like.device, dtype=like.dtype).view(-1, *ones)
