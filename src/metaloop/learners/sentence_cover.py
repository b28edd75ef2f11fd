"""Sentence cover: extracts that are likely to have many of a summary's words, each counted once.

    r_s = x_s . w         the share of the words of s that the summary has, w as in sentence ridge
    g_s(T) = n_s r_s^p (1 - c max_t in T o_st / o_ss)       what s adds to the sentences T
    F(T) = 2 g(T) / (n(T) + n_summary)                      the ROUGE-1 that T is expected to have

Sentences are taken by greed for F, and none once F would fall (`stops`). o_st is how many words of
a likely summary s and t share, n are words (`domains/summaries/kept.py`). n_summary is of the task:
the geometric mean of the lengths of the support's summaries and, as one more, of the length that is
asked for; of their shares of the document, where such a share is asked for. w is fitted to the
support in closed form around a prior, as in Bertinetto et al. 2019, arXiv:1805.08136; prior,
precisions and their scale are learned over domains. Greedy cover: Gillick and Favre 2009, A
scalable global model for summarization.

Shapes: N documents, S sentences, D features of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.extraction import ABSENT, EXTRACTION, told_size
from metaloop.core.extracts import NEVER
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.metric import Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap, vmap_over_tasks
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import embed_episodes
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.linear_worth import even_worth, precision_of, prior_of, rows_of, sharpness_of
from metaloop.nets.sentences import Seen, longer, sentences_in

_MOST = 24  # sentences that are taken in turn; the others follow by their own worth
_LEAST_SHARE = 0.01
_OF_ERRORS = 4.0  # how much errors of shares weigh beside the order of sentences
_FIRST = 1000.0  # the score of what is taken first


@final
@dataclass(frozen=True)
class SentenceCover(NetLearner):
    """Shares of words by a linear model that adapts in closed form, and extracts by greedy cover.

    `power` p: above 1 prefers sentences that are surely worth it. `cover` c: 0 does not mind
    repeats. `stops`: leaves room where nothing more is likely to help. `by_density`: sentences are
    taken by g / n, for words are scarce. `adapts` False keeps the prior, whatever the support.
    """

    net: FunctionalNet
    objective: Objective = EXTRACTION
    power: float = 1.5
    cover: float = 1.0
    stops: bool = True
    by_density: bool = False
    adapts: bool = True

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{gillick2009scalable,
  title = {A Scalable Global Model for Summarization},
  author = {Gillick, Dan and Favre, Benoit},
  booktitle = {Workshop on Integer Linear Programming for Natural Language Processing},
  year = {2009},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, a prior of even shares, and what a domain may differ by."""
        return self.net.init(rng) | even_worth(self.net.num_features)

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the weights `[D + 1]` of a domain, the last one is the level, and its `length`.

        That is by what factor summaries are longer than what is asked for, `[1]`.
        """
        prior = prior_of(meta_params)
        if not self.adapts:
            return {"weights": prior, "length": torch.ones_like(prior[:1])}
        seen = sentences_in(features.features)
        share_NS, weight_NS = _shares(seen, features.targets)
        weight_NS = weight_NS * features.mask.to(weight_NS.dtype).unsqueeze(-1)
        weight = (weight_NS / weight_NS.sum(-1, keepdim=True).clamp(min=1)).flatten()
        rows = rows_of(seen).flatten(0, 1)
        left = (share_NS.flatten() - rows @ prior) * weight
        system = rows.mT @ (rows * weight.unsqueeze(-1))
        system = system + torch.diag_embed(precision_of(meta_params))
        moved, _ = torch.linalg.solve_ex(system, (rows.mT @ left).unsqueeze(-1))
        length = longer(seen, features.targets, features.mask)
        return {"weights": prior + moved.squeeze(-1), "length": length}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns a score of every sentence `[N, S]`: the order in which they are taken."""
        seen = sentences_in(features)
        share = (rows_of(seen) @ task_state["weights"]).clamp(_LEAST_SHARE, 1.0)
        wanted = seen.wanted * task_state["length"]
        return self._by_greed(seen, share**self.power * seen.size * seen.there, wanted)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns errors of shares and of the order of sentences; `TypeError` on other batches."""
        if isinstance(batch, Examples):
            raise TypeError("sentence cover is trained on episodes")
        support, query, buffers = embed_episodes(self.net, meta_params, batch)

        def one_task(
            features: Tensor, targets: Tensor, mask: Tensor, asked: Tensor, wanted: Tensor
        ) -> tuple[Tensor, Tensor]:
            head = self.fit_head(meta_params, Examples(features, targets, mask, 0, support.padded))
            seen = sentences_in(asked)
            share = rows_of(seen) @ head["weights"]
            known, weight = _shares(seen, wanted)
            error = (weight * (share - known).square()).sum(-1) / weight.sum(-1).clamp(min=1)
            single = 2 * share * seen.size / (seen.size + seen.wanted * head["length"])
            worth = torch.where(seen.by_words > 0.5, share, single)
            return sharpness_of(meta_params) * worth, error

        outputs, errors = vmap_over_tasks(
            one_task, support.inputs, support.targets, support.mask, query.inputs, query.targets
        )
        loss = self.objective.loss(outputs, query.targets, query.mask)
        error = torch.where(query.mask, errors, 0.0).sum() / query.mask.sum().clamp(min=1)
        return MetaLoss(loss + _OF_ERRORS * error, {}, buffers)

    def _by_greed(self, seen: Seen, worth: Tensor, wanted: Tensor) -> Tensor:
        itself = torch.diagonal(seen.shared, dim1=-2, dim2=-1).clamp(min=1e-6)
        like = (seen.shared / itself.unsqueeze(-1)).clamp(0, 1)  # how much of s is in t
        size = seen.size.clamp(min=1)
        alone = worth / size if self.by_density else 2 * worth / (size + wanted)
        left_out = 1.0 - NEVER if self.stops else 0.0
        scores = torch.where(seen.there > 0, alone - left_out, 3 * NEVER)
        free, covered = seen.there, torch.zeros_like(worth)
        hits = words = best = torch.zeros_like(wanted)
        going = torch.ones_like(wanted)
        for turn in range(_MOST):
            adds = worth * (1 - self.cover * covered)
            value = 2 * (hits + adds) / (words + size + wanted)
            ranked = adds / size if self.by_density else value
            place = ranked.masked_fill(free <= 0, -1.0).argmax(-1, keepdim=True)
            taken = torch.zeros_like(worth).scatter(-1, place, 1.0) * free
            reached = (taken * value).sum(-1, keepdim=True)
            if self.stops:
                going = going * (reached > best).to(going.dtype)
            taken = taken * going
            scores = torch.where(taken > 0, _FIRST - turn, scores)
            hits = hits + (taken * adds).sum(-1, keepdim=True)
            words = words + (taken * size).sum(-1, keepdim=True)
            best = torch.maximum(best, reached * going)
            covered = torch.maximum(covered, (like * taken.unsqueeze(-2)).amax(-1))
            free = free * (1 - taken)
        return scores


def _shares(seen: Seen, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The share of each sentence's words that is in the summary, and how many words tell of it.

    Where sentences are scarce, targets are the ROUGE-1 of each alone, which is taken apart by the
    length of the summary, if it is told, else by that of a usual one.
    """
    there = seen.there * (targets > ABSENT / 2).to(seen.there.dtype)
    worth = targets.to(there.dtype) * there
    size = seen.size.clamp(min=1)
    told = told_size(targets).to(size.dtype).unsqueeze(-1)
    length = torch.where(told > 0, told, seen.wanted)
    alone = (worth * (size + length) / (2 * size)).clamp(max=1.0)
    return torch.where(seen.by_words > 0.5, worth, alone), there * seen.size
