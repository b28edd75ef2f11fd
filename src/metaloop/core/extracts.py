"""Extracts: how long a summary may be, and which whole sentences of a document fit into that.

A budget is so many words (as people count them: what stands between spaces), so many sentences, or
a share of the document's words. Sentences are taken in the order of their scores, each that still
fits, and stand in the order of the document.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metaloop.core.errors import MetaloopError, unknown_name

Unit = Literal["words", "sentences", "ratio"]
UNITS: tuple[Unit, ...] = ("words", "sentences", "ratio")
REFERENCES = ("mean", "best")  # how several references of a document count
NEVER = -1e5  # a score of what is left out even if there is room, unless nothing else is taken
_MOST = 1_000_000


@dataclass(frozen=True)
class Length:
    """At most `amount` words or sentences, or that share (`ratio`) of a document's words.

    Raises `MetaloopError` for less than one, for parts of one, and for a ratio beyond 1.
    """

    unit: Unit
    amount: float | int

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise MetaloopError(f"a length is in {', '.join(UNITS)}; got {self.unit!r}")
        if self.unit == "ratio":
            if not 0 < self.amount <= 1:
                raise MetaloopError(
                    f"--ratio is a share of the document's words, above 0 and at most 1; got "
                    f"{self.amount:g}"
                )
        elif not (1 <= self.amount <= _MOST and float(self.amount).is_integer()):
            raise MetaloopError(
                f"--{self.unit} is a whole number from 1 to {_MOST:,}; got {self.amount:g}"
            )

    def __str__(self) -> str:
        if self.unit == "ratio":
            return f"{100 * self.amount:g} % of the words"
        unit = self.unit if self.amount != 1 else self.unit[:-1]
        return f"{self.amount:g} {unit}"

    def most_words(self, total: int) -> float | int:
        """Returns how many words an extract of a document of so many may have."""
        if self.unit == "words":
            return self.amount
        return math.inf if self.unit == "sentences" else self.amount * total

    def most_sentences(self) -> float | int:
        """Returns how many sentences an extract may have."""
        return self.amount if self.unit == "sentences" else math.inf


def chosen(
    scores: np.ndarray, words: np.ndarray, length: Length, total: int | None = None
) -> list[int]:
    """Returns the sentences that are taken, in the order of the document.

    `scores`, `words` `[S]`: of each sentence; `total`: the words of the document, where these are
    not all of its sentences. Equal scores stay in the document's order. Empty where not even the
    shortest sentence fits, or where there is none.
    """
    left = length.most_words(int(np.sum(words)) if total is None else total)
    most = length.most_sentences()
    taken: list[int] = []
    for place in np.argsort(-np.asarray(scores), kind="stable"):
        if len(taken) >= most or (taken and scores[place] <= NEVER):
            break
        if 0 < words[place] <= left + 1e-9:
            taken.append(int(place))
            left -= words[place]
    return sorted(taken)


def most_when_cut(length: Length, total: int) -> float | int:
    """Returns how many words of a sentence are left where none is short enough: one at least."""
    most = length.most_words(total)
    return most if most == math.inf else max(1, int(most))


def asked_length(
    words: int | None, sentences: int | None, ratio: float | int | None
) -> Length | None:
    """Returns the length that was asked for, None for none; raises `MetaloopError` for several."""
    amounts: dict[Unit, float | int | None]
    amounts = {"words": words, "sentences": sentences, "ratio": ratio}
    given = {unit: amount for unit, amount in amounts.items() if amount is not None}
    if len(given) > 1:
        named = " and ".join(f"--{unit}" for unit in given)
        raise MetaloopError(f"an extract has one length, got {named}; give one of them")
    return next((Length(unit, amount) for unit, amount in given.items()), None)


def asked_best(references: str | None) -> bool | None:
    """Returns whether the best of several references counts; None where nobody has said."""
    if references not in (None, *REFERENCES):
        raise unknown_name("way to judge by several summaries", str(references), REFERENCES)
    return None if references is None else references == "best"
