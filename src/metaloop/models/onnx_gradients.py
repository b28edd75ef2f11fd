"""A function that takes derivatives, as one of plain tensor operations that torch can record.

`torch.func.grad` is run once on tensors whose numbers of examples and classes are symbols; what it
did is the new function. Derivatives of convolutions become convolutions, and pools are written so
that their derivatives are sums and products: ONNX has no operators for either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    ShapeEnv,
    StatelessSymbolicContext,
)
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_aten = torch.ops.aten


def differentiated(
    function: Callable[..., dict[str, Tensor]], *given: tuple[Tensor, Sequence[int]]
) -> Callable[..., dict[str, Tensor]]:
    """Returns the function without derivatives in it.

    `given` are examples of its tensors, each with the axes that may be of any size.
    """
    shapes = ShapeEnv()
    fake = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True)

    def stand_in(tensor: Tensor, moving: Sequence[int]) -> Tensor:
        sizes = [
            DimDynamic.DYNAMIC if axis in moving else DimDynamic.STATIC
            for axis in range(tensor.dim())
        ]
        return fake.from_tensor(tensor, symbolic_context=StatelessSymbolicContext(sizes))

    record = make_fx(
        function,
        decomposition_table={_aten.convolution_backward.default: _of_convolution},
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,
    )
    with torch.no_grad(), _Pools():
        found: Callable[..., dict[str, Tensor]] = record(*(stand_in(*each) for each in given))
    return found


def _of_convolution(
    slope: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> Any:
    """Derivatives of a convolution by inputs, weights and bias, each of them by convolutions."""
    if transposed or groups != 1:
        return NotImplemented
    axes = range(len(stride))
    by_inputs = by_weight = by_bias = None
    if wanted[0]:
        left = [
            (inputs.shape[2 + a] + 2 * padding[a] - dilation[a] * (weight.shape[2 + a] - 1) - 1)
            % stride[a]
            for a in axes
        ]
        by_inputs = _aten.convolution(slope, weight, None, stride, padding, dilation, True, left, 1)
    if wanted[1]:  # examples take the place of channels
        found = _aten.convolution(
            inputs.transpose(0, 1), slope.transpose(0, 1), None, dilation, padding, stride,
            False, [0 for _ in axes], 1,
        )  # fmt: skip
        for a in axes:
            found = found.narrow(2 + a, 0, weight.shape[2 + a])
        by_weight = found.transpose(0, 1)
    if wanted[2]:
        by_bias = slope.sum([0, *range(2, slope.dim())])
    return by_inputs, by_weight, by_bias


class _Pools(TorchFunctionMode):
    """While inside, maps are pooled by functions whose derivatives are simple."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Calls the function, or what is in its place."""
        options, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "max_pool2d":
            pooled = _largest(*args, **options)
            if pooled is not None:
                return pooled
        if name == "adaptive_avg_pool2d":
            return _averaged(*args, **options)
        return func(*args, **options)


def _largest(
    maps: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    """The largest of each cell where cells do not overlap; None where they do."""
    high, wide = _pair(kernel_size)
    if _pair(stride or kernel_size) != (high, wide):
        return None
    if _pair(padding) != (0, 0) or _pair(dilation) != (1, 1) or return_indices:
        return None
    height, width = maps.shape[-2:]
    rounded = math.ceil if ceil_mode else math.floor
    rows, columns = rounded(height / high), rounded(width / wide)
    maps = functional.pad(
        maps[..., : rows * high, : columns * wide],
        (0, max(0, columns * wide - width), 0, max(0, rows * high - height)),
        value=-torch.inf,
    )
    blocks = maps.reshape(*maps.shape[:-2], rows, high, columns, wide)
    return blocks.amax((-1, -3))


def _averaged(maps: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """Means of as many cells, of nearly equal size, as products of matrices."""
    rows, columns = _pair(output_size)
    height, width = maps.shape[-2:]
    return _cells(height, rows) @ maps @ _cells(width, columns).mT


def _cells(size: int, cells: int) -> Tensor:
    shares = torch.zeros(cells, size)
    for cell in range(cells):
        begin, end = cell * size // cells, -(-(cell + 1) * size // cells)
        shares[cell, begin:end] = 1 / (end - begin)
    return shares


def _pair(sizes: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(sizes, int):
        return sizes, sizes
    first, *second = sizes
    return first, second[0] if second else first
