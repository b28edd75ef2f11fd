"""Sparse inputs, such as a text vectoriser's: dense a batch at a time, so memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import InputError

_MOST_BYTES = 2**30  # of one dense slice


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A float32 matrix of SciPy in rows; a slice of it is a dense tensor `[n, features]`."""

    matrix: Any

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def __getitem__(self, rows: slice) -> Tensor:
        chosen = self.matrix[rows]
        size = 4 * int(chosen.shape[0]) * int(chosen.shape[1])
        if size > _MOST_BYTES:
            raise InputError(
                f"X is sparse, and {chosen.shape[0]:,} examples of {chosen.shape[1]:,} features "
                f"would take {size / 2**30:.1f} GiB as the numbers that learners compute with; "
                f"use fewer features (max_features= of a vectoriser, TruncatedSVD) or examples"
            )
        return torch.from_numpy(np.ascontiguousarray(chosen.toarray(), dtype=np.float32))
