"""Documents with summaries as tasks: dealt to parts, and only then seen, by `train` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from metaloop.catalogue.features import Tell, encoded
from metaloop.catalogue.views import encoder_of, view_of_encoder
from metaloop.core.column_kinds import kind_of
from metaloop.core.columns import Column, Texts
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError
from metaloop.core.extraction import EXTRACTION, PLACES
from metaloop.core.extracts import Length, most_when_cut
from metaloop.core.fitted_view import FittedView, key_of
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import described_card
from metaloop.core.records import PARTS, Choice
from metaloop.domains.summaries.features import COLUMNS, counted, fitted_space, fitted_terms
from metaloop.domains.summaries.kept import fitted_kept
from metaloop.domains.summaries.stems import is_latin, stems
from metaloop.domains.summaries.view import (
    ENCODED,
    ENCODED_COLUMNS,
    ENCODED_FEATURES,
    FEATURES,
    KIND,
    MOST_SENTENCES,
    NAME,
    Rules,
    SeenDocument,
    assets_of,
    assets_of_space,
    read_lines,
    seen_documents,
)
from metaloop.nets.sentences import AS_THEY_ARE
from metaloop.tasks.documents import DealtDocuments, dealt
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.judged import Judged, JudgedDocument
from metaloop.tasks.readers.sentences import beginning, lines_of, number_of_words
from metaloop.tasks.readers.summaries import BETWEEN, DOCUMENT, REFERENCES
from metaloop.tasks.store import ClassInfo, LeftOut, Reading, Store

_FITTING_SENTENCES = 40_000
_FITTING_TEXTS = 200  # that tell the script
_LEAST_USUAL = 5  # words; fewer are no length of a summary


def holds_documents(
    reading: Reading, view: str | None, length: Length | None, best: bool | None
) -> bool:
    """Returns whether a reading is of documents; raises `DataError` for options that do not fit."""
    if kind_of(reading.store.inputs) == KIND:
        if view is not None:
            raise DataError(f"{reading.name} is seen sentence by sentence; leave --view away")
        return True
    if length is not None or best is not None:
        raise DataError(
            f"{reading.name} has no documents with summaries; leave --words, --sentences, --ratio "
            "and --references away"
        )
    return False


def document_family(
    reading: Reading,
    *,
    split_seed: int = 0,
    length: Length | None = None,
    best: bool | None = None,
    view: FittedView | None = None,
    input_format: InputFormat | None = None,
    encoder: Encoder | None = None,
    tell: Tell | None = None,
) -> tuple[GroupFamily, str, tuple[LeftOut, ...], tuple[str, ...]]:
    """Returns the family of a reading of documents, its kind, what is left out, what to say of it.

    `length`: what extracts are asked for, by default the model's, else as many words as the
    summaries of `train` have in the middle. `best`: the best reference counts, not their mean.
    `view`, `input_format`: a model's; documents that it was made with keep their parts. `encoder`:
    one of texts that sentences are seen through, too; `tell` is called while it sees them.
    """
    parted = dealt(reading, split_seed, None if view is None else _known(view))
    documents, references = _texts(parted, DOCUMENT), _texts(parted, REFERENCES)
    told = [*parted.notes]
    lines = [lines_of(text) for text in documents]
    if view is None:
        view, said = _fitted(parted, documents, references, length, bool(best))
        told += said
    else:
        encoder = encoder_of(view) if view.choice.name == ENCODED else None
    vectors = None
    if encoder is not None:
        vectors = _vectors(lines, encoder, tell)
        view = _through(view, encoder, vectors[_of_train(parted, lines)])
        told.append(f"sentences are seen through {described_card(encoder.card)}, too")
    rules = Rules.of(view.assets)
    rules = replace(rules, length=length or rules.length, best=rules.best if best is None else best)
    told += [f"an extract has {rules.length} at most", *_of_long(documents)]
    wanted = [[stems(each, rules.latin) for each in text.split(BETWEEN)] for text in references]
    train = parted.part_of == PARTS.index("train")
    own = [each if learned else None for each, learned in zip(wanted, train, strict=True)]
    seen = seen_documents(lines, view.assets, rules, own, vectors)
    judged = _judged(lines, wanted, seen, rules)
    inputs = torch.from_numpy(np.stack([each.inputs for each in seen]))
    worth = np.stack([judged.worth(row, PLACES) for row in range(len(seen))])
    identity = f"{parted.store.digest} {rules.length} {rules.best}{_of_weights(encoder)}"
    store = replace(parted.store, inputs=inputs, values=torch.from_numpy(worth), identity=identity)
    family = GroupFamily(
        reading.name,
        store,
        parted.parts,
        input_format or _measured(inputs[torch.from_numpy(train)], columns_of(view)),
        EXTRACTION.name,
        view,
        parted.store,
        judged=judged,
        alike=parted.by_document,
    )
    left_out = (*reading.left_out, *parted.left_out)
    return family, reading.kind, left_out, (*reading.notes, *told)


def _known(view: FittedView) -> dict[int, int]:
    """The part of each document that a model was made with, by its hash."""
    hashes, parts = view.assets["seen"].tolist(), view.assets["seen_parts"].tolist()
    return dict(zip(hashes, parts, strict=True))


def _fitted(
    parted: DealtDocuments,
    documents: Sequence[str],
    references: Sequence[str],
    length: Length | None,
    best: bool,
) -> tuple[FittedView, list[str]]:
    """The view of these documents, of what `train` has of them, and what to say of that."""
    rows = np.flatnonzero(parted.part_of == PARTS.index("train")).tolist()
    latin = sum(is_latin(documents[row]) for row in rows[:_FITTING_TEXTS])
    told = []
    in_latin = 2 * latin >= len(rows[:_FITTING_TEXTS])
    if not in_latin:
        told.append(
            "most letters are not a to z: ROUGE counts runs of letters of any script, unstemmed"
        )
    sentences = [line for row in rows for line in lines_of(documents[row])]
    if len(sentences) > _FITTING_SENTENCES:
        chosen = np.linspace(0, len(sentences) - 1, _FITTING_SENTENCES).astype(np.int64)
        sentences = [sentences[place] for place in chosen]
    counts = sparse.csr_matrix(counted(sentences, in_latin))
    if not counts.nnz:
        raise DataError("no sentence of the documents has a word; give texts in words")
    stemmed = [[stems(line, in_latin) for line in lines_of(documents[row])] for row in rows]
    wanted = [[stems(each, in_latin) for each in references[row].split(BETWEEN)] for row in rows]
    terms = fitted_terms(counts, fitted_kept(stemmed, wanted))
    if length is None:
        usual = np.median(
            [number_of_words(each) for row in rows for each in references[row].split(BETWEEN)]
        )
        length = Length("words", max(_LEAST_USUAL, round(float(usual))))
        told.append("as long as summaries of 'train' are in the middle; --words N asks for others")
    assets = {
        **assets_of(terms),
        "rules": Rules(length, best, in_latin).to_tensor(),
        "seen": torch.from_numpy(parted.hashes.astype(np.int64)),
        "seen_parts": torch.from_numpy(parted.part_of.astype(np.int64)),
    }
    return FittedView(Choice(NAME, {"features": FEATURES}), assets), told


def columns_of(view: FittedView) -> tuple[str, ...]:
    """Returns what a view tells of each sentence."""
    return ENCODED_COLUMNS if view.choice.name == ENCODED else COLUMNS


def _vectors(lines: Sequence[list[str]], encoder: Encoder, tell: Tell | None) -> np.ndarray:
    """What an encoder makes of all sentences that are read, one document behind the other."""
    texts = Texts.of([line for document in lines for line in read_lines(document)])
    store = Store(texts, torch.zeros(len(texts), dtype=torch.int64), (ClassInfo("sentences"),))
    return encoded(view_of_encoder(encoder), store, tell).numpy()


def _of_train(parted: DealtDocuments, lines: Sequence[list[str]]) -> np.ndarray:
    """Which of the sentences that are read are of `train`."""
    numbers = [len(read_lines(document)) for document in lines]
    return np.repeat(parted.part_of == PARTS.index("train"), numbers)


def _through(view: FittedView, encoder: Encoder, vectors: np.ndarray) -> FittedView:
    """A fitted view as one that sees sentences through an encoder, too; itself if it does."""
    if view.choice.name == ENCODED:
        return view
    choice = Choice(ENCODED, {"features": ENCODED_FEATURES, "encoder": dict(vars(encoder.card))})
    at_hand = {key_of(encoder.card.name, encoder.card.weights): encoder}
    return FittedView(choice, {**view.assets, **assets_of_space(fitted_space(vectors))}, at_hand)


def _of_weights(encoder: Encoder | None) -> str:
    return "" if encoder is None else f" {key_of(encoder.card.name, encoder.card.weights)}"


def _judged(
    documents: Sequence[Sequence[str]],
    references: Sequence[list[list[int]]],
    seen: Sequence[SeenDocument],
    rules: Rules,
) -> Judged:
    found = []
    for sentences, wanted, view in zip(documents, references, seen, strict=True):
        found.append(
            JudgedDocument(
                [stems(sentences[place], rules.latin) for place in view.places],
                view.words.tolist(),
                view.total,
                wanted,
                _cuts(sentences, view, rules),
            )
        )
    return Judged.of(found, rules.length, rules.best)


def _cuts(sentences: Sequence[str], view: SeenDocument, rules: Rules) -> list[int]:
    """How many stems each sentence has that is cut to the length; 0 where one is short enough."""
    if not len(view.words) or view.words.min() <= rules.length.most_words(view.total):
        return [0] * len(view.words)
    most = most_when_cut(rules.length, view.total)
    return [len(stems(beginning(sentences[p], most), rules.latin)) for p in view.places]


def _texts(parted: DealtDocuments, name: str) -> tuple[str, ...]:
    inputs = parted.store.inputs
    assert isinstance(inputs, Mapping)
    column: Column = inputs[name]
    assert isinstance(column, Texts)
    return column.all()


def _of_long(documents: Sequence[str]) -> list[str]:
    lengths = [text.count("\n") + 1 for text in documents]
    several = sum(each > PLACES for each in lengths)
    told = []
    if several:
        told.append(
            f"{several:,} documents have more than {PLACES} sentences: the first ones and those "
            "most like the whole are looked at"
        )
    if max(lengths, default=0) > MOST_SENTENCES:
        told.append(f"of a document the first {MOST_SENTENCES:,} sentences are read")
    return told


def _measured(inputs: Tensor, columns: tuple[str, ...]) -> InputFormat:
    """The format: numbers are standardised over sentences, directions stay what they are."""
    there = inputs[:, :1] > 0
    count = there.sum().clamp(min=1)
    mean = (inputs * there).sum((0, 2)) / count
    deviation = ((inputs - mean[:, None]).square() * there).sum((0, 2)).div(count).sqrt()
    deviation = torch.where(deviation > 1e-4, deviation, 1.0)
    mean[:AS_THEY_ARE], deviation[:AS_THEY_ARE] = 0.0, 1.0
    return InputFormat(
        "sentence",
        (len(columns), PLACES),
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        columns=columns,
    )
