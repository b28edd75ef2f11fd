"""How the type of a primitive's result, and its cost, follow from the types of its arguments.

A rule is given the argument types and the `axis` that the program states (None: left out). It
returns a `Typing` or raises `ProgramError` with what it expects; `metaloop.programs.inference` adds
where in the program this happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metaloop.programs.errors import ProgramError
from metaloop.programs.types import SCALAR, ValueType, mat

Types = tuple[ValueType, ...]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Typing:
    """What a rule says: the result's type, and the axis along which entries are mixed, if any.

    `over` is the axis whose padding must be masked and which must not be one of queries. `axis` is
    the argument the tensor function needs: as stated, or where it was left out as inferred.
    """

    result: ValueType
    over: str | None = None
    axis: int | None = None


Rule = Callable[[Types, int | None], Typing]
Cost = Callable[[Types, ValueType, Sizes], float]


def entrywise(types: Types, axis: int | None) -> Typing:
    """The result is like the argument."""
    _no_axis(axis)
    return Typing(types[0])


def powers(types: Types, axis: int | None) -> Typing:
    """The result is like the first argument; the exponent is a scalar."""
    _no_axis(axis)
    if types[1] != SCALAR:
        raise ProgramError(f"expected a Scalar as exponent, got {types[1]}")
    return Typing(types[0])


def broadcast(types: Types, axis: int | None) -> Typing:
    """Equal types, a scalar with anything, or a vector along the last or first axis of a matrix.

    Where the axis is left out, a vector runs along the last axis if it has this name, else along
    the first.
    """
    small, large = sorted(types, key=lambda value_type: value_type.rank)
    if (small.rank, large.rank) != (1, 2):
        if small not in (SCALAR, large):
            raise ProgramError(f"{types[0]} and {types[1]} do not fit each other")
        if axis is not None:
            raise ProgramError(f"axis is for a vector with a matrix, got {types[0]}, {types[1]}")
        return Typing(large)
    wanted = axis
    if wanted is None:
        wanted = 1 if small.axes[0] == large.axes[1] else 0
    if wanted not in (0, 1) or small.axes[0] != large.axes[wanted]:
        raise ProgramError(f"{small} does not run along an axis of {large}")
    return Typing(large, axis=0 if wanted == 0 else None)


def reduction(types: Types, axis: int | None) -> Typing:
    """The result lacks the axis that is stated."""
    over = _stated_axis(types[0], axis)
    left = tuple(name for place, name in enumerate(types[0].axes) if place != axis)
    return Typing(ValueType(left), over, axis)


def along(types: Types, axis: int | None) -> Typing:
    """The result is like the argument, with entries mixed along the stated axis."""
    return Typing(types[0], _stated_axis(types[0], axis), axis)


def product(types: Types, axis: int | None) -> Typing:
    """The last axis of the first argument meets the first axis of the second; both vanish."""
    _no_axis(axis)
    left, right = types
    if not left.rank or not right.rank or left.axes[-1] != right.axes[0]:
        raise ProgramError(
            f"the last axis of {left} and the first axis of {right} would have to be the same"
        )
    return Typing(ValueType(left.axes[:-1] + right.axes[1:]), left.axes[-1])


def exchange(types: Types, axis: int | None) -> Typing:
    """Rows become columns."""
    _no_axis(axis)
    if types[0].rank != 2:
        raise ProgramError(f"expected a Mat, got {types[0]}")
    return Typing(mat(types[0].axes[1], types[0].axes[0]))


def system(types: Types, axis: int | None) -> Typing:
    """A square matrix `Mat[A,A]`, and right-hand sides `Mat[A,B]` or `Vec[A]` as the result."""
    _no_axis(axis)
    square, right = types
    _square(square)
    if not right.rank or right.axes[0] != square.axes[0]:
        raise ProgramError(f"a system of {square} needs Vec or Mat[{square.axes[0]},...]")
    return Typing(right, square.axes[0])


def unit(types: Types, axis: int | None) -> Typing:
    """A square matrix over the stated axis of the argument."""
    name = _stated_axis(types[0], axis)
    return Typing(mat(name, name), axis=axis)


def on_diagonal(types: Types, axis: int | None) -> Typing:
    """A square matrix, and a scalar or a vector of its axis."""
    _no_axis(axis)
    _square(types[0])
    if types[1] not in (SCALAR, ValueType(types[0].axes[:1])):
        raise ProgramError(f"expected Scalar or Vec[{types[0].axes[0]}], got {types[1]}")
    return Typing(types[0])


def elements(types: Types, result: ValueType, sizes: Sizes) -> float:
    """Returns one operation for each entry of the largest value that is touched."""
    return max(_count(value_type, sizes) for value_type in (*types, result))


def product_cost(types: Types, result: ValueType, sizes: Sizes) -> float:
    """Returns a multiplication and an addition for each pair of entries that meet."""
    return 2.0 * _count(result, sizes) * sizes[types[0].axes[-1]]


def system_cost(types: Types, result: ValueType, sizes: Sizes) -> float:
    """Returns the operations of an LU factorisation and of its use."""
    size = sizes[types[0].axes[0]]
    return 2.0 / 3.0 * size**3 + 2.0 * size * _count(result, sizes)


def _count(value_type: ValueType, sizes: Sizes) -> float:
    return float(math.prod(sizes[axis] for axis in value_type.axes))


def _no_axis(axis: int | None) -> None:
    if axis is not None:
        raise ProgramError("it takes no axis")


def _square(value_type: ValueType) -> None:
    if value_type.rank != 2 or value_type.axes[0] != value_type.axes[1]:
        raise ProgramError(f"expected a square matrix such as Mat[S,S], got {value_type}")


def _stated_axis(value_type: ValueType, axis: int | None) -> str:
    if not value_type.rank:
        raise ProgramError("a Scalar has no axis")
    if axis is None or not 0 <= axis < value_type.rank:
        places = " or ".join(f"axis={place}" for place in range(value_type.rank))
        raise ProgramError(f"a {value_type} needs {places}, got axis={axis}")
    return value_type.axes[axis]
