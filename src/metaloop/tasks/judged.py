"""`Judged`: what extracts of documents are judged by: words of sentences and of references.

Words are stems as numbers, so that nothing of the texts is needed, and workers have it as tensors.
An extract is scored against every reference; the mean counts, or the best one where a data set is
judged so. What was said of an extract once is remembered. Where no sentence is short enough, the
best one is cut, as `predict` does it.

Shapes: T tasks, N documents, S sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from metaloop.core.columns import Column, Ragged
from metaloop.core.extraction import absent
from metaloop.core.extracts import Length, chosen
from metaloop.core.metric import Objective, Scores
from metaloop.core.rouge import grams, rouge_l, rouge_n, shared
from metaloop.core.scales import ROUGE_1_ORACLE, ROUGE_2_ORACLE, ROUGE_L_ORACLE
from metaloop.tasks.episodes import Episodes

_MOST_TRIED = 40  # sentences among which the oracle looks, those worth most by themselves
_OF_ORACLE = {
    scale.name: metric
    for scale, metric in (
        (ROUGE_1_ORACLE, "rouge1"),
        (ROUGE_2_ORACLE, "rouge2"),
        (ROUGE_L_ORACLE, "rougeL"),
    )
}


@dataclass(frozen=True)
class JudgedDocument:
    """The stems of each sentence, its length in words, all words, and stems of the references.

    `cuts`: how many of its stems a sentence has that is cut to the length, 0 where nobody has said.
    """

    sentences: Sequence[Sequence[int]]
    words: Sequence[int]
    total: int
    references: Sequence[Sequence[int]]
    cuts: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class Judged:
    """Documents by rows of `tables`; an extract has this `length`. `best`: of the references."""

    tables: dict[str, Column]
    length: Length
    best: bool = False
    _known: dict[tuple[int, tuple[int, ...]], dict[str, float]] = field(
        default_factory=dict, repr=False
    )
    _best: dict[int, list[int]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(documents: Sequence[JudgedDocument], length: Length, best: bool = False) -> Judged:
        """Returns what judges extracts of these documents."""
        return Judged(
            {
                "stems": _ragged([[w for s in d.sentences for w in s] for d in documents]),
                "ends": _ragged([np.cumsum([len(s) for s in d.sentences]) for d in documents]),
                "words": _ragged([d.words for d in documents]),
                "cuts": _ragged([d.cuts or [0] * len(d.words) for d in documents]),
                "total": torch.tensor([d.total for d in documents], dtype=torch.int64),
                "wanted": _ragged([[w for r in d.references for w in r] for d in documents]),
                "wanted_ends": _ragged(
                    [np.cumsum([len(r) for r in d.references]) for d in documents]
                ),
            },
            length,
            best,
        )

    def document(self, row: int) -> JudgedDocument:
        """Returns the document of a row."""
        rows = {name: _row(column, row) for name, column in self.tables.items() if name != "total"}
        total = self.tables["total"]
        assert isinstance(total, Tensor)
        return JudgedDocument(
            _split(rows["stems"], rows["ends"]),
            rows["words"].tolist(),
            int(total[row]),
            _split(rows["wanted"], rows["wanted_ends"]),
            rows["cuts"].tolist(),
        )

    def worth(self, row: int, most: int) -> np.ndarray:
        """Returns what each sentence is worth, float64 `[most]`: the targets of a document."""
        document = self.document(row)
        sizes = [len(each) for each in document.references]
        found = np.full(most, absent(sum(sizes) / max(1, len(sizes))))
        for place, sentence in enumerate(document.sentences[:most]):
            found[place] = self._over([self._of_one(sentence, r) for r in document.references])
        return found

    def extract(self, row: int, scores: np.ndarray) -> list[int]:
        """Returns the sentences that these scores choose, the best one where none is short enough.

        That one is judged as it is cut.
        """
        document = self.document(row)
        words = np.array(document.words)
        scores = scores[: len(words)]
        found = chosen(scores, words, self.length, document.total)
        return found or [int(np.argmax(scores))] * bool(len(words))

    def rouge(self, row: int, extract: Sequence[int], metric: str) -> float:
        """Returns `rouge1`, `rouge2` or `rougeL` of these sentences of a document.

        A single one that is too long is cut.
        """
        known = self._known.setdefault((row, tuple(extract)), {})
        if metric not in known:
            document = self.document(row)
            summary = [word for place in extract for word in document.sentences[place]]
            if sum(document.words[place] for place in extract) > self._most_words(document):
                summary = summary[: document.cuts[extract[0]]]
            known[metric] = self._over([_ROUGE[metric](summary, r) for r in document.references])
        return known[metric]

    def oracle(self, row: int) -> list[int]:
        """Returns the sentences whose ROUGE-1 is best together, as far as greed finds them.

        Each one that adds most to it is taken as long as one does.
        """
        if row not in self._best:
            self._best[row] = self._found_best(row)
        return self._best[row]

    def scores(
        self, objective: Objective, outputs: Tensor, episodes: Episodes
    ) -> dict[str, Scores]:
        """Returns what each asked metric says: per task, per unit, and of every document."""
        rows_TN, mask_TN = episodes.query.examples, episodes.query.mask
        scores_TNS = outputs.double().cpu().numpy()
        told = {metric.name: np.full(rows_TN.shape, np.nan) for metric in objective.metrics}
        for task, n in np.argwhere(mask_TN):
            row = int(rows_TN[task, n])
            extract = self.extract(row, scores_TNS[task, n])
            for name, values_TN in told.items():
                values_TN[task, n] = self._told(name, row, extract)
        found: dict[str, Scores] = {}
        counts = torch.from_numpy(mask_TN).sum(1).clamp(min=1)
        for name, values_TN in told.items():
            of_queries = torch.from_numpy(values_TN)
            values = of_queries.nansum(1) / counts
            found[name] = (values, values.unsqueeze(1), of_queries)
        return found

    def _told(self, metric: str, row: int, extract: Sequence[int]) -> float:
        if metric in _OF_ORACLE:
            return self.rouge(row, self.oracle(row), _OF_ORACLE[metric])
        return self.rouge(row, extract, metric)

    def _most_words(self, document: JudgedDocument) -> float:
        return self.length.most_words(document.total) + 1e-9

    def _over(self, values: Sequence[float]) -> float:
        return max(values) if self.best else sum(values) / len(values)

    def _of_one(self, sentence: Sequence[int], reference: Sequence[int]) -> float:
        if self.length.unit == "sentences":
            return rouge_n(sentence, reference, 1)
        return shared(grams(sentence, 1), grams(reference, 1)) / max(1, len(sentence))

    def _found_best(self, row: int) -> list[int]:
        document = self.document(row)
        worth, words = self.worth(row, len(document.words)), np.array(document.words)
        left, most = self.length.most_words(document.total), self.length.most_sentences()
        tried = np.argsort(-worth, kind="stable")[:_MOST_TRIED].tolist()
        taken: list[int] = []
        best = 0.0
        while len(taken) < most:
            steps = [
                (self.rouge(row, sorted([*taken, place]), "rouge1"), -place)
                for place in tried
                if place not in taken and words[place] <= left
            ]
            if not steps or max(steps)[0] <= best:
                break
            best, place = max(steps)
            taken.append(-place)
            left -= words[-place]
        if taken or not tried or bool((words[tried] <= left).any()):
            return sorted(taken)
        return [max(tried, key=lambda place: self.rouge(row, [place], "rouge1"))]


_ROUGE = {
    "rouge1": lambda summary, reference: rouge_n(summary, reference, 1),
    "rouge2": lambda summary, reference: rouge_n(summary, reference, 2),
    "rougeL": rouge_l,
}


def _ragged(sequences: Sequence[Sequence[int] | np.ndarray]) -> Ragged:
    tensors = [torch.as_tensor(np.asarray(each, np.int64)) for each in sequences]
    return Ragged.of(tensors or [torch.empty(0, dtype=torch.int64)])


def _row(column: Column, row: int) -> np.ndarray:
    assert isinstance(column, Ragged)
    start = int(column.ends[row - 1]) if row else 0
    values: np.ndarray = column.values[start : int(column.ends[row])].numpy()
    return values


def _split(values: np.ndarray, ends: np.ndarray) -> list[list[int]]:
    starts = [0, *ends[:-1].tolist()] if len(ends) else []
    return [values[a:b].tolist() for a, b in zip(starts, ends.tolist(), strict=True)]
