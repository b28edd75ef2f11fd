"""What a view of a model file may be: looked at before anything is seen through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from metaloop.catalogue.views import ENCODER, MOST_FEATURES, VIEWS, card_of, cards_of
from metaloop.core.conforming import conforming
from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import ModelFileError
from metaloop.core.fitted_view import AS_IS, BESIDE, Expected, FittedView, as_long
from metaloop.core.inputs import InputFormat
from metaloop.core.spec import Shape
from metaloop.domains.summaries import view as of_sentences

_MOST_OF_ENCODER = 1 << 16
_LARGEST_SIDE = 2048  # pixels of images for encoders


def check_view(view: FittedView, input_format: InputFormat) -> Expected:
    """Returns the assets that the view of a file from a stranger is to have, by name.

    Raises `ModelFileError` unless it can be used as it is and makes inputs of that format.
    """
    if view.choice.name == BESIDE:
        return _check_beside(view, input_format)
    features: Any = view.choice.options.get("features")
    known, kind = {"features"}, "vector"
    shape: Shape = (features,)
    if view.choice.name == ENCODER:
        known, most = {each.name for each in fields(EncoderCard)}, _MOST_OF_ENCODER
        expected: Expected = {}
    elif view.choice.name in VIEWS:
        entry = VIEWS[view.choice.name]
        most, kind, shape = entry.features or MOST_FEATURES, entry.kind, entry.shape or shape
        expected = as_long(entry.expected, view.assets)
    else:
        raise ModelFileError(
            f"the model sees its inputs as '{view.choice.name}', a view that this metaloop does "
            f"not have; upgrade metaloop"
        )
    if view.choice.name == of_sentences.ENCODED:
        known = {"features", "encoder"}
    if set(view.choice.options) != known or type(features) is not int:
        raise ModelFileError("the model file is damaged: its view has no number of features")
    if not 1 <= features <= most:
        raise ModelFileError(f"a view has 1 to {most} features, got {features}")
    if (card := card_of(view.choice)) is not None:
        _check_encoder(card)
        if view.choice.name == of_sentences.ENCODED:
            expected |= of_sentences.expected_space(int(card["features"]))
    if tuple(input_format.shape) != shape or input_format.kind != kind:
        raise ModelFileError(
            f"the model file is damaged: it sees inputs as {kind}s of shape {shape}, and takes "
            f"{input_format.kind}s of shape {tuple(input_format.shape)}"
        )
    return expected


def checked_cards(view: FittedView | None) -> tuple[EncoderCard, ...]:
    """Returns what is written of the encoders of the view of a file from a stranger.

    Raises `ModelFileError` where that is no card; whether the view can be used is not looked at.
    """
    try:
        return tuple(conforming(card) for card in cards_of(view))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file is damaged: {reason}") from error


def _check_beside(view: FittedView, input_format: InputFormat) -> Expected:
    of = view.choice.options.get("of")
    told = isinstance(of, list | tuple) and all(
        isinstance(each, Mapping)
        and set(each) <= {"name", "options"}
        and isinstance(each.get("name"), str)
        and isinstance(each.get("options", {}), Mapping)
        and each["name"] != BESIDE
        for each in of
    )
    if not told or len(view.pieces) != len(input_format.pieces):
        raise ModelFileError("the model file is damaged: its views do not fit its inputs")
    expected: Expected = {}
    for place, (piece, part) in enumerate(zip(view.pieces, input_format.pieces, strict=True)):
        if piece.choice != AS_IS.choice:
            wanted = check_view(piece, part)
            expected |= {f"{place}.{name}": shape for name, shape in wanted.items()}
    return expected


def _check_encoder(written: Any) -> None:
    try:
        card = conforming(EncoderCard(**written))
    except TypeError as error:
        raise ModelFileError(f"the model file is damaged: {error}") from error
    if not 0 <= card.size <= _LARGEST_SIDE:
        raise ModelFileError(
            f"a backbone sees images of up to {_LARGEST_SIDE} pixels, got {card.size}"
        )
