"""Sentence mixture: what was learned over domains, what the pairs alone say, and which of them.

    w = (1 - m) w0 + m w1,   w1 = (X^T B X + P)^-1 X^T B y
    m = sigmoid((E(w0) - E(w1 without the document)) / warmth)
    p_s = level + slope x_s . w                     what s is worth, as targets have it

X are the features of all sentences of the support, less the mean of their document, y what each is
worth, standardised within its document; B weighs documents alike; E sums the squared errors of y
over documents, each asked of weights that were fitted to the others. So the pairs of a source that
is like those seen keep the learned prior w0, and those of another one leave it: w1 knows nothing of
other sources but that all features are weak (`strength`), those less that plain methods go by,
which mean the same everywhere. Neither P nor `warmth` is learned: two sources that were seen tell
nothing of how far a third one is. They were chosen by sources that were left out in turn (LOG.md).

Level and slope are of the task, too, around learned ones. From what sentences are worth follows
what an extract is, and sentences are taken by that (`nets/expected_rouge.py`): n p^1.5 words of a
sentence of n are hits where targets are shares of words, for who promises little has less; where
they are the ROUGE-1 of a sentence alone, those that make up that. How long a summary is, is told by
the support.

Empirical Bayes with two components, weighted by cross-validation as stacking does: Wolpert 1992,
Stacked generalization; ridge in closed form: Bertinetto et al. 2019, arXiv:1805.08136.

Shapes: N documents, S sentences, D features of a sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.extraction import ABSENT, EXTRACTION, standing
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.metric import Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap, vmap_over_tasks
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import embed_episodes
from metaloop.nets.expected_rouge import Worth, by_expected_rouge, counted_twice
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.sentences import (
    Seen,
    feature_of,
    longer,
    places_of_plain,
    sentences_in,
    width_of,
)

_PRIOR, _SCALE = "head.prior", "head.log_scale"
_LEVEL, _SLOPE = "head.level", "head.log_slope"
_UNIT = 0.05  # of the prior: standings change by so much where a feature changes by one
_EASIER = 30.0  # what plain methods say may weigh so much more
_WARMTH = 0.2  # squared errors, of documents whose worth has a variance of one
_POWER = 1.5  # of shares
_LEAST_WORTH = 0.01
_OF_STANDINGS, _OF_WORTH = 0.5, 4.0  # how much errors weigh beside the order of sentences


@final
@dataclass(frozen=True)
class SentenceMixture(NetLearner):
    """Scores by a learned prior and by the support alone, each as far as it foretells the support.

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
        """Returns the net, a prior of nothing, and what sentences are usually worth."""
        width = width_of(self.net.num_features)
        return self.net.init(rng) | {
            _PRIOR: torch.zeros(width),
            _SCALE: torch.tensor(0.0),
            _LEVEL: torch.tensor(0.35),
            _SLOPE: torch.tensor(math.log(0.1)),
        }

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the `weights` `[D]` of a domain, its `level`, `slope` and `length`, each `[1]`.

        The last one is by what factor summaries are longer than what is asked for.
        """
        prior = _UNIT * meta_params[_PRIOR]
        level, slope = meta_params[_LEVEL].view(1), meta_params[_SLOPE].exp().view(1)
        if not self.adapts:
            one = torch.ones_like(level)
            return {"weights": prior, "level": level, "slope": slope, "length": one}
        seen = sentences_in(features.features)
        targets = features.targets.to(prior.dtype)
        there_NS = seen.there * features.mask.to(prior.dtype).unsqueeze(-1)
        share_NS = there_NS / there_NS.sum(-1, keepdim=True).clamp(min=1)
        weights = self._mixed(prior, seen.features, standing(targets) * there_NS, share_NS)
        level, slope = _told_worth(seen.features @ weights, targets, share_NS, level, slope)
        length = longer(seen, features.targets, features.mask)
        return {"weights": weights, "level": level, "slope": slope, "length": length}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns a score of every sentence `[N, S]`: the order in which they are taken."""
        seen = sentences_in(features)
        worth = task_state["level"] + task_state["slope"] * (seen.features @ task_state["weights"])
        share = worth.clamp(_LEAST_WORTH, 1.0)
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
        """Returns errors of the order of sentences, of standings and of worth.

        Raises `TypeError` on labelled examples.
        """
        if isinstance(batch, Examples):
            raise TypeError("sentence mixture is trained on episodes")
        support, query, buffers = embed_episodes(self.net, meta_params, batch)
        prior = _UNIT * meta_params[_PRIOR]

        def one_task(
            features: Tensor, targets: Tensor, mask: Tensor, asked: Tensor, wanted: Tensor
        ) -> tuple[Tensor, Tensor]:
            head = self.fit_head(meta_params, Examples(features, targets, mask, 0, support.padded))
            seen = sentences_in(asked)
            there = seen.there * (wanted > ABSENT / 2).to(seen.there.dtype)
            share = there / there.sum(-1, keepdim=True).clamp(min=1)
            scores = seen.features @ head["weights"]
            worth = (head["level"] + head["slope"] * scores - wanted).square()
            known = (standing(wanted) - seen.features @ prior).square()
            error = (share * (_OF_WORTH * worth + _OF_STANDINGS * known)).sum(-1)
            return meta_params[_SCALE].exp() * scores, error

        outputs, errors = vmap_over_tasks(
            one_task, support.inputs, support.targets, support.mask, query.inputs, query.targets
        )
        loss = self.objective.loss(outputs, query.targets, query.mask)
        error = torch.where(query.mask, errors, 0.0).sum() / query.mask.sum().clamp(min=1)
        return MetaLoss(loss + error, {}, buffers)

    def _mixed(
        self, prior: Tensor, features_NSD: Tensor, worth_NS: Tensor, share_NS: Tensor
    ) -> Tensor:
        """The weights `[D]`: the prior, and what the support alone says, by what they foretell."""
        weighed = features_NSD * share_NS.unsqueeze(-1)
        systems = weighed.mT @ features_NSD
        wanted = (weighed.mT @ worth_NS.unsqueeze(-1)).squeeze(-1)
        system, total = systems.sum(0) + torch.diag_embed(self._precision(prior)), wanted.sum(0)
        alone, _ = torch.linalg.solve_ex(system, total)
        others, _ = torch.linalg.solve_ex(system - systems, (total - wanted).unsqueeze(-1))
        by_prior = (worth_NS - features_NSD @ prior).square()
        by_others = (worth_NS - (features_NSD @ others).squeeze(-1)).square()
        better = (share_NS * (by_prior - by_others)).sum()
        return torch.lerp(prior, alone, torch.sigmoid(better / _WARMTH))

    def _precision(self, prior: Tensor) -> Tensor:
        precision = torch.full_like(prior, float(self.strength))
        precision[places_of_plain(self.net.input_format.columns)] = self.strength / _EASIER
        return precision

    def _words(self, seen: Seen) -> Tensor:
        """How many words each sentence has, `[N, S]`: what fits is counted in them."""
        fmt = self.net.input_format
        column = fmt.columns.index("words")
        told = seen.known[..., feature_of(column)] * fmt.deviation[column] + fmt.mean[column]
        return torch.expm1(told).round() * seen.there


def _told_worth(
    scores_NS: Tensor, targets: Tensor, share_NS: Tensor, level: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """How much sentences of a support are worth, and how that rises with their scores, `[1]` each.

    What was learned over domains counts as much as one document.
    """
    documents = (share_NS.sum(-1) > 0).to(level.dtype)
    mean_N = (share_NS * targets).sum(-1)
    number = documents.sum().clamp(min=1)
    of_scores = (share_NS * scores_NS.square()).sum().view(1)
    product = (share_NS * scores_NS * (targets - mean_N.unsqueeze(-1))).sum().view(1)
    one = of_scores / number + _LEAST_WORTH**2
    told = (level + (documents * mean_N).sum()) / (1 + documents.sum())
    return told, (slope * one + product) / (of_scores + one)
