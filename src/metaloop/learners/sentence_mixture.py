"""Sentence mixture: what was learned over domains, what the pairs alone say, and which of them.

    p_s = (1 - m) (x_s . w + v) + m (level + (x_s - x) . u)     what s is worth, as targets have it
    w = w0 + (X^T B X + P)^-1 X^T B (y - X w0),   v among w     around what was learned
    u = (Z^T C Z + Q)^-1 Z^T C z                                around nothing
    m = sigmoid((E(w) - E(u)) / (warmth var z))

X are the features of all sentences of the support, y what each is worth; Z and z are both less the
mean of their document; B weighs words alike, C documents. E sums squared errors of z over
documents, each asked of weights that were fitted to the others. So the pairs of a source that is
like those seen keep the learned prior w0, and those of another one leave it: u knows nothing of
other sources but that all features are weak (Q is `strength`), those less that plain methods go by,
which mean the same everywhere. w0 and P are learned over domains; Q and `warmth` are not, for two
sources that were seen tell nothing of how far a third one is: they were chosen by sources left out
in turn (LOG.md).

From what sentences are worth follows what an extract is, and sentences are taken by that
(`nets/expected_rouge.py`). Where targets are shares of words, n p^1.5 of n words are hits, for who
promises little has less; where they are the ROUGE-1 of a sentence alone, so many as make up that.
How long a summary is, is told by the support.

Models weighed by cross-validation: Wolpert 1992, Stacked generalization. Ridge around a learned
prior in closed form: Bertinetto et al. 2019, arXiv:1805.08136.

Shapes: N documents, S sentences, D features of a sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.extraction import ABSENT, EXTRACTION
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.metric import Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap, vmap_over_tasks
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import embed_episodes
from metaloop.nets.expected_rouge import Worth, by_expected_rouge, counted_twice
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.linear_worth import even_worth, precision_of, prior_of, rows_of, sharpness_of
from metaloop.nets.sentences import (
    Seen,
    feature_of,
    longer,
    places_of_plain,
    sentences_in,
)

_EASIER = 30.0  # what plain methods say may weigh so much more
_WARMTH = 0.2  # squared errors, of documents whose worth has a variance of one
_POWER = 1.5  # of shares
_LEAST_WORTH, _LEAST_VARIANCE = 0.01, 1e-4
_OF_ERRORS = 4.0  # how much errors of worth weigh beside the order of sentences


class _Fit(NamedTuple):
    """Weights `[K]`, and those that were fitted without each of the documents, `[N, K]`."""

    weights: Tensor
    without: Tensor


@final
@dataclass(frozen=True)
class SentenceMixture(NetLearner):
    """What sentences are worth, by a learned prior or by the support alone, as each foretells it.

    `strength`: the precision of the weights that are fitted to the support alone, in documents.
    `adapts` False keeps the prior, whatever the support.
    """

    net: FunctionalNet
    objective: Objective = EXTRACTION
    strength: float | int = 30.0
    adapts: bool = True

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@article{wolpert1992stacked,
  title = {Stacked Generalization},
  author = {Wolpert, David H.},
  journal = {Neural Networks},
  volume = {5},
  number = {2},
  pages = {241--259},
  year = {1992},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, a prior of even worth, and what a domain may differ by."""
        return self.net.init(rng) | even_worth(self.net.num_features)

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns `weights` `[D + 1]` around the prior, `alone` `[D + 1]` those around nothing.

        The last one of each is the level; `trust` `[1]` is the share of the latter, and `length`
        `[1]` by what factor summaries are longer than what is asked for.
        """
        prior = prior_of(meta_params)
        if not self.adapts:
            nothing, one = torch.zeros_like(prior), torch.ones_like(prior[:1])
            return {"weights": prior, "alone": nothing, "trust": 0 * one, "length": one}
        seen = sentences_in(features.features)
        there_NS = seen.there * features.mask.to(prior.dtype).unsqueeze(-1)
        even_NS = there_NS / there_NS.sum(-1, keepdim=True).clamp(min=1)
        worth_NS = features.targets.to(prior.dtype) * there_NS
        known = self._around_prior(meta_params, seen, worth_NS, there_NS)
        mean_N = (worth_NS * even_NS).sum(-1, keepdim=True)
        apart_NS = (worth_NS - mean_N) * there_NS
        precision = torch.full_like(prior[:-1], float(self.strength))
        precision[places_of_plain(self.net.input_format.columns)] = self.strength / _EASIER
        alone = _ridge(seen.features, apart_NS, even_NS, precision)
        better = _errors(seen, known.without[..., :-1], apart_NS, even_NS)
        better = better - _errors(seen, alone.without, apart_NS, even_NS)
        number = there_NS.amax(-1).sum()
        variance = (even_NS * apart_NS.square()).sum() / number.clamp(min=1)
        trust = torch.sigmoid(better / (_WARMTH * variance.clamp(min=_LEAST_VARIANCE)))
        level = (prior[-1:] + mean_N.sum(0)) / (1 + number)  # the learned one as one document
        return {
            "weights": known.weights,
            "alone": torch.cat([alone.weights, level]),
            "trust": trust.view(1),
            "length": longer(seen, features.targets, features.mask),
        }

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns a score of every sentence `[N, S]`: the order in which they are taken."""
        seen = sentences_in(features)
        known = rows_of(seen) @ task_state["weights"]
        alone = seen.features @ task_state["alone"][:-1] + task_state["alone"][-1]
        share = torch.lerp(known, alone, task_state["trust"]).clamp(_LEAST_WORTH, 1.0)
        summary = seen.wanted * task_state["length"]
        of_share = seen.size * share**_POWER
        of_alone = torch.minimum(share * (seen.size + summary) / 2, seen.size)
        hits = torch.where(seen.by_words > 0.5, of_share, of_alone) * seen.there
        both = counted_twice(seen.shared, hits)
        room = torch.where(seen.by_words > 0.5, seen.wanted, math.inf)
        words = self._words(seen)
        return by_expected_rouge(Worth(hits, both, seen.size, seen.there, words, room, summary))

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns errors of worth and of the order of sentences, by weights around the prior.

        What is fitted to the support alone learns nothing. `TypeError` on labelled examples.
        """
        if isinstance(batch, Examples):
            raise TypeError("sentence mixture is trained on episodes")
        support, query, buffers = embed_episodes(self.net, meta_params, batch)

        def one_task(
            features: Tensor, targets: Tensor, mask: Tensor, asked: Tensor, wanted: Tensor
        ) -> tuple[Tensor, Tensor]:
            shown, seen = sentences_in(features), sentences_in(asked)
            there_NS = shown.there * mask.to(shown.there.dtype).unsqueeze(-1)
            weights = prior_of(meta_params)
            if self.adapts:
                worth_NS = targets.to(there_NS.dtype) * there_NS
                weights = self._around_prior(meta_params, shown, worth_NS, there_NS).weights
            worth = rows_of(seen) @ weights
            weight = seen.there * (wanted > ABSENT / 2).to(worth.dtype) * seen.size
            error = (weight * (worth - wanted).square()).sum(-1) / weight.sum(-1).clamp(min=1)
            return sharpness_of(meta_params) * worth, error

        outputs, errors = vmap_over_tasks(
            one_task, support.inputs, support.targets, support.mask, query.inputs, query.targets
        )
        loss = self.objective.loss(outputs, query.targets, query.mask)
        error = torch.where(query.mask, errors, 0.0).sum() / query.mask.sum().clamp(min=1)
        return MetaLoss(loss + _OF_ERRORS * error, {}, buffers)

    def _around_prior(
        self, meta_params: MetaParams, seen: Seen, worth_NS: Tensor, there_NS: Tensor
    ) -> _Fit:
        """The weights `[D + 1]` of a domain around the learned prior."""
        prior, rows = prior_of(meta_params), rows_of(seen)
        weight = there_NS * seen.size
        weight = weight / weight.sum(-1, keepdim=True).clamp(min=1)
        moved = _ridge(rows, worth_NS - rows @ prior, weight, precision_of(meta_params))
        return _Fit(prior + moved.weights, prior + moved.without)

    def _words(self, seen: Seen) -> Tensor:
        """How many words each sentence has, `[N, S]`: what fits is counted in them."""
        fmt = self.net.input_format
        column = fmt.columns.index("words")
        told = seen.known[..., feature_of(column)] * fmt.deviation[column] + fmt.mean[column]
        return torch.expm1(told).round() * seen.there


def _ridge(rows_NSK: Tensor, wanted_NS: Tensor, weight_NS: Tensor, precision: Tensor) -> _Fit:
    """Weights of ridge regression on all documents, and on all but each one."""
    weighed = rows_NSK * weight_NS.unsqueeze(-1)
    systems = weighed.mT @ rows_NSK
    answers = (weighed.mT @ wanted_NS.unsqueeze(-1)).squeeze(-1)
    system, answer = systems.sum(0) + torch.diag_embed(precision), answers.sum(0)
    weights, _ = torch.linalg.solve_ex(system, answer)
    without, _ = torch.linalg.solve_ex(system - systems, (answer - answers).unsqueeze(-1))
    return _Fit(weights, without.squeeze(-1))


def _errors(seen: Seen, weights_ND: Tensor, apart_NS: Tensor, even_NS: Tensor) -> Tensor:
    """The squared errors of documents, less their means, by weights of their own; the sum."""
    found = (seen.features @ weights_ND.unsqueeze(-1)).squeeze(-1)
    return (even_NS * (apart_NS - found).square()).sum()
