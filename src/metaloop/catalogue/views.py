"""The table of views: how raw inputs are seen as tensors.

A view is fitted on `train` alone. Besides those of the table there are three that need no fitting:
inputs as they are, what a frozen encoder makes of them, and several views beside each other. Which
views a family is seen in is chosen in `sights.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.column_kinds import kind_of, mean_length
from metaloop.core.columns import Column, Taken, described, flat_beside, length, pieces_of, take
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import (
    DataError,
    MetaloopError,
    ModelFileError,
    UnknownNameError,
    unknown_name,
)
from metaloop.core.fitted_view import AS_IS, BESIDE, Expected, FittedView, key_of
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.core.spec import Shape
from metaloop.domains.ratings import known as known_items
from metaloop.domains.speech import logmel
from metaloop.domains.summaries import view as of_sentences
from metaloop.domains.text import tfidf, words
from metaloop.guests.gensim import trained as trained_words
from metaloop.tasks.family import ClassFamily

ENCODER = "encoder"  # the view that is a frozen encoder's features; which one is in its options
_AT_ONCE = 4096  # examples seen in one go
_NUMBERS_AT_ONCE = 1 << 21  # of sequences, each of which may be some hundred thousand long
_MOST_BYTES = 1 << 30  # of all examples in a view
MOST_FEATURES, _LEAST_FEATURES = 2048, 256
_FITTING_EXAMPLES = 50_000

Assets = dict[str, Tensor]


@dataclass(frozen=True)
class ViewEntry:
    """A view: a line about it and what it does; `takes` says what kind of column it is for.

    `fit(training inputs)` gives its assets, `see(assets, inputs, num_features)` tensors
    `[N, num_features]`; `expected` is the shape and kind of numbers of each asset. `features`: how
    many numbers it always makes, None where it makes as many as it is asked for. In `expected` -1
    is any length. `offered`: whether it is tried where no view is named. `kind`: the domain of what
    it makes; where that is no vector, `shape` is that of one input, of `features` numbers.
    `measured`: whether nets are given its numbers standardised, or as they are.
    `check(assets, features)` raises `ModelFileError` where assets of the right shapes do not fit.
    """

    summary: str
    takes: str
    fit: Callable[[Taken], Assets]
    see: Callable[[Mapping[str, Tensor], Taken, int], Tensor]
    expected: Expected
    features: int | None = None
    offered: bool = True
    kind: str = "vector"
    shape: Shape = ()
    measured: bool = True
    check: Callable[[Mapping[str, Tensor], int], None] = lambda assets, features: None

    @property
    def most_fitted(self) -> int | None:
        """How many training inputs `fit` needs to be given: none where nothing is learned."""
        return None if self.expected else 0


def _of_terms(terms: str, summary: str) -> ViewEntry:
    def fit(texts: Taken) -> Assets:
        return tfidf.fit(cast(Sequence[str], texts), terms)

    def see(assets: Mapping[str, Tensor], texts: Taken, num_features: int) -> Tensor:
        return tfidf.see(assets, cast(Sequence[str], texts), terms, num_features)

    return ViewEntry(summary, "texts", fit, see, tfidf.expected(terms))


def _of_gensim(kind: str, summary: str) -> ViewEntry:
    def fit(texts: Taken) -> Assets:
        return trained_words.fit(cast(Sequence[str], texts), kind)

    def see(assets: Mapping[str, Tensor], texts: Taken, num_features: int) -> Tensor:
        return trained_words.see(assets, cast(Sequence[str], texts))

    expected = trained_words.EXPECTED[kind]
    return ViewEntry(summary, "texts", fit, see, expected, trained_words.FEATURES, offered=False)


VIEWS: Mapping[str, ViewEntry] = MappingProxyType(
    {
        "words_and_characters": _of_terms(
            "words_and_characters", "tf-idf of words and of runs of 2 to 5 letters, equal shares"
        ),
        "characters": _of_terms("characters", "tf-idf of runs of 2 to 5 letters within words"),
        "words": _of_terms("words", "tf-idf of words and of pairs of them"),
        "tokens": ViewEntry(
            "words in their order, for nets that learn what they mean",
            "texts",
            lambda texts: words.fit(cast(Sequence[str], texts)),
            lambda assets, texts, num_features: words.see(assets, cast(Sequence[str], texts)),
            words.expected(),
            math.prod(words.SHAPE),
            kind="tokens",
            shape=words.SHAPE,
            measured=False,
        ),
        "word2vec": _of_gensim(
            "word2vec", "the mean of word vectors that Gensim trains on the training texts"
        ),
        "fasttext": _of_gensim(
            "fasttext", "the same of FastText, which makes vectors of new words' letters"
        ),
        "doc2vec": _of_gensim("doc2vec", "Doc2Vec of Gensim, a bag of words, trained on the same"),
        "mfcc": ViewEntry(
            "mel-frequency cepstral coefficients of one second",
            "recordings",
            lambda recordings: {},
            lambda assets, recordings, num_features: logmel.mfcc(recordings),
            {},
            logmel.MFCC_FEATURES,
        ),
        "log_mel": ViewEntry(
            "log-mel spectrograms of one second",
            "recordings",
            lambda recordings: {},
            lambda assets, recordings, num_features: logmel.pictures(recordings),
            {},
            logmel.MELS * logmel.FRAMES,
            kind="spectrogram",
            shape=(1, logmel.MELS, logmel.FRAMES),
        ),
        known_items.KIND: ViewEntry(  # `rated.py` fits it by whole users
            "what training users' ratings, and a file of items, say of an item",
            known_items.KIND,
            lambda items: {},
            known_items.see,
            known_items.EXPECTED,
            offered=False,
            kind="item",
            check=known_items.check,
        ),
        known_items.FOR_USERS: ViewEntry(
            "the same, and what training users like the one who asks think of it",
            known_items.KIND,
            lambda items: {},
            known_items.see,
            known_items.EXPECTED_FOR_USERS,
            offered=False,
            kind="item",
            check=known_items.check,
        ),
        of_sentences.NAME: ViewEntry(**of_sentences.ENTRY),  # both fitted in `summarised.py`
        of_sentences.ENCODED: ViewEntry(**of_sentences.ENCODED_ENTRY),
    }
)


def needs_view(column: Column) -> bool:
    """Whether inputs are no tensors of one shape yet."""
    return not isinstance(pieces_of(column)[0], Tensor)


def view_entry(name: str) -> ViewEntry:
    """Returns the view of this name; raises `UnknownNameError`."""
    if name not in VIEWS:
        raise unknown_name("view", name, VIEWS)
    return VIEWS[name]


def view_of_encoder(encoder: Encoder) -> FittedView:
    """Returns the view that is this encoder's features; it keeps the encoder at hand."""
    card = encoder.card
    at_hand = {key_of(card.name, card.weights): encoder}
    return FittedView(Choice(ENCODER, dict(vars(card))), encoders=at_hand)


def cards_of(view: FittedView | None) -> tuple[EncoderCard, ...]:
    """Returns what is known of the encoders of a view, as it was when the view was made."""
    found = [] if view is None else [card_of(piece.choice) for piece in view.pieces]
    return tuple(EncoderCard(**card) for card in found if card is not None)


def card_of(choice: Choice) -> Mapping[str, Any] | None:
    """Returns what is written of the encoder of a view; None of a view without one."""
    if choice.name == ENCODER:
        return choice.options
    return choice.options["encoder"] if choice.name == of_sentences.ENCODED else None


def takes(view: FittedView) -> str:
    """Returns the kind of raw inputs that a view is for: `texts`, `images`, ...; "" if any."""
    kinds = [_takes(piece) for piece in view.pieces]
    return next((kind for kind in kinds if kind), "")


def _takes(piece: FittedView) -> str:
    if piece.choice.name == ENCODER:
        return str(piece.choice.options["takes"])
    return VIEWS[piece.choice.name].takes if piece.choice.name in VIEWS else ""


def detail_of(view: FittedView | None) -> int:
    """Returns the side in pixels at which a view's encoder wants to see images; 0 without one."""
    pieces = [] if view is None else [p for p in view.pieces if p.choice.name == ENCODER]
    return max((int(piece.choice.options["size"]) for piece in pieces), default=0)


def own_format(view: FittedView | None, input_format: InputFormat) -> InputFormat | None:
    """Returns the format of inputs as they are: None where a view has nothing of them as such."""
    if view is None:
        return input_format
    places = [place for place, p in enumerate(view.pieces) if p.choice.name == AS_IS.choice.name]
    return input_format.pieces[places[0]] if places and input_format.pieces else None


def read_format(view: FittedView | None, input_format: InputFormat) -> InputFormat:
    """Returns the format in which raw inputs are read: that of a view's encoder, if it has one.

    What a net sees beside an encoder is read again, in its own (`own_format`).
    """
    side = detail_of(view)
    if not side:
        return input_format
    return InputFormat("image", (3, side, side), (0.0,) * 3, (1.0,) * 3)


def encoder_of(view: FittedView) -> Encoder:
    """Returns the encoder of a view, opened by its name where it is not at hand.

    Raises `ModelFileError` if it is not installed, or if its weights are others.
    """
    card = card_of(view.choice)
    assert card is not None
    name, weights = card["name"], card["weights"]
    if key_of(name, weights) in view.encoders:
        return view.encoders[key_of(name, weights)]
    try:
        encoder: Encoder = _opened(name, card["takes"])
    except UnknownNameError as error:
        raise ModelFileError(
            f"the model sees its inputs through a backbone that is not here: {error} One of your "
            "own is given from Python: metaloop.load(path, backbone=...)"
        ) from error
    except MetaloopError as error:
        raise ModelFileError(f"the model sees its inputs through '{name}': {error}") from error
    if encoder.card.weights != weights:
        raise ModelFileError(
            f"the model sees its inputs through '{name}' with the weights {weights}, those here "
            f"are {encoder.card.weights}; install the version that it was made with"
        )
    if encoder.card.features != card["features"]:
        raise ModelFileError(
            f"the model sees its inputs as {card['features']} features of '{name}', "
            f"which makes {encoder.card.features} of them in this metaloop; train it anew"
        )
    return encoder


@lru_cache(maxsize=4)
def _opened(name: str, kind: str) -> Encoder:
    """The encoder of this name, kept open: a model is asked for one batch after another."""
    return open_backbone(name, takes=kind)


def seen(view: FittedView, column: Column, detail: Column | None = None) -> Tensor:
    """Returns the examples of a column as the view sees them: float32 `[N, features]`.

    `detail`: the same examples as encoders want them. Raises `DataError` for a column of another
    kind than the view is for.
    """
    if view.choice.name == BESIDE:
        return flat_beside([seen(piece, column, detail) for piece in view.pieces])
    rows = torch.split(torch.arange(length(column)), _at_once(column))
    if view.choice == AS_IS.choice:
        return torch.cat([_tensor(take(column, some)) for some in rows])
    if view.choice.name == ENCODER:
        encoder = encoder_of(view)
        source = column if detail is None else detail
        _check_kind(source, encoder.card.takes)
        return torch.cat([encoder.encode(take(source, some)) for some in rows])
    entry = view_entry(view.choice.name)
    _check_kind(column, entry.takes)
    features = int(view.choice.options["features"])
    if view.choice.name == of_sentences.ENCODED:
        return torch.cat([encoded_documents(view, take(column, some)) for some in rows])
    return torch.cat([entry.see(view.assets, take(column, some), features) for some in rows])


def encoded_documents(view: FittedView, documents: Taken) -> Tensor:
    """Returns documents as a view of sentences with an encoder sees them."""
    lines = of_sentences.lines_in(documents)
    read = [line for document in lines for line in of_sentences.read_lines(document)]
    vectors = encoder_of(view).encode(tuple(read)).numpy()
    found = of_sentences.seen_documents(lines, view.assets, vectors=vectors)
    return of_sentences.stacked(found, of_sentences.ENCODED_COLUMNS)


def _at_once(column: Column) -> int:
    """How many examples are gathered: fewer where each is long."""
    return min(_AT_ONCE, max(1, int(_NUMBERS_AT_ONCE // max(1.0, mean_length(column)))))


def _tensor(taken: Taken) -> Tensor:
    if not isinstance(taken, Tensor):
        raise DataError("the model takes inputs of one shape as they are, got others")
    return taken


def _check_kind(column: Column, kind: str) -> None:
    if kind_of(column) != kind:
        raise DataError(f"the model takes {kind}, got {described(column)}")


def fitted(family: ClassFamily, name: str) -> FittedView:
    """Returns the view of this name, fitted on the training classes of a family as it came."""
    store = family.raw or family.store
    rows = family.labelled("train")[0]
    if len(rows) > _FITTING_EXAMPLES:
        rows = rows[np.linspace(0, len(rows) - 1, _FITTING_EXAMPLES).astype(np.int64)]
    entry = view_entry(name)
    features = _num_features(len(store)) if entry.features is None else entry.features
    taken = store.take(rows[: entry.most_fitted])
    return FittedView(Choice(name, {"features": features}), entry.fit(taken))


def fitting_views(column: Column) -> tuple[str, ...]:
    """Returns the names of the table's views that are tried on such a column, in its order."""
    kind = kind_of(column)
    return tuple(name for name, entry in VIEWS.items() if entry.takes == kind and entry.offered)


def for_nets(name: str) -> bool:
    """Whether a view of the table is no rival of a nearest mean, but of a trained net."""
    return bool(VIEWS[name].shape)


def kind_of_view(view: FittedView) -> str:
    """Returns the domain of what a view makes; "" where inputs are as they are, or several."""
    if view.choice.name == ENCODER:
        return "vector"
    return VIEWS[view.choice.name].kind if view.choice.name in VIEWS else ""


def unmeasured_format(view: FittedView) -> InputFormat | None:
    """Returns the format of what a view makes where nothing is measured; None where it is."""
    entry = VIEWS.get(view.choice.name)
    if entry is None or entry.measured:
        return None
    channels = entry.shape[0]
    return InputFormat(entry.kind, entry.shape, (0.0,) * channels, (1.0,) * channels)


def _num_features(num_examples: int) -> int:
    """As many as there is room for, a power of two."""
    possible = max(_LEAST_FEATURES, _MOST_BYTES // (4 * max(1, num_examples)))
    return int(min(MOST_FEATURES, 1 << (possible.bit_length() - 1)))
