"""Directions in which examples of one class differ most are damped, once training ends.

    g(x) = f(x) - B^T B f(x),   B = diag(sqrt(1 - s)) V,   s_i = (v_i / v)^-POWER,

with V the first principal directions of the differences between training examples and the means of
their classes, v_i the variances along them, v that of all others, both raised by a tenth of the
mean. It is a mild whitening within classes: what varies within the known ones says little about new
ones. Full whitening harms (LOG.md). A net that has no such buffer is left as it is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.learner import EmbeddingLearner, MetaParams
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.engine.evaluation import FeatureCache
from metaloop.nets.damped import DAMPING
from metaloop.nets.functional import FunctionalNet
from metaloop.tasks.family import ClassFamily

POWER = 0.125  # measured on 24 classes of photographs: 1/4 loses with one example of each class
_RAISED = 0.1  # of the mean variance
_EXAMPLES = 2048  # of the training part
_ITERATIONS = 4


@torch.no_grad()
def damped(learner: EmbeddingLearner, meta_params: MetaParams, family: ClassFamily) -> MetaParams:
    """Returns the meta-parameters with the net's damping set by the family's training examples."""
    names = [name for name in meta_params if name.endswith(f".{DAMPING}")]
    net = getattr(learner, "net", None)
    if len(names) != 1 or not isinstance(net, FunctionalNet) or net.is_users:
        return meta_params
    family, name = family.original, names[0]
    fresh = {**meta_params, name: torch.zeros_like(meta_params[name])}
    rows, labels = family.labelled("train")
    if len(rows) > _EXAMPLES:
        chosen = numpy_stream(0, "damping").choice(len(rows), _EXAMPLES, replace=False)
        rows, labels = rows[np.sort(chosen)], labels[np.sort(chosen)]
    cache = FeatureCache(learner, fresh)
    features = cache.features(family.store, rows, family.input_format)
    directions = functional.normalize(features - features.mean(0), dim=-1)
    targets = torch.from_numpy(labels).to(features.device)
    return {**meta_params, name: _damping(directions, targets, len(meta_params[name]))}


def _damping(features: Tensor, targets: Tensor, number: int) -> Tensor:
    """Returns B `[number, D]` of features `[N, D]` of classes; zeros where too few are known."""
    counts = torch.bincount(targets).clamp(min=1).to(features)
    sums = features.new_zeros(len(counts), features.shape[1]).index_add_(0, targets, features)
    several = counts[targets] > 1
    counted = counts[targets][several].unsqueeze(-1)
    means = (sums / counts.unsqueeze(-1))[targets][several]
    differences = (features[several] - means) * (counted / (counted - 1)).sqrt()
    damping = features.new_zeros(number, features.shape[1])
    known = min(number, len(differences), features.shape[1] - 1)
    if known < 1 or not bool(differences.isfinite().all()):  # training diverged: others say so
        return damping
    variances, vectors = _principal(differences, known)
    total = differences.square().sum() / len(differences)
    raised = _RAISED * total / features.shape[1]
    others = (total - variances.sum()).clamp(min=0) / (features.shape[1] - known)
    kept = ((variances + raised) / (others + raised).clamp(min=1e-12)) ** -POWER
    damping[:known] = (1 - kept.clamp(max=1)).sqrt().unsqueeze(-1) * vectors.T
    return damping


def _principal(rows: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Returns the largest variances `[K]` of rows `[N, D]`, and their directions `[D, K]`.

    By subspace iteration: of a thousand features, all directions would take a second.
    """
    start = torch.randn(rows.shape[1], number, generator=torch_stream(0, "damping"))
    basis = torch.linalg.qr(start.to(rows)).Q
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(rows.T @ (rows @ basis)).Q
    seen = rows @ basis
    variances, turned = torch.linalg.eigh(seen.T @ seen / len(rows))
    return variances.clamp(min=0), basis @ turned
