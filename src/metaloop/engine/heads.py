"""Heads on frozen features of one data set: logits are linear in features that are made alike.

    logits = weight . u(x) + bias,   u(x) = (x - center) / |x - center|

`center` is the mean of what is learned from. The kinds of heads differ in weight and bias alone:

- `centroid`: the mean of each class, logits -|u(x) - mean|^2 / 2, sharpened by one number;
- `regression`: multinomial logistic regression with inverse strength C of its L2 penalty.

What is tuned (C, the sharpness) is tuned by cross-validation, each example judged by a head that
has not seen it. Shrunk linear discriminant analysis was tried, too, and was not better (LOG.md).
Rocchio 1971; Cox 1958.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from metaloop.core.randomness import numpy_stream

CENTER, WEIGHT, BIAS = "center", "weight", "bias"
FOLDS = 5
_MOST_TUNED_ON = 4000  # examples: beyond, a strength is as good as its neighbours
_ITERATIONS, _TOLERANCE = 100, 1e-3
_TINY = 1e-12
_WEAK = {
    "regression": 0.15,
    "centroid": 0.0,
}  # standard errors for e times a weaker penalty: LOG.md
_IMPOSSIBLE = -1e4  # a logit that is never the largest, and finite

# kind -> the name of what is tuned, and the values that are tried
TUNED: Mapping[str, tuple[str, tuple[float, ...]]] = MappingProxyType(
    {
        "centroid": ("sharpness", (5.0, 10.0, 20.0, 40.0)),
        "regression": ("inverse_strength", (1.0, 4.0, 16.0, 64.0, 256.0)),
    }
)


@dataclass(frozen=True, eq=False)
class Judged:
    """A kind of head with its tuned value, as examples saw it that it had not learned from.

    `shares [N, classes]`: what each judged example was given, float64; others have equal shares.
    """

    kind: str
    value: float
    shares: np.ndarray

    def place(self, targets: np.ndarray, judged: np.ndarray) -> tuple[float, float]:
        """Returns what is better where it is larger: the share told right, then likelihood.

        Of strengths that noise cannot tell apart a strong one is believed to be better.
        """
        right = self.right(targets)[judged]
        weak = _WEAK[self.kind] * math.log(self.value) * standard_error(right)
        return float(right.mean()) - weak, self.log_likelihood(targets, judged)

    def right(self, targets: np.ndarray) -> np.ndarray:
        """Returns which examples were told right, float64 `[N]`."""
        return np.asarray(self.shares.argmax(1) == targets, np.float64)

    def log_likelihood(self, targets: np.ndarray, judged: np.ndarray) -> float:
        """Returns the mean log-probability of the truth of the `judged` ones."""
        chosen = self.shares[np.arange(len(targets)), targets][judged]
        return float(np.log(np.maximum(chosen, _TINY)).mean())


def standard_error(right: np.ndarray) -> float:
    """Returns by how much a share of so many right answers is uncertain; never 0."""
    share = (float(right.sum()) + 1) / (len(right) + 2)
    return float(np.sqrt(share * (1 - share) / max(1, len(right))))


def head_logits(tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Returns logits `[N, classes]`, float64, of features `[N, D]`."""
    unit = _unit(features.double(), tensors[CENTER].double())
    return unit @ tensors[WEIGHT].double().T + tensors[BIAS].double()


def fit_head(
    features: Tensor, targets: Tensor, classes: int, kind: str, value: float
) -> dict[str, Tensor]:
    """Returns the tensors of a head of that kind: `center [D]`, `weight [classes, D]`, `bias`.

    `value` is what is tuned. A class without examples is never named.
    """
    center = features.double().mean(0)
    unit = _unit(features.double(), center)
    basis = _basis(unit)
    inner = unit if basis is None else unit @ basis
    weight, bias = _FITS[kind](inner.numpy(), targets.numpy(), classes, value)
    whole = torch.from_numpy(weight)
    whole = whole if basis is None else whole @ basis.T
    found = {CENTER: center, WEIGHT: whole, BIAS: torch.from_numpy(bias)}
    return {name: tensor.float().contiguous() for name, tensor in found.items()}


def cross_validated(
    features: Tensor,
    targets: Tensor,
    classes: int,
    kinds: Sequence[str],
    folds: np.ndarray,
    seed: int,
) -> list[Judged]:
    """Returns each kind with the value that told most right; of equal ones, the likelier truth.

    `folds [N]`: the fold in which an example is judged by a head that learned from all others; -1
    where it is only learned from. Of many examples some thousand are learned from while tuning.
    """
    features = _spanned(features.double())
    only = np.flatnonzero(folds < 0)
    spared = numpy_stream(seed, "tuned on").permutation(only)[_MOST_TUNED_ON:]
    tuned_on = torch.from_numpy(np.setdiff1d(np.arange(len(folds)), spared))
    few, few_targets, few_folds = features[tuned_on], targets[tuned_on], folds[tuned_on.numpy()]
    found = []
    for kind in kinds:
        tried = [
            Judged(kind, value, _shares(few, few_targets, classes, few_folds, kind, value))
            for value in TUNED[kind][1]
        ]
        truth, judged = few_targets.numpy(), few_folds >= 0
        best = max(tried, key=lambda each: each.place(truth, judged))
        shares = best.shares
        if len(spared):
            shares = _shares(features, targets, classes, folds, kind, best.value)
        found.append(Judged(kind, best.value, shares))
    return found


def folds_of(targets: np.ndarray, seed: int) -> np.ndarray:
    """Returns the fold of each example, 0 to 4: those of a class are spread over all of them."""
    folds = np.zeros(len(targets), np.int64)
    shift = 0
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        rows = numpy_stream(seed, "folds", int(target)).permutation(rows)
        folds[rows] = (np.arange(len(rows)) + shift) % FOLDS
        shift += len(rows)
    return folds


def _shares(
    features: Tensor, targets: Tensor, classes: int, folds: np.ndarray, kind: str, value: float
) -> np.ndarray:
    shares = np.full((len(targets), classes), 1 / classes)
    for fold in np.unique(folds[folds >= 0]):
        out = torch.from_numpy(folds == fold)
        if not bool((~out).any()):
            continue
        head = fit_head(features[~out], targets[~out], classes, kind, value)
        shares[out.numpy()] = head_logits(head, features[out]).softmax(1).numpy()
    return shares


def _basis(features: Tensor) -> Tensor | None:
    """The few dimensions `[D, N]` that a few examples span, where that saves much; else None."""
    if 2 * len(features) > features.shape[1]:
        return None
    basis: Tensor = torch.linalg.qr(features.T)[0]
    return basis


def _spanned(features: Tensor) -> Tensor:
    """A few examples in coordinates of the space that they span: all inner products stay."""
    basis = _basis(features)
    return features if basis is None else features @ basis


def _unit(features: Tensor, center: Tensor) -> Tensor:
    centred = features - center
    unit: Tensor = centred / torch.linalg.vector_norm(centred, dim=1, keepdim=True).clamp(min=1e-9)
    return unit


def _means(inner: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each class, and minus infinity as the bias of those without examples."""
    counts = np.bincount(targets, minlength=classes)
    means = np.zeros((classes, inner.shape[1]))
    np.add.at(means, targets, inner)
    means /= np.maximum(counts, 1)[:, None]
    return means, np.where(counts > 0, 0.0, _IMPOSSIBLE)


def _centroid(
    inner: np.ndarray, targets: np.ndarray, classes: int, sharpness: float
) -> tuple[np.ndarray, np.ndarray]:
    means, absent = _means(inner, targets, classes)
    return sharpness * means, -sharpness / 2 * (means**2).sum(1) + absent


def _regression(
    inner: np.ndarray, targets: np.ndarray, classes: int, inverse_strength: float
) -> tuple[np.ndarray, np.ndarray]:
    present = np.unique(targets)
    weight, bias = np.zeros((classes, inner.shape[1])), np.full(classes, _IMPOSSIBLE)
    if len(present) < 2:
        bias[present] = 0.0
        return weight, bias
    model = LogisticRegression(C=inverse_strength, max_iter=_ITERATIONS, tol=_TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a longer search changes no answer
        model.fit(inner, targets)
    coefficients, intercept = model.coef_, model.intercept_
    if len(present) == 2:  # scikit-learn keeps one row
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weight[present], bias[present] = coefficients, intercept
    return weight, bias


_FITS = MappingProxyType({"centroid": _centroid, "regression": _regression})
