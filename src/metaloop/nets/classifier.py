"""The whole-class classifier: one cosine head over all training classes, on top of a net.

Heads that work on frozen features (nearest centroid, logistic regression, fine-tuning) share a net
trained so. logits[n, k] = scale * cos(f(x_n), w_k), the scale learned in log space.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.metrics import accuracy
from metaloop.core.objective import CLASSIFICATION
from metaloop.nets.functional import FunctionalNet

WEIGHT, _LOG_SCALE = "classifier.weight", "classifier.log_scale"
_INITIAL_SCALE = 10.0


def init_classifier(num_features: int, num_classes: int, rng: torch.Generator) -> MetaParams:
    """Returns the head's tensors: weights `[classes, features]` and the logarithm of the scale."""
    weight = torch.randn(num_classes, num_features, generator=rng) / math.sqrt(num_features)
    return {WEIGHT: weight, _LOG_SCALE: torch.tensor(math.log(_INITIAL_SCALE))}


def class_logits(meta_params: MetaParams, features: Tensor) -> Tensor:
    """Returns logits `[N, classes]` of features `[N, D]`."""
    weight = functional.normalize(meta_params[WEIGHT], dim=-1)
    return meta_params[_LOG_SCALE].exp() * functional.normalize(features, dim=-1) @ weight.T


def class_means(features: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Returns the mean direction of the features `[N, D]` of every class, `[classes, D]`.

    A classifier that begins there is right about good features at once, and does not push them
    away from what they were.
    """
    directions = functional.normalize(features, dim=-1)
    sums = directions.new_zeros(num_classes, directions.shape[1]).index_add_(0, targets, directions)
    return functional.normalize(sums, dim=-1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whole_class_loss(
    net: FunctionalNet, meta_params: MetaParams, batch: Examples | EpisodeBatch
) -> MetaLoss:
    """Returns the cross-entropy over all training classes; raises `TypeError` on episodes."""
    if not isinstance(batch, Examples):
        raise TypeError("a whole-class classifier is trained on labelled examples, got episodes")
    features, buffers = net(meta_params, batch.inputs, "batch")
    logits = class_logits(meta_params, features)
    loss = CLASSIFICATION.loss(logits, batch.targets, batch.mask)
    if batch.smoothing:  # the mean over all classes has its share (Szegedy et al. 2016)
        every = -torch.log_softmax(logits, dim=-1).mean(-1)
        loss = (1 - batch.smoothing) * loss + batch.smoothing * _masked_mean(every, batch.mask)
    right = accuracy(logits.detach(), batch.targets, batch.mask)
    return MetaLoss(loss, {"class accuracy": right}, buffers)
