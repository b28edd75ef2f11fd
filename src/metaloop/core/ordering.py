"""What was taken from several pieces, in the order that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def in_order(parts: list[Any], places: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Returns the rows of all parts, behind each other, in the order of `places`."""
    if isinstance(parts[0], Tensor):
        index = torch.from_numpy(places).to(parts[0].device)
        joined = torch.cat(_of_one_length(parts)).index_select(0, index)
        return joined.view(*shape, *joined.shape[1:])
    if isinstance(parts[0], tuple):
        rows = [row for part in parts for row in part]
        return tuple(rows[place] for place in places)
    return {name: in_order([part[name] for part in parts], places, shape) for name in parts[0]}


def _of_one_length(parts: list[Tensor]) -> list[Tensor]:
    """The same, padded behind where they have sequences of different lengths."""
    if parts[0].dim() < 2 or len({part.shape[1] for part in parts}) == 1:
        return parts
    longest = max(part.shape[1] for part in parts)
    padded = [part.new_zeros((len(part), longest, *part.shape[2:])) for part in parts]
    for full, part in zip(padded, parts, strict=True):
        full[:, : part.shape[1]] = part
    return padded
