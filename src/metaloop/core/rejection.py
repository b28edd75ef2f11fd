"""`Rejection`: from how much evidence on a query is taken for one of a task's classes.

Thresholds are measured on tasks of classes that no task of training had, with queries of further
such classes: at a threshold for 5 %, one in twenty of the latter is accepted. They depend on ways
and shots, so there is a table of them; between its entries they are interpolated in logarithms.
Beyond its ways each class counts as accepting by itself: 5 % at 20 ways are 2.5 % at 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import MetaloopError
from metaloop.core.likeness import Likeness

RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of false alarms that thresholds are kept for; the least are for many ways."""
_LEAST = 0.01  # that can be asked for


@dataclass(frozen=True)
class Threshold:
    """The least evidence that is accepted; `outside`: what of the task lies outside of the table.

    `outside` is empty, or words such as `20 ways (2 to 10 were measured)`.
    """

    value: float
    outside: str = ""


@dataclass(frozen=True, eq=False)
class Rejection:
    """Thresholds float64 `[ways, shots, rates]` of the evidence that `likeness` gives.

    Where there is no `likeness`, evidence is the learner's largest output.
    """

    ways: tuple[int, ...]
    shots: tuple[int, ...]
    thresholds: Tensor
    likeness: Likeness | None = None

    def threshold(self, rate: float, ways: float | int, shots: float | int) -> Threshold:
        """Returns the threshold for a share of false alarms, with so many classes and examples.

        Raises `MetaloopError` for a share that no threshold was measured for.
        """
        checked_rate(rate)
        table = self.thresholds.numpy()
        each = max(RATES[0], rate * min(1.0, self.ways[-1] / ways))
        of_rates = [
            _between(self.shots, [_between(self.ways, column, ways) for column in columns], shots)
            for columns in table.transpose(2, 1, 0)
        ]
        value = _between(RATES, of_rates, each)
        said = [_outside(self.ways, ways, "ways"), _outside(self.shots, shots, "shots")]
        return Threshold(value, " and ".join(filter(None, said)))


def checked_rate(rate: float | int) -> float | int:
    """Returns a share of false alarms; raises `MetaloopError` unless it is 1 to 50 %."""
    if not _LEAST <= rate <= RATES[-1]:
        raise MetaloopError(
            f"the share of false alarms is {_LEAST:.0%} to {RATES[-1]:.0%}, got {rate:g}; give "
            "0.05 for 5 %"
        )
    return rate


def parse_rate(text: str) -> float:
    """Returns the share in `5%` or `0.05`; raises `MetaloopError` for anything else.

    >>> parse_rate("5%"), parse_rate("0.1")
    (0.05, 0.1)
    """
    number = text.strip()
    percent = number.endswith("%")
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MetaloopError(f"a share of false alarms is such as 5% or 0.05, got '{text}'")
    return float(checked_rate(value / 100 if percent else value))


def thresholds_of(evidence: np.ndarray) -> list[float]:
    """Returns the threshold for each of `RATES`, of the evidence `[N]` on queries from outside."""
    return [float(value) for value in np.quantile(evidence, [1 - rate for rate in RATES])]


def to_tensors(rejection: Rejection | None) -> dict[str, Tensor] | None:
    """Returns it as the tensors of a model file."""
    if rejection is None:
        return None
    tensors = {
        "ways": torch.tensor(rejection.ways),
        "shots": torch.tensor(rejection.shots),
        "rates": torch.tensor(RATES, dtype=torch.float64),
        "thresholds": rejection.thresholds,
    }
    if rejection.likeness is not None:
        tensors |= {each.name: getattr(rejection.likeness, each.name) for each in fields(Likeness)}
    return tensors


def from_tensors(tensors: Mapping[str, Tensor] | None) -> Rejection | None:
    """Returns what `to_tensors` made; raises `ValueError` for tensors that do not fit."""
    if tensors is None:
        return None
    names = {"ways", "shots", "rates", "thresholds"}
    likeness = {each.name for each in fields(Likeness)}
    if set(tensors) not in (names, names | likeness):
        raise ValueError(f"its rejection has the tensors {sorted(tensors)}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"its rejection's '{name}' is not finite")
    axes = tuple(_axis(name, tensors[name]) for name in ("ways", "shots"))
    table = tensors["thresholds"]
    if tuple(tensors["rates"].tolist()) != RATES or table.dtype != torch.float64:
        raise ValueError("its rejection has other rates than this metaloop knows")
    if tuple(table.shape) != (len(axes[0]), len(axes[1]), len(RATES)):
        raise ValueError(f"its rejection has thresholds of shape {tuple(table.shape)}")
    known = None
    if likeness <= set(tensors):
        known = Likeness(**{name: tensors[name] for name in likeness})
        _check(known)
    return Rejection(axes[0], axes[1], table, known)


def _check(known: Likeness) -> None:
    width, seen = len(known.center) if known.center.dim() == 1 else 0, known.between.numel()
    shapes = ((width,), (width, seen), (), (seen,), (seen,))
    for each, shape in zip(fields(known), shapes, strict=True):
        tensor = getattr(known, each.name)
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise ValueError(f"its rejection's '{each.name}' is not of shape {shape}")
    if not width or not 0 < seen <= width or bool((known.between <= 0).any()):
        raise ValueError("its rejection's likeness does not fit itself")


def _axis(name: str, tensor: Tensor) -> tuple[int, ...]:
    values = tensor.tolist() if tensor.dim() == 1 and tensor.dtype == torch.int64 else []
    if not values or values != sorted(set(values)) or values[0] < 1 or len(values) > 64:
        raise ValueError(f"its rejection's {name} are no list of increasing numbers")
    return tuple(values)


def _between(
    places: Sequence[float | int], values: Sequence[float] | np.ndarray, place: float | int
) -> float:
    """Returns the value at a place, linear in its logarithm; that of the end beyond the ends."""
    return float(np.interp(math.log(place), np.log(places), values))


def _outside(known: tuple[int, ...], asked: float | int, what: str) -> str:
    if known[0] <= asked <= known[-1]:
        return ""
    measured = f"{known[0]} to {known[-1]} were" if len(known) > 1 else f"{known[0]} alone was"
    return f"{asked:g} {what if asked != 1 else what[:-1]} ({measured} measured)"
