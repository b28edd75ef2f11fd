"""The tensor functions behind the primitives; a printed program runs on them as plain Python.

Values are scalars `[]`, vectors `[A]` and matrices `[A, B]` of one task; batches of tasks come from
`torch.func.vmap`. All functions are differentiable, and safe where mathematics is not: `divide`,
`sqrt`, `log`, `exp` and `power` stay finite with finite derivatives at zero and below, and `solve`
never raises. `axis` counts as in NumPy.

`mask`, bool `[A]`, is False where the axis that an operation sums over is padding: such entries
influence no result, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Value = Tensor | float

_SMALLEST_DIVISOR = 1e-8
_SMALLEST_LOG = 1e-8
_SMALLEST_SQUARE = 1e-16  # the square root of less counts as zero, with derivative zero
_LARGEST_EXPONENT = 30.0
_JITTER = 8.0  # times the precision of the numbers: a millionth of the diagonal in float32


def add(a: Value, b: Value, axis: int | None = None) -> Tensor:
    """Returns `a + b`. Here and below, `axis=0` lets a vector run along a matrix's rows."""
    left, right = _aligned(a, b, axis)
    return left + right


def subtract(a: Value, b: Value, axis: int | None = None) -> Tensor:
    """Returns `a - b`."""
    left, right = _aligned(a, b, axis)
    return left - right


def multiply(a: Value, b: Value, axis: int | None = None) -> Tensor:
    """Returns `a * b`, entry by entry."""
    left, right = _aligned(a, b, axis)
    return left * right


def divide(a: Value, b: Value, axis: int | None = None) -> Tensor:
    """Returns `a / b`; divisors closer to zero than 1e-8 count as 1e-8 with their sign."""
    left, right = _aligned(a, b, axis)
    floor = torch.where(right < 0, -_SMALLEST_DIVISOR, _SMALLEST_DIVISOR)
    return left / torch.where(right.abs() < _SMALLEST_DIVISOR, floor.to(right.dtype), right)


def maximum(a: Value, b: Value, axis: int | None = None) -> Tensor:
    """Returns the larger of `a` and `b`, entry by entry."""
    left, right = _aligned(a, b, axis)
    return torch.maximum(left, right)


def minimum(a: Value, b: Value, axis: int | None = None) -> Tensor:
    """Returns the smaller of `a` and `b`, entry by entry."""
    left, right = _aligned(a, b, axis)
    return torch.minimum(left, right)


def negate(x: Value) -> Tensor:
    """Returns `-x`."""
    return -_tensor(x)


def square(x: Value) -> Tensor:
    """Returns `x * x`."""
    return _tensor(x) * x


def sqrt(x: Value) -> Tensor:
    """Returns the square root, 0 for `x` below 1e-16."""
    value = _tensor(x)
    large = value > _SMALLEST_SQUARE
    return torch.where(large, torch.where(large, value, 1.0).sqrt(), 0.0)


def absolute(x: Value) -> Tensor:
    """Returns `|x|`."""
    return _tensor(x).abs()


def exp(x: Value) -> Tensor:
    """Returns `e ** x`; exponents above 30 count as 30."""
    return _tensor(x).clamp(max=_LARGEST_EXPONENT).exp()


def log(x: Value) -> Tensor:
    """Returns the natural logarithm; `x` below 1e-8 counts as 1e-8."""
    return _tensor(x).clamp(min=_SMALLEST_LOG).log()


def sign(x: Value) -> Tensor:
    """Returns -1, 0 or 1; its derivative is zero."""
    return _tensor(x).sign()


def relu(x: Value) -> Tensor:
    """Returns the positive part of `x`."""
    return _tensor(x).relu()


def tanh(x: Value) -> Tensor:
    """Returns the hyperbolic tangent."""
    return _tensor(x).tanh()


def sigmoid(x: Value) -> Tensor:
    """Returns `1 / (1 + e ** -x)`."""
    return _tensor(x).sigmoid()


def power(x: Value, exponent: Value) -> Tensor:
    """Returns `sign(x) * |x| ** exponent`; sizes below 1e-8 count as 1e-8."""
    value = _tensor(x)
    # by way of the logarithm: four times as fast as torch's own power
    return value.sign() * (value.abs().clamp(min=_SMALLEST_LOG).log() * exponent).exp()


def sum(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns the sum over an axis."""
    return _filled(x, axis, mask, 0.0).sum(axis)


def mean(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns the mean over an axis."""
    if mask is None:
        return x.mean(axis)
    return sum(x, axis, mask) / mask.sum().clamp(min=1)


def max(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns the largest entry along an axis."""
    return _filled(x, axis, mask, torch.finfo(x.dtype).min).amax(axis)


def norm(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns the Euclidean length along an axis."""
    return sqrt(sum(x * x, axis, mask))


def softmax(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns positive numbers that sum to one along an axis; 0 where masked."""
    shares = _filled(x, axis, mask, torch.finfo(x.dtype).min).softmax(axis)
    return _filled(shares, axis, mask, 0.0)


def log_softmax(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns the logarithm of `softmax`; 0 where masked."""
    logarithms = _filled(x, axis, mask, torch.finfo(x.dtype).min).log_softmax(axis)
    return _filled(logarithms, axis, mask, 0.0)


def logsumexp(x: Tensor, axis: int, mask: Tensor | None = None) -> Tensor:
    """Returns the logarithm of the sum of exponentials: a smooth maximum."""
    return _filled(x, axis, mask, torch.finfo(x.dtype).min).logsumexp(axis)


def matmul(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns the product of matrices or vectors: the last axis of `a` meets the first of `b`."""
    if mask is not None:
        a, b = _filled(a, a.dim() - 1, mask, 0.0), _filled(b, 0, mask, 0.0)
    return a @ b


def transpose(x: Tensor) -> Tensor:
    """Returns the matrix with rows and columns exchanged."""
    return x.mT


def solve(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns `a ** -1 b` for a square matrix; values that are not finite if it is singular.

    A little of the diagonal's mean size is added to it: about a millionth in float32.
    """
    if mask is not None:  # padding becomes a system of its own, with solution zero
        both = mask.unsqueeze(-1) & mask
        a, b = torch.where(both, a, 0.0), _filled(b, 0, mask, 0.0)
    diagonal = a.diagonal()
    jitter = _JITTER * torch.finfo(a.dtype).eps * mean(diagonal.abs(), 0, mask)
    a = a + torch.diag_embed(jitter.expand(diagonal.shape))
    if mask is not None:
        a = a + torch.diag_embed((~mask).to(a.dtype))
    matrix = b if b.dim() == 2 else b.unsqueeze(-1)
    solution: Tensor
    solution, _ = torch.linalg.solve_ex(a, matrix)
    return solution if b.dim() == 2 else solution.squeeze(-1)


def identity(x: Tensor, axis: int) -> Tensor:
    """Returns the identity matrix over an axis of `x`."""
    return torch.eye(x.shape[axis], dtype=x.dtype, device=x.device)


def add_diagonal(a: Tensor, value: Value) -> Tensor:
    """Returns a square matrix with `value`, a scalar or a vector, added to its diagonal."""
    diagonal = _tensor(value).to(a.dtype).expand(a.shape[-1])
    return a + torch.diag_embed(diagonal)


def vector(fill: Value, features: int) -> Tensor:
    """Returns a vector `[features]`, each entry `fill`."""
    return _tensor(fill).expand(features)


def support_gradient(
    predict: Callable[..., Tensor], loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor
) -> Callable[..., Tensor]:
    """Returns `grad(*state, wrt)`: the derivative of the loss on the support by one state value.

    Derivatives by all values of the latest state are computed once.
    """
    known: list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = []

    def grad(*state: Tensor, wrt: int = 0) -> Tensor:
        latest = known[-1][0] if known else ()
        if len(latest) != len(state) or any(a is not b for a, b in zip(latest, state, strict=True)):
            places = tuple(range(len(state)))
            gradients = torch.func.grad(lambda *moved: loss(predict(x, *moved), y), places)(*state)
            known[:] = [(state, gradients)]
        return known[-1][1][wrt]

    return grad


def _tensor(x: Value) -> Tensor:
    return x if isinstance(x, Tensor) else torch.tensor(x)


def _aligned(a: Value, b: Value, axis: int | None) -> tuple[Tensor, Tensor]:
    left, right = _tensor(a), _tensor(b)
    if axis == 0 and {left.dim(), right.dim()} == {1, 2}:  # the vector becomes a column
        if left.dim() == 1:
            left = left.unsqueeze(-1)
        else:
            right = right.unsqueeze(-1)
    return left, right


def _filled(x: Tensor, axis: int, mask: Tensor | None, value: float) -> Tensor:
    """Returns `x` with `value` where the mask of this axis is False."""
    if mask is None:
        return x
    rows = axis == 0 and x.dim() == 2
    return torch.where(mask.unsqueeze(-1) if rows else mask, x, value)
