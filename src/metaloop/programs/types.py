"""The types of programs: `Scalar`, `Vec[A]` and `Mat[A,B]`, whose axes have names, not sizes.

Axes: S support examples, Q query examples, N examples of either kind (what an embedding map is
given), C classes, D features. Because S, Q and N differ by name, a program that would mix queries
is refused by its types, whatever the sizes are (`metaloop.programs.inference`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from metaloop.programs.errors import ProgramError

AXES = ("S", "Q", "N", "C", "D")
FEATURES = "D"  # the only axis whose size does not change from task to task


@dataclass(frozen=True)
class ValueType:
    """A value with zero, one or two named axes."""

    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.axes) <= 2 and all(axis in AXES for axis in self.axes)

    @property
    def rank(self) -> int:
        """The number of axes: 0 scalar, 1 vector, 2 matrix."""
        return len(self.axes)

    def renamed(self, old: str, new: str) -> ValueType:
        """Returns the type with axis `new` in the place of `old`."""
        return ValueType(tuple(new if axis == old else axis for axis in self.axes))

    def __str__(self) -> str:
        return ("Scalar", "Vec[{}]", "Mat[{},{}]")[self.rank].format(*self.axes)


SCALAR = ValueType()


def vec(axis: str) -> ValueType:
    """Returns `Vec[axis]`."""
    return ValueType((axis,))


def mat(rows: str, columns: str) -> ValueType:
    """Returns `Mat[rows,columns]`."""
    return ValueType((rows, columns))


def parse_type(text: str) -> ValueType:
    """Returns the type that `str` writes so; raises `ProgramError` for any other text."""
    axes = "".join(AXES)
    for pattern in (r"Scalar", rf"Vec\[([{axes}])\]", rf"Mat\[([{axes}]),\s*([{axes}])\]"):
        match = re.fullmatch(pattern, text.strip())
        if match:
            return ValueType(match.groups())
    raise ProgramError(
        f"expected a type such as Scalar, Vec[D] or Mat[S,C] with axes among {', '.join(AXES)}; "
        f"got {text!r}"
    )
