"""Images as inputs of a model that sees them through an encoder, alone or beside their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metaloop.catalogue.views import own_format, read_format, seen
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.estimators.images import Pictures, read_pictures
from metaloop.tasks.value_range import ValueRange


@dataclass(frozen=True, eq=False)
class SeenPictures:
    """The images of one X; a slice of them is what the view sees, float32 `[n, features]`.

    `detail`: as encoders want them, `own`: as nets see them; the same where no net sees them.
    """

    view: FittedView
    detail: Pictures
    own: Pictures

    @property
    def value_range(self) -> ValueRange:
        """The numbers that are black and white wherever images are arrays."""
        return self.detail.value_range

    def __len__(self) -> int:
        return len(self.detail)

    def __getitem__(self, rows: slice) -> Tensor:
        detail = self.detail[rows]
        own = detail if self.own is self.detail else self.own[rows]
        return seen(self.view, own, detail)


def read_seen_pictures(
    X: Any,
    view: FittedView,
    input_format: InputFormat,
    known: ValueRange | None = None,
    declared: ValueRange | None = None,
) -> SeenPictures:
    """Returns the images of `X` for a model with this view; as `read_pictures` for the rest."""
    detail = read_pictures(X, read_format(view, input_format), known, declared)
    own = own_format(view, input_format)
    if own is None:
        return SeenPictures(view, detail, detail)
    return SeenPictures(view, detail, read_pictures(X, own, known, declared))
