"""Plain extracts, which learn nothing: the first sentences, the longest, the most central ones.

    lead       the order of the document; the baseline of newspapers, Brandow et al. 1995
    longest    the most words; that length tells was found by Kupiec et al. 1995, SIGIR
    centroid   the largest cosine with the sum of all sentences' tf-idf; Radev et al. 2004,
               Information Processing & Management 40(6)
    textrank   the largest weight of a random walk along cosines; Mihalcea and Tarau 2004, EMNLP

Each reads one column of a document (`domains/summaries/features.py`). They are what every learner
of summaries has to beat, and are always shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from metaloop.core.black_box import BlackBoxLearner, RealPredictor
from metaloop.core.errors import MetaloopError

_LEAD = """@article{brandow1995condensation,
  title = {Automatic condensation of electronic publications by sentence selection},
  author = {Brandow, Ronald and Mitze, Karl and Rau, Lisa F.},
  journal = {Information Processing \\& Management},
  volume = {31},
  number = {5},
  pages = {675--685},
  year = {1995},
}"""
_LONGEST = """@inproceedings{kupiec1995trainable,
  title = {A trainable document summarizer},
  author = {Kupiec, Julian and Pedersen, Jan and Chen, Francine},
  booktitle = {Proceedings of SIGIR},
  year = {1995},
}"""
_CENTROID = """@article{radev2004centroid,
  title = {Centroid-based summarization of multiple documents},
  author = {Radev, Dragomir R. and Jing, Hongyan and Sty{\\'s}, Ma{\\l}gorzata and Tam, Daniel},
  journal = {Information Processing \\& Management},
  volume = {40},
  number = {6},
  pages = {919--938},
  year = {2004},
}"""
_TEXTRANK = """@inproceedings{mihalcea2004textrank,
  title = {TextRank: Bringing Order into Text},
  author = {Mihalcea, Rada and Tarau, Paul},
  booktitle = {Proceedings of EMNLP},
  year = {2004},
}"""


@final
@dataclass(frozen=True)
class Lead(BlackBoxLearner):
    """Takes sentences from the beginning."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _LEAD
    flattens: ClassVar[bool] = False

    def make(self, seed: int) -> RealPredictor:
        """Returns what reads how early a sentence is; nothing in it is random."""
        return _Column(self, "early")


@final
@dataclass(frozen=True)
class Longest(BlackBoxLearner):
    """Takes the longest sentences."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _LONGEST
    flattens: ClassVar[bool] = False

    def make(self, seed: int) -> RealPredictor:
        """Returns what reads how long a sentence is; nothing in it is random."""
        return _Column(self, "words")


@final
@dataclass(frozen=True)
class Centroid(BlackBoxLearner):
    """Takes the sentences that are most like the whole document."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _CENTROID
    flattens: ClassVar[bool] = False

    def make(self, seed: int) -> RealPredictor:
        """Returns what reads the cosine with the document; nothing in it is random."""
        return _Column(self, "centroid")


@final
@dataclass(frozen=True)
class TextRank(BlackBoxLearner):
    """Takes the sentences that a walk among those alike visits most."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _TEXTRANK
    flattens: ClassVar[bool] = False

    def make(self, seed: int) -> RealPredictor:
        """Returns what reads TextRank; nothing in it is random."""
        return _Column(self, "textrank")


class _Column:
    """Reads one column of documents `[N, columns, S]`; `MetaloopError` for other inputs."""

    def __init__(self, learner: BlackBoxLearner, name: str) -> None:
        columns = () if learner.input_format is None else learner.input_format.columns
        if name not in columns:
            raise MetaloopError(
                f"{type(learner).__name__} needs sentences of documents; choose another learner "
                "for other inputs"
            )
        self.place = columns.index(name)

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> _Column:
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        scores: np.ndarray = inputs[:, self.place]
        return scores
