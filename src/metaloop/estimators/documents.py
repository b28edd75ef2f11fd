"""Documents as inputs, sentence by sentence; summaries as what the sentences are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.views import encoder_of
from metaloop.core.errors import InputError
from metaloop.core.extraction import PLACES
from metaloop.core.extracts import Length, Unit, chosen, most_when_cut
from metaloop.core.fitted_view import FittedView
from metaloop.domains.summaries.stems import stems
from metaloop.domains.summaries.view import (
    ENCODED,
    Rules,
    SeenDocument,
    read_lines,
    seen_documents,
)
from metaloop.estimators.one_column import SHOWN, one_column
from metaloop.tasks.judged import Judged, JudgedDocument
from metaloop.tasks.readers.sentences import (
    as_document,
    beginning,
    lines_of,
    number_of_words,
    of_given,
    sentences_or_turns,
)

_EXPECTED = "expected a list of documents: texts, or lists of sentences or of turns"


@dataclass(frozen=True)
class Extract:
    """A summary and the sentences that it consists of, by their places in the document.

    `scores` are those of the sentences. `cut`: no sentence was short enough, so that one had to be
    cut; `whole`: all sentences are in it. `words` and `of_words`: how many it and the document has.
    """

    summary: str
    sentences: tuple[str, ...]
    places: tuple[int, ...]
    scores: tuple[float, ...]
    words: int
    of_words: int
    cut: bool = False
    whole: bool = False


@dataclass(frozen=True, eq=False)
class DocumentRows:
    """Documents by their sentences, and as a model sees them; a slice is `[n, columns, places]`."""

    sentences: tuple[list[str], ...]
    seen: tuple[SeenDocument, ...]

    def __len__(self) -> int:
        return len(self.seen)

    def __getitem__(self, rows: slice) -> Tensor:
        return torch.from_numpy(np.stack([each.inputs for each in self.seen[rows]]))


@dataclass(frozen=True, eq=False)
class Worth:
    """What summaries say of the sentences of documents, whatever length is asked for.

    `by_words` and `by_sentences`, float64 `[N, places]`: the targets where words, or a share of
    them, and where sentences are asked for. `total`, int64 `[N]`: the words of each document.
    """

    by_words: Tensor
    by_sentences: Tensor
    total: Tensor

    def targets(self, length: Length) -> Tensor:
        """Returns the targets `[N, places]` where this length is asked for."""
        return self.by_sentences if length.unit == "sentences" else self.by_words


def joined_worth(parts: Sequence[Worth]) -> Worth:
    """Returns what is said of documents one part behind the other."""
    return Worth(
        torch.cat([each.by_words for each in parts]),
        torch.cat([each.by_sentences for each in parts]),
        torch.cat([each.total for each in parts]),
    )


def read_documents(X: Any, view: FittedView) -> DocumentRows:
    """Returns `X`, a sequence of texts or of lists of sentences, as a model sees them.

    Raises `InputError` for anything else, and for a document without a word.
    """
    values = one_column(X, "document", _EXPECTED)
    sentences = [_sentences(row, value) for row, value in enumerate(values)]
    vectors = None
    if view.choice.name == ENCODED:
        read = tuple(line for lines in sentences for line in read_lines(lines))
        vectors = encoder_of(view).encode(read).numpy()
    seen = seen_documents(sentences, view.assets, vectors=vectors)
    return DocumentRows(tuple(sentences), tuple(seen))


def worth_of(y: Any, rows: DocumentRows, view: FittedView) -> Worth:
    """Returns what summaries say of each sentence of documents.

    A summary is a text, or a list of several. Raises `InputError` for anything else.
    """
    if y is None or isinstance(y, str):
        raise InputError("y is a list of summaries, one for each document, or of lists of them")
    rules = Rules.of(view.assets)
    answers = list(y)
    if len(answers) != len(rows):
        raise InputError(f"X has {len(rows)} documents but y has {len(answers)} summaries")
    documents = []
    for row, (answer, seen) in enumerate(zip(answers, rows.seen, strict=True)):
        several = [answer] if isinstance(answer, str) else answer
        texts = isinstance(several, Sequence) and all(isinstance(each, str) for each in several)
        references = [stems(each, rules.latin) for each in several] if texts else []
        if not any(references):
            raise InputError(f"y[{row}] has no word: {str(answer)[:SHOWN]!r}; give a summary")
        lines = rows.sentences[row]
        documents.append(
            JudgedDocument(
                [stems(lines[place], rules.latin) for place in seen.places],
                seen.words.tolist(),
                seen.total,
                [each for each in references if each],
            )
        )
    total = torch.tensor([seen.total for seen in rows.seen], dtype=torch.int64)
    return Worth(
        _targets(documents, "words", rules), _targets(documents, "sentences", rules), total
    )


def _targets(documents: Sequence[JudgedDocument], unit: Unit, rules: Rules) -> Tensor:
    """What sentences are worth `[N, places]`, where such a length is asked for."""
    judged = Judged.of(documents, Length(unit, 1), rules.best)
    return torch.from_numpy(np.stack([judged.worth(row, PLACES) for row in range(len(documents))]))


def extracts(outputs: Tensor, rows: DocumentRows, length: Length) -> list[Extract]:
    """Returns the extract of each document by the scores `[n, places]` of its sentences."""
    told = zip(outputs.numpy(), rows.sentences, rows.seen, strict=True)
    return [_extract(scores, lines, seen, length) for scores, lines, seen in told]


def length_of(view: FittedView) -> Length:
    """Returns the length of extracts that a model was trained for."""
    return Rules.of(view.assets).length


def _extract(
    scores: np.ndarray, lines: Sequence[str], seen: SeenDocument, length: Length
) -> Extract:
    scores = scores[: len(seen.places)]
    taken = chosen(scores, seen.words, length, seen.total)
    places = [int(seen.places[place]) for place in taken]
    of_scores = tuple(float(scores[place]) for place in taken)
    sentences = tuple(lines[place] for place in places)
    if taken:
        words, whole = int(seen.words[taken].sum()), len(places) == len(lines)
        summary = " ".join(sentences)
        return Extract(summary, sentences, tuple(places), of_scores, words, seen.total, whole=whole)
    best = int(np.argmax(scores))
    short = beginning(lines[int(seen.places[best])], most_when_cut(length, seen.total))
    return Extract(
        short,
        (short,),
        (int(seen.places[best]),),
        (float(scores[best]),),
        number_of_words(short),
        seen.total,
        cut=True,
    )


def _sentences(row: int, value: Any) -> list[str]:
    found: list[str] | None
    if isinstance(value, str):
        found = lines_of(as_document(value))
    else:
        given = sentences_or_turns(value) if isinstance(value, Sequence) else None
        found = None if given is None else lines_of(of_given(given))
    if found is None:
        raise InputError(
            f"the model takes documents: X[{row}] is a {type(value).__name__} "
            f"({value!r:.{SHOWN}}); {_EXPECTED}"
        )
    if not found:
        raise InputError(f"X[{row}] is empty; a document has a word at least")
    return found
