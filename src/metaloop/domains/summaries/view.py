"""How documents are seen: a row of numbers for each sentence, and what a model keeps for that.

    weights, directions   of hashed words, of training sentences (`features.py`)
    kept, kept_weights    of stems in summaries (`kept.py`); documents, stems of a usual summary
    rules                 unit and amount of the length, whether the best reference counts, whether
                          words are those of Latin letters
    seen, seen_parts      hashes of the documents that it was made with, and the part of each
    space_mean, space     of an encoder's vectors of training sentences, where there is one

A view with an encoder is one of its own (`ENCODED`), whose options hold the encoder's card.
Of a document of more than `PLACES` sentences the first ones and those that are most like the whole
are looked at; of one of more than `MOST_SENTENCES`, only so many are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.extraction import PLACES
from metaloop.core.extracts import UNITS, Length
from metaloop.core.fitted_view import Expected, FittedView
from metaloop.core.records import PARTS
from metaloop.domains.summaries.features import (
    BUCKETS,
    COLUMNS,
    IN_SPACE,
    SPACE_DIRECTIONS,
    Space,
    Terms,
    asked_for,
    described,
    in_space,
)
from metaloop.domains.summaries.kept import FACTS, PLACES_OF_WORDS, Kept
from metaloop.nets.sentences import DIRECTIONS
from metaloop.tasks.readers.sentences import lines_of, number_of_words

KIND = "documents"  # what raw inputs are
NAME = "sentences"  # of the view that sees them
ENCODED = "sentences_encoded"  # of the one that sees them through an encoder of texts, too
FEATURES = len(COLUMNS) * PLACES
ENCODED_COLUMNS = (*COLUMNS, *IN_SPACE)
ENCODED_FEATURES = len(ENCODED_COLUMNS) * PLACES
MOST_SENTENCES = 1000
_FIRST = 8  # of a long document, looked at whatever they are
_ANY = -1
EXPECTED: Expected = {
    "weights": ((BUCKETS,), torch.float32),
    "directions": ((BUCKETS, DIRECTIONS), torch.float32),
    "kept": ((PLACES_OF_WORDS, 2), torch.float32),
    "kept_weights": ((FACTS + 2,), torch.float64),
    "rules": ((4,), torch.float64),
    "seen": ((_ANY,), torch.int64),
    "seen_parts": ((_ANY,), torch.int64),
}


@dataclass(frozen=True)
class Rules:
    """How long extracts are and how they are judged; `latin`: which words ROUGE counts."""

    length: Length
    best: bool
    latin: bool

    def to_tensor(self) -> Tensor:
        """Returns the rules as numbers; see `of`."""
        unit = UNITS.index(self.length.unit)
        return torch.tensor([unit, self.length.amount, self.best, self.latin], dtype=torch.float64)

    @staticmethod
    def of(assets: Mapping[str, Tensor]) -> Rules:
        """Returns the rules in the assets of a view; raises `MetaloopError` for none."""
        unit, amount, best, latin = assets["rules"].tolist()
        if unit not in range(len(UNITS)) or {best, latin} - {0.0, 1.0}:
            raise MetaloopError(f"a length is in one of {', '.join(UNITS)}")
        return Rules(Length(UNITS[int(unit)], amount), bool(best), bool(latin))


@dataclass(frozen=True, eq=False)
class SeenDocument:
    """A document as a learner has it: `inputs [columns, PLACES]` and where its sentences are from.

    `places [s]`: of the sentences that are looked at; `words [s]` of each, `total` of all.
    """

    inputs: np.ndarray
    places: np.ndarray
    words: np.ndarray
    total: int

    def at(self, length: Length, usual: float) -> SeenDocument:
        """Returns it as it is seen where this length is asked for; `usual` as in `asked_for`."""
        (inputs,) = asked_for(self.inputs[None], np.array([self.total]), length, usual)
        return replace(self, inputs=inputs)


def terms_of(assets: Mapping[str, Tensor]) -> Terms:
    """Returns what a view has learned of words."""
    weights = assets["kept_weights"].numpy()
    counts = assets["kept"].numpy().astype(np.float64)
    kept = Kept(counts, weights[:FACTS], float(weights[-2]), float(weights[-1]))
    return Terms(assets["weights"].numpy(), assets["directions"].numpy(), kept)


def assets_of(terms: Terms) -> dict[str, Tensor]:
    """Returns what a view has learned of words as tensors; see `terms_of`."""
    kept = terms.kept
    return {
        "weights": torch.from_numpy(terms.weights),
        "directions": torch.from_numpy(np.ascontiguousarray(terms.directions)),
        "kept": torch.from_numpy(kept.counts.astype(np.float32)),
        "kept_weights": torch.from_numpy(np.array([*kept.weights, kept.documents, kept.usual])),
    }


def space_of(assets: Mapping[str, Tensor]) -> Space | None:
    """Returns what a view has learned of an encoder's vectors; None of one without an encoder."""
    if "space" not in assets:
        return None
    return Space(assets["space_mean"].numpy(), assets["space"].numpy())


def assets_of_space(space: Space) -> dict[str, Tensor]:
    """Returns the same as tensors; see `space_of`."""
    return {
        "space_mean": torch.from_numpy(space.mean),
        "space": torch.from_numpy(np.ascontiguousarray(space.directions)),
    }


def seen_document(
    sentences: list[str],
    terms: Terms,
    rules: Rules,
    own: Sequence[Sequence[int]] | None = None,
    space: Space | None = None,
    vectors: np.ndarray | None = None,
) -> SeenDocument:
    """Returns a document of such sentences, at least one, as a learner has it.

    `own`: its own summaries, stems, if it is one of those that `terms` learned from. `space` and
    `vectors` `[s, D]`: an encoder's, of the sentences that are read.
    """
    words = np.array([number_of_words(each) for each in sentences], np.int64)
    told, pairs = described(sentences[:MOST_SENTENCES], terms, rules.latin, own)
    if space is not None and vectors is not None:
        told = np.concatenate([told, in_space(vectors, space)])
    places = np.arange(told.shape[1])
    if len(places) > PLACES:
        like = told[COLUMNS.index("centroid")].copy()
        like[:_FIRST] = np.inf
        places = np.sort(np.argsort(-like, kind="stable")[:PLACES])
    inputs = np.zeros((len(told), PLACES), np.float32)
    inputs[:, : len(places)] = told[:, places]
    start = COLUMNS.index("with_0")
    inputs[start : start + len(places), : len(places)] = pairs[np.ix_(places, places)]
    seen = SeenDocument(inputs, places, words[places], int(words.sum()))
    return seen.at(rules.length, terms.kept.usual)


def seen_documents(
    documents: Sequence[list[str]],
    assets: Mapping[str, Tensor],
    rules: Rules | None = None,
    own: Sequence[Sequence[Sequence[int]] | None] | None = None,
    vectors: np.ndarray | None = None,
) -> list[SeenDocument]:
    """Returns documents, lists of sentences, as a learner has them.

    `rules`: by default those of the view. `own`: see `seen_document`, of each. `vectors`: those of
    all sentences that `read_lines` returns, one behind the other.
    """
    terms, space = terms_of(assets), space_of(assets)
    rules = rules or Rules.of(assets)
    found, start = [], 0
    for place, lines in enumerate(documents):
        end = start + len(read_lines(lines))
        part = None if vectors is None else vectors[start:end]
        learned = None if own is None else own[place]
        found.append(seen_document(lines, terms, rules, learned, space, part))
        start = end
    return found


def asking(view: FittedView, length: Length) -> FittedView:
    """Returns a view of documents as one that asks for extracts of this length."""
    rules = replace(Rules.of(view.assets), length=length)
    return replace(view, assets={**view.assets, "rules": rules.to_tensor()})


def read_lines(lines: list[str]) -> list[str]:
    """Returns the sentences of a document that are read."""
    return lines[:MOST_SENTENCES]


def lines_in(documents: Any) -> list[list[str]]:
    """Returns the sentences of documents, texts with a sentence a line; each has one at least."""
    texts: Sequence[str] = documents["document"] if isinstance(documents, dict) else documents
    return [lines_of(text) or [""] for text in texts]


def see(assets: Mapping[str, Tensor], documents: Any, num_features: int) -> Tensor:
    """Returns documents, texts with a sentence a line, as `[N, columns, PLACES]`."""
    return stacked(seen_documents(lines_in(documents), assets), COLUMNS)


def stacked(seen: Sequence[SeenDocument], columns: Sequence[str]) -> Tensor:
    """Returns documents as one tensor `[N, columns, PLACES]`."""
    if not seen:
        return torch.zeros(0, len(columns), PLACES)
    return torch.from_numpy(np.stack([each.inputs for each in seen]))


def check(assets: Mapping[str, Tensor], num_features: int) -> None:
    """Raises `ModelFileError` unless rules, counts of words and documents of a file make sense."""
    try:
        Rules.of(assets)
    except MetaloopError as error:
        raise ModelFileError(f"the model file is damaged: {error}") from error
    parts = assets["seen_parts"]
    if len(assets["seen"]) != len(parts) or bool(((parts < 0) | (parts >= len(PARTS))).any()):
        raise ModelFileError("the model file is damaged: the documents it knows do not fit")
    documents, usual = assets["kept_weights"][-2:].tolist()
    if bool((assets["kept"] < 0).any()) or documents < 0 or usual < 1:
        raise ModelFileError("the model file is damaged: words are counted from 0 on")


def expected_space(features: int) -> Expected:
    """Returns the shapes of what is known of vectors of so many numbers."""
    return {
        "space_mean": ((features,), torch.float32),
        "space": ((features, SPACE_DIRECTIONS), torch.float32),
    }


def _without_encoder(assets: Mapping[str, Tensor], documents: Any, num_features: int) -> Tensor:
    raise MetaloopError("sentences of this view are seen with their encoder")


ENTRY: Mapping[str, Any] = {  # of the table of views
    "summary": "place, length, words of every sentence, and how it stands to its document",
    "takes": KIND,
    "fit": lambda documents: {},
    "see": see,
    "expected": EXPECTED,
    "features": FEATURES,
    "offered": False,
    "kind": "sentence",
    "shape": (len(COLUMNS), PLACES),
    "check": check,
}
ENCODED_ENTRY: Mapping[str, Any] = {
    **ENTRY,
    "summary": "the same, and how sentences stand to their document in an encoder's space",
    "see": _without_encoder,
    "expected": {**EXPECTED, **expected_space(_ANY)},
    "features": ENCODED_FEATURES,
    "shape": (len(ENCODED_COLUMNS), PLACES),
}
