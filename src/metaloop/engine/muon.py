"""Muon: momentum whose matrix steps are orthogonalised, so that all directions move equally.

    B <- beta B + (1 - beta) G,   U = G + beta (B - G)
    W <- (1 - rate * decay) W - rate * s * orth(U)

orth(U) is the nearest semi-orthogonal matrix, approximated by five Newton-Schulz iterations;
s = sqrt(max(1, rows / columns)). Convolutions are matrices `[out, in * height * width]`. In few
steps it goes a good deal further than AdamW here (LOG.md).
Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the coefficients are theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two dimensions or more."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Takes one step with the gradients that are there."""
        for group in self.param_groups:
            beta, rate = group["momentum"], group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - beta)
                update = weight.grad.lerp(momentum, beta).reshape(len(weight), -1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                weight.mul_(1 - rate * group["weight_decay"])
                weight.add_(orthogonalised(update).view_as(weight), alpha=-rate * scale)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Returns about the nearest semi-orthogonal matrix: singular values end between 0.7 and 1.2.

    An iteration multiplies X by a polynomial Q of its Gram matrix, X <- Q X. The product of the Qs
    is gathered first, Gram <- Q Gram Q, for the Gram matrix is far smaller than X.
    """
    a, b, c = _COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x: Tensor = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(_ITERATIONS):
        q = a * identity + b * gram + c * gram @ gram
        product = q @ product
        gram = q @ gram @ q
    x = product @ x
    return x if wide else x.T
