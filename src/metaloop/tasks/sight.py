"""`Sight`: the examples of a family as another view sees them, alone or beside others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metaloop.core.columns import Beside, Column
from metaloop.core.fitted_view import FittedView, beside
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import AND
from metaloop.core.records import OWN

SEVERAL = AND  # between the names of views that are beside each other

__all__ = ["OWN", "SEVERAL", "Sight", "abreast"]


@dataclass(frozen=True)
class Sight:
    """The examples of a family as another view sees them: inputs in the store's order."""

    view: FittedView
    inputs: Column
    input_format: InputFormat


def abreast(sights: Sequence[Sight]) -> Sight:
    """Returns what is seen in these views, one beside the other: itself where it is one."""
    if len(sights) == 1:
        return sights[0]
    return Sight(
        beside([sight.view for sight in sights]),
        Beside(tuple(sight.inputs for sight in sights)),
        InputFormat.beside([sight.input_format for sight in sights]),
    )
