"""`FittedView`: a view of raw inputs as tensors, with what it has learned from training examples.

What a view does with them is in the table of `catalogue/views.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from torch import Tensor

from metaloop.core.column_content import hash_into
from metaloop.core.records import Choice


@dataclass(frozen=True, eq=False)
class FittedView:
    """The choice of a view and its `assets`, tensors by name: what was fitted on `train` alone."""

    choice: Choice
    assets: dict[str, Tensor]

    @property
    def identity(self) -> str:
        """16 hexadecimal digits, equal for what sees the same in everything."""
        sha = hashlib.sha256(f"{self.choice.name}{sorted(self.choice.options.items())}".encode())
        hash_into(sha, dict(self.assets))
        return sha.hexdigest()[:16]
