"""What a run of `select` is offered beside nets of its own: frozen encoders, and guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from metaloop.catalogue.guests import Guest
from metaloop.catalogue.views import ENCODER, encoder_of, view_of_encoder
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError, MetaloopError
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import Backbone, EncoderCard
from metaloop.core.records import Choice
from metaloop.engine.heads import Judged
from metaloop.selecting.racing import Entry
from metaloop.tasks.labelled import LabelledSet


@dataclass(frozen=True, eq=False)
class Features:
    """What an encoder makes of some examples: `rows [n]` of the store, `features [n, D]`.

    With 2 `copies` they are the mean over an image and its mirror image, with a `second` look the
    mean of that and of what the same net makes of images with so many pixels a side.
    """

    encoder: Encoder
    copies: int
    rows: np.ndarray
    features: Tensor
    second: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether an image was looked at once."""
        return self.copies == 1 and not self.second

    def of(self, rows: np.ndarray) -> Tensor | None:
        """Returns the features of these rows of the store; None unless all are there."""
        places = np.searchsorted(self.rows, rows)
        there = places < len(self.rows)
        if not there.all() or not (self.rows[places] == rows).all():
            return None
        return self.features[places]


@dataclass(eq=False)
class Headed:
    """A frozen pipeline as it was measured: `entry.right` is of `search`, `value` what is believed.

    `learned` are the rows of the store that its head may learn from.
    """

    entry: Entry
    features: Features
    head: Judged
    learned: np.ndarray
    value: float
    likelihood: float
    baseline: bool = False


@dataclass(eq=False)
class Offer:
    """The encoders on offer, the usual one first; `images` are raw ones of all examples.

    `alone`: nothing else takes part, for the encoder was named. `measured`: what came of them, the
    best first. `image_format` is how raw images are read.
    """

    encoders: tuple[Encoder, ...]
    images: Tensor
    image_format: InputFormat
    alone: bool
    measured: list[Headed] = field(default_factory=list)

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """The encoders as records have them: a candidate's view is its encoder's name."""
        return tuple(Backbone(each.card.name, each.card) for each in self.encoders)

    def view(self, encoder: Encoder) -> FittedView:
        """Returns the view that is this encoder's features."""
        return view_of_encoder(encoder)


@dataclass(eq=False)
class Guesting:
    """A guest as it was measured: `entry.right` is of `search`.

    `examples`: what it has learned from, in so many `seconds`. `unkept`: why no model file can hold
    it, empty where one can.
    """

    guest: Guest
    entry: Entry
    examples: int
    seconds: float = 0.0
    unkept: str = ""


@dataclass(eq=False)
class Guests:
    """The guests that take part, and what came of them, the best first."""

    asked: tuple[Guest, ...] = ()
    measured: list[Guesting] = field(default_factory=list)

    @property
    def keepable(self) -> Guesting | None:
        """The best one that a model file can hold."""
        able = (one for one in self.measured if not one.entry.failed and not one.unkept)
        return next(able, None)


def offer_of(labelled: LabelledSet, encoders: Sequence[Encoder], alone: bool) -> Offer | None:
    """Returns the offer for a data set, None without encoders; `DataError` for other data."""
    if not encoders:
        return None
    store = labelled.store
    images = store.inputs if store.detail is None else store.detail
    if not isinstance(images, Tensor):
        raise DataError(f"{labelled.name} has no images for a backbone; use --backbone none")
    shape = tuple(images.shape[1:])
    channels = (0.0,) * shape[0], (1.0,) * shape[0]
    polarity = store.polarity if store.detail is None else "as_is"
    return Offer(tuple(encoders), images, InputFormat("image", shape, *channels, polarity), alone)


def offered_again(cards: Sequence[EncoderCard]) -> tuple[Encoder, ...]:
    """Returns the encoders that earlier tries of a run were offered, with the same weights.

    Raises `MetaloopError` where one of them is gone or is another: the run would not be the same.
    """
    return tuple(_again(card) for card in cards)


def _again(card: EncoderCard) -> Encoder:
    try:
        return encoder_of(FittedView(Choice(ENCODER, dict(vars(card)))))
    except MetaloopError as error:
        raise MetaloopError(
            f"the run to resume was offered the backbone '{card.name}' with the weights "
            f"{card.weights}, which are not there any more; install them again, or select anew "
            "with another --out"
        ) from error
