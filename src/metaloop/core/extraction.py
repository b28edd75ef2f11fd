"""The objective of extracts: which sentences of a document make its summary, told by ROUGE.

A target is what every sentence of a document is worth by itself, from 0 to 1: the ROUGE-1 of the
sentence as the summary where a number of sentences is asked for, the share of its words that the
reference has where words are counted (`tasks/judged.py`). Behind the last sentence it is `ABSENT`,
less what tells how long the summaries are (`absent`, `told_size`). An output is a score of every
sentence; the higher, the earlier it is taken.

    loss = - sum_s p_s log q_s,   p = softmax(target / temperature),   q = softmax(output)

the mean over documents (Cao et al. 2007, Learning to rank: from pairwise approach to listwise
approach). Whole summaries are judged by ROUGE of what is taken, which needs more than tensors and
comes from the family; so does the best that sentences could reach, the oracle.

Shapes: T tasks, N documents, S sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core import scales
from metaloop.core.metric import Metric, Objective
from metaloop.core.scales import Scale

PLACES = 64  # sentences of a document that are looked at; longer ones have the best guesses
ABSENT = -1.0  # the target where there is no sentence, or less
_SIZES = 1000.0  # words by which a target is less than that, for each that a summary has
_TEMPERATURE = 0.1  # of targets: differences between sentences are of this size
_FAR = -1e4
_LEAST_SPREAD = 0.03  # of what sentences of a document are worth


def absent(size: float) -> float:
    """Returns the target where there is no sentence, of a document whose summary has `size` words.

    Several summaries count by their mean; 0 tells nothing.
    """
    return ABSENT - size / _SIZES


def told_size(targets: Tensor) -> Tensor:
    """Returns `[...]`: how many words summaries have, by targets `[..., S]`; 0 where nobody tells.

    A document of as many sentences as there are places tells nothing.
    """
    return (_SIZES * (ABSENT - targets.amin(-1))).clamp(min=0.0)


def extraction_loss(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean cross-entropy of documents, also of one task."""
    targets = targets.to(outputs.dtype)
    there = targets > ABSENT / 2
    wanted = torch.softmax((targets / _TEMPERATURE).masked_fill(~there, _FAR), -1)
    found = torch.log_softmax(outputs.masked_fill(~there, _FAR), -1)
    of_documents = -(wanted * found.masked_fill(~there, 0.0)).sum(-1)
    return torch.where(mask, of_documents, 0.0).sum() / mask.sum().clamp(min=1)


def standing(targets: Tensor) -> Tensor:
    """Returns targets `[..., S]` standardised within each document; 0 where there is none."""
    there = (targets > ABSENT / 2).to(targets.dtype)
    count = there.sum(-1, keepdim=True).clamp(min=1)
    centred = (targets - (targets * there).sum(-1, keepdim=True) / count) * there
    spread = (centred.square().sum(-1, keepdim=True) / count).sqrt()
    return centred / (spread + _LEAST_SPREAD)


def _without_looking(targets: Tensor, mask: Tensor, ways: int) -> float:
    """Perfect less what there is to gain: the best sentence over any sentence of its document."""
    there = (targets > ABSENT / 2) & mask.unsqueeze(-1)
    worth = torch.where(there, targets, 0.0).double()
    mean = worth.sum(-1) / there.sum(-1).clamp(min=1)
    gain = (worth.amax(-1) - mean)[there.any(-1)]
    return 1.0 - float(gain.mean()) if len(gain) else 0.0


def _nothing(targets: Tensor, mask: Tensor, ways: int) -> float:
    return 0.0


def _by_family(scale: Scale) -> Metric:
    return Metric(scale, None, None, _nothing)


EXTRACTION = Objective(
    name="extraction",
    target_kind="real",
    loss=extraction_loss,
    metrics=(
        Metric(scales.ROUGE_1, None, None, _without_looking),
        _by_family(scales.ROUGE_2),
        _by_family(scales.ROUGE_L),
        _by_family(scales.ROUGE_1_ORACLE),
        _by_family(scales.ROUGE_2_ORACLE),
        _by_family(scales.ROUGE_L_ORACLE),
    ),
)
