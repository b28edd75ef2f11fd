"""Sentence ridge: what makes a sentence worth taking, by ridge regression around a learned prior.

    w = w0 + (X^T B X + P)^-1 X^T B (y - X w0)
    score(s) = scale (x_s . w) - repeat max_t before s (a_s . a_t)

X are the features of all sentences of the support, less the mean of their document, y what each is
worth, standardised within its document; B weighs documents alike. w0, scale and repeat are learned
over domains, trained through by the objective's loss on queries. P, how far a domain may be from
w0, is not: of two sources that were seen nothing tells how far a third one is. It is `strength` for
every feature, less for what plain methods say, which means the same everywhere: so five pairs
choose among these. With no support, w = w0: no adaptation.
A hierarchical Bayesian linear model with a learned prior, in closed form: Finn et al. 2018 and
Bertinetto et al. 2019, arXiv:1805.08136. Selection without repeats: Carbonell and Goldstein 1998.

Shapes: N documents, S sentences, D features of a sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.extraction import EXTRACTION, standing
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.metric import Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import episode_loss
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.sentences import places_of_plain, sentences_in, width_of, without_repeats

_PRIOR = "head.prior"
_SCALE, _REPEAT = "head.log_scale", "head.log_repeat"
_EASIER = 30.0  # what plain methods say may change by so much more (LOG.md)


@final
@dataclass(frozen=True)
class SentenceRidge(NetLearner):
    """A linear score of sentences, fitted in closed form around what is learned over domains.

    `strength`: how many documents the prior is worth, about. `adapts` False keeps w0, whatever the
    support: what adaptation is compared with.
    """

    net: FunctionalNet
    objective: Objective = EXTRACTION
    strength: float | int = 10.0
    adapts: bool = True

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{bertinetto2019meta,
  title = {Meta-learning with Differentiable Closed-form Solvers},
  author = {Bertinetto, Luca and Henriques, Jo{\\~a}o F. and Torr, Philip H. S. and
            Vedaldi, Andrea},
  booktitle = {International Conference on Learning Representations},
  year = {2019},
  eprint = {1805.08136},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, a prior of nothing, and how scores are scaled."""
        width = width_of(self.net.num_features)
        return self.net.init(rng) | {
            _PRIOR: torch.zeros(width),
            _SCALE: torch.tensor(0.0),
            _REPEAT: torch.tensor(math.log(0.3)),
        }

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the weights `[D]` of a domain."""
        prior = meta_params[_PRIOR]
        if not self.adapts:
            return {"weights": prior}
        seen = sentences_in(features.features)
        there_NS = seen.there * features.mask.to(seen.there.dtype).unsqueeze(-1)
        worth_NS = standing(features.targets.to(prior.dtype)) * there_NS
        share_NS = there_NS / there_NS.sum(-1, keepdim=True).clamp(min=1)
        rows, share = seen.features.flatten(0, 1), share_NS.flatten()
        left = (worth_NS.flatten() - rows @ prior) * share
        system = rows.mT @ (rows * share.unsqueeze(-1))
        system = system + torch.diag_embed(self._precision(prior))
        moved, _ = torch.linalg.solve_ex(system, (rows.mT @ left).unsqueeze(-1))
        return {"weights": prior + moved.squeeze(-1)}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns a score of every sentence `[N, S]`."""
        seen = sentences_in(features)
        scores = meta_params[_SCALE].exp() * (seen.features @ task_state["weights"])
        return without_repeats(scores, seen, meta_params[_REPEAT].exp())

    def _precision(self, prior: Tensor) -> Tensor:
        precision = torch.full_like(prior, float(self.strength))
        precision[places_of_plain(self.net.input_format.columns)] = self.strength / _EASIER
        return precision

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the episodic loss; raises `TypeError` on labelled examples."""
        if isinstance(batch, Examples):
            raise TypeError("sentence ridge is trained on episodes")
        return episode_loss(self, self.net, meta_params, batch, self.objective)
