"""What learners that attend to a support share: heads, tokens of like size, names of tensors."""

from __future__ import annotations

from torch import Tensor

from metaloop.core.errors import MetaloopError

_TINY = 1e-6  # added to mean squares


def check_heads(width: int, heads: int) -> None:
    """Raises `MetaloopError` unless so many heads can share tokens of so many numbers."""
    if width % heads:
        raise MetaloopError(
            f"each of {heads} heads needs as many of the {width} numbers of a token; choose a "
            "width that they divide"
        )


def by_head(rows: Tensor, heads: int) -> Tensor:
    """Returns tokens `[N, D]` as each head has its piece of them, `[heads, N, D / heads]`."""
    number, width = rows.shape
    return rows.reshape(number, heads, width // heads).transpose(0, 1)


def normalised(rows: Tensor) -> Tensor:
    """Returns tokens `[N, D]` with a root mean square of one (Zhang and Sennrich 2019)."""
    return rows / (rows.square().mean(-1, keepdim=True) + _TINY).sqrt()


def of_layer(layer: int, name: str) -> str:
    """Returns what a tensor of a layer is called."""
    return f"head.layer{layer}.{name}"
