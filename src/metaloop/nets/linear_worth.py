"""A linear guess of what each sentence is worth, which a domain moves: what is learned of it.

    worth = w . [features, 1],   w = prior + what the support of a domain says,

with a precision for every weight: how little domains differ in it. Weights of features are learned
in units of 0.05, so that a step of training moves worth by as much as a step moves a net.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metaloop.core.learner import MetaParams
from metaloop.nets.sentences import Seen, width_of

_PRIOR, _LEVEL = "head.prior", "head.level"
_PRECISION, _SCALE = "head.log_precision", "head.log_scale"
_UNIT = 0.05  # of the prior: worth changes by so much where a feature changes by one


def even_worth(num_features: int) -> MetaParams:
    """Returns a prior by which all sentences are worth the same, and what a domain may differ by.

    `num_features` are those that a net of sentences gives (`nets/sentences.py`).
    """
    width = width_of(num_features)
    return {
        _PRIOR: torch.zeros(width),
        _LEVEL: torch.tensor(0.35),
        _PRECISION: torch.full((width + 1,), math.log(30.0)),
        _SCALE: torch.tensor(math.log(20.0)),
    }


def prior_of(meta_params: MetaParams) -> Tensor:
    """Returns the learned weights, the last of which is the level, `[D + 1]`."""
    return torch.cat([_UNIT * meta_params[_PRIOR], meta_params[_LEVEL].view(1)])


def precision_of(meta_params: MetaParams) -> Tensor:
    """Returns how little each weight differs between domains, `[D + 1]`."""
    return meta_params[_PRECISION].exp()


def sharpness_of(meta_params: MetaParams) -> Tensor:
    """Returns by what worth is multiplied where sentences compete in training."""
    return meta_params[_SCALE].exp()


def rows_of(seen: Seen) -> Tensor:
    """Returns features with a column of ones where a sentence is, `[N, S, D + 1]`."""
    return torch.cat([seen.known, seen.there.unsqueeze(-1)], -1)
