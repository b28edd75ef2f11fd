"""Spectral: what a user has had, added up in factors of items, against every item.

    r(i) = v_i.u n_i^0.1,   u = sum_k v_k n_k^-0.3 / sqrt(N)

k are the N items that the user has had; v_i, an item's factors, and n_i, the number of its users,
are columns of its inputs (`factor_0`, ..., `log_count`), made by `domains/ratings/events.py` of
what training users had. Nothing is trained: a low-rank filter of the graph of users and items, as
Shen et al. 2021, arXiv:2108.07567, have with other powers; these were chosen on anime titles
(benchmarks/events.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from metaloop.core.black_box import BlackBoxLearner, RealPredictor
from metaloop.core.errors import MetaloopError

ASKED, HAD = 0.1, -0.3  # powers of the count of an item that is asked about, that was had
COUNT_SCALE = 1 / 3  # of `log_count`


@final
@dataclass(frozen=True)
class Spectral(BlackBoxLearner):
    """Scores items by their factors' product with those of what a user has had."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{shen2021powerful,
  title = {How Powerful is Graph Convolution for Recommendation?},
  author = {Shen, Yifei and Wu, Yongji and Zhang, Yao and Shan, Caihua and Zhang, Jun and
            Letaief, Khaled B. and Li, Dongsheng},
  booktitle = {Conference on Information and Knowledge Management},
  year = {2021},
  eprint = {2108.07567},
}"""

    def make(self, seed: int) -> RealPredictor:
        """Returns what adds up; nothing in it is random. `MetaloopError` without factors."""
        columns = () if self.input_format is None else self.input_format.columns
        factors = [place for place, name in enumerate(columns) if name.startswith("factor_")]
        if not factors or "log_count" not in columns:
            raise MetaloopError(
                "Spectral needs items with factors and counts, as ratings have them; choose "
                "another learner for other inputs"
            )
        return _AddedUp(columns.index("log_count"), factors)


class _AddedUp:
    def __init__(self, count: int, factors: list[int]) -> None:
        self.count, self.factors = count, factors

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> _AddedUp:
        self.had = self._weighted(inputs, HAD) / math.sqrt(len(inputs))
        self.user = self.had.sum(0)
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._weighted(inputs, ASKED) @ self.user
        return found[:, None]

    def contributions(self, inputs: np.ndarray) -> np.ndarray:
        """Returns `[N, support]`, which add up to the scores."""
        found: np.ndarray = self._weighted(inputs, ASKED) @ self.had.T
        return found

    def _weighted(self, inputs: np.ndarray, power: float) -> np.ndarray:
        inputs = inputs.astype(np.float64)
        gains = np.exp(inputs[:, [self.count]] * power / COUNT_SCALE)
        found: np.ndarray = inputs[:, self.factors] * gains
        return found
