"""How far a query speaks for a class rather than for one that was never shown: a likelihood ratio.

Features are centred, whitened by how examples of one training class differ, and brought to one
length. Then examples of a class scatter around its mean with the covariance I, and the means of
classes around that of all with B, both Gaussian. Of a class with n examples and mean m,

    evidence[q, c] = log N(q; mu_c, P_c + I) - log N(q; 0, B + I),
    mu_c = n B (n B + I)^-1 m,   P_c = B (n B + I)^-1:

how much more likely the query is as a further example of the class than as one of a new class.
Softmax only compares the classes of a task, and a cosine does not know in which directions
examples of one class differ, nor how far one example can be trusted (benchmarks/open_set.py).

Ioffe 2006, Probabilistic linear discriminant analysis; with one length: Garcia-Romero &
Espy-Wilson 2011, Analysis of i-vector length normalization in speaker recognition systems.
Shapes: N examples, D features, K directions (the leading principal ones), C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from metaloop.core.examples import Examples

MOST_DIRECTIONS = 256
_ROUNDS = 4  # of subspace iteration
_ISOTROPIC = 0.5  # share of B that is a multiple of it: there are fewer classes than directions
_LEAST = 1e-6  # of a variance


@dataclass(frozen=True, eq=False)
class Likeness:
    """What training classes tell of all classes of a family, in the features of one embedding.

    `center` `[D]` is the mean of features, `directions` `[D, K]` whiten and turn, what is
    seen has the `length` `[]` and the mean `origin` `[K]`; `between` `[K]` is the diagonal of B.
    """

    center: Tensor
    directions: Tensor
    length: Tensor
    origin: Tensor
    between: Tensor

    def seen(self, features: Tensor) -> Tensor:
        """Returns features `[..., D]` as evidence sees them, `[..., K]`."""
        whitened = (features - self.center) @ self.directions
        return self.length * normalize(whitened, dim=-1) - self.origin

    def evidence(self, means: Tensor, counts: Tensor, seen: Tensor) -> Tensor:
        """Returns the largest log likelihood ratio `[..., N]` over classes of `seen` `[..., N, K]`.

        `means` `[..., C, K]` are of what is seen of `counts` `[..., C]` examples each; a class
        without any has no evidence. The order of classes does not matter.
        """
        known = counts.unsqueeze(-1) * self.between
        expected = known / (known + 1) * means
        precision = 1 / (self.between / (known + 1) + 1)
        distances = (seen**2) @ precision.mT - 2 * seen @ (expected * precision).mT
        distances = distances + (expected**2 * precision).sum(-1).unsqueeze(-2)
        as_known = 0.5 * (precision.log().sum(-1).unsqueeze(-2) - distances)
        as_known = as_known.masked_fill((counts == 0).unsqueeze(-2), -torch.inf)
        alone = self.between + 1
        as_new = -0.5 * ((seen**2 / alone).sum(-1) + alone.log().sum())
        return as_known.amax(-1) - as_new

    def to(self, device: torch.device) -> Likeness:
        """Returns it with its tensors on `device`."""
        return Likeness(**{each.name: getattr(self, each.name).to(device) for each in fields(self)})


def means_of(support: Examples) -> tuple[Tensor, Tensor]:
    """Returns class means `[..., C, D]` of features `[..., N, D]`, and how many each is of."""
    rows = support.one_hot()
    counts = rows.sum(-2)
    return rows.mT @ support.features / counts.clamp(min=1).unsqueeze(-1), counts


def nearest_cosine(center: Tensor, support: Examples, features: Tensor) -> Tensor:
    """Returns the cosine to the nearest class mean `[..., N]`, all centred: the plain evidence."""
    means, counts = means_of(support.with_inputs(normalize(support.features - center, dim=-1)))
    cosines = normalize(features - center, dim=-1) @ normalize(means, dim=-1).mT
    return cosines.masked_fill((counts == 0).unsqueeze(-2), -torch.inf).amax(-1)


def fit_likenesses(
    features: Tensor, labels: Tensor, shrinkages: Sequence[float]
) -> tuple[Likeness, ...]:
    """Returns likenesses of features `[N, D]` of classes `[N]`; equal ones give equal tensors.

    One for each of `shrinkages`, 0 to 1: of the covariance within classes, towards a multiple of
    the identity. Those that cannot tell are left out: all of them for fewer than two classes, or
    hardly any with several examples.
    """
    classes, places = np.unique(labels.cpu().numpy(), return_inverse=True)
    labels, number, count = torch.from_numpy(places), len(places), len(classes)
    free = number - count
    if count < 2 or free < 2 or not bool(features.isfinite().all()):
        return ()
    rows = one_hot(labels, count).double()
    raw = features.double().cpu()
    center = _means(rows, raw).mean(0)
    unit = normalize(raw - center, dim=-1)
    leading = _leading(unit, min(MOST_DIRECTIONS, unit.shape[1], number - 1))
    rest = unit @ leading
    rest = rest - _means(rows, rest)[labels]
    covariance = rest.T @ rest / free
    found = []
    for shrinkage in shrinkages:
        variances, axes = torch.linalg.eigh(_shrunk(covariance, shrinkage))
        if float(variances.min()) > 0:
            whitening = leading @ axes / variances.sqrt()
            found.append(_likeness(raw, rows, labels, center, whitening))
    return tuple(each for each in found if each is not None)


def _likeness(
    raw: Tensor, rows: Tensor, labels: Tensor, center: Tensor, whitening: Tensor
) -> Likeness | None:
    """Returns what is seen of the raw features once they are whitened; None if all is equal."""
    sizes = rows.sum(0)
    number, count = len(labels), len(sizes)
    seen = normalize((raw - center) @ whitening, dim=-1)
    means = _means(rows, seen)
    width = seen.shape[1]
    within = float(((seen - means[labels]) ** 2).sum()) / ((number - count) * width)
    if not within > 0:
        return None
    origin = means.mean(0)
    apart = (means - origin).T @ (means - origin) / ((count - 1) * within)
    spread = max(float(apart.diagonal().mean() - (1 / sizes).mean()), _LEAST)
    identity = torch.eye(width, dtype=apart.dtype)
    values, turn = torch.linalg.eigh((1 - _ISOTROPIC) * apart + _ISOTROPIC * spread * identity)
    length = within**-0.5
    tensors = (
        center, whitening @ turn, torch.tensor(length), length * origin @ turn,
        values.clamp(min=_LEAST),
    )  # fmt: skip
    return Likeness(*(tensor.float().contiguous() for tensor in tensors))


def _means(rows: Tensor, values: Tensor) -> Tensor:
    means: Tensor = (rows.T @ values) / rows.sum(0)[:, None]
    return means


def _leading(centred: Tensor, number: int) -> Tensor:
    """Returns orthonormal directions `[D, number]` in which examples vary most, nearly.

    By subspace iteration: what is left of the others is little after a few rounds, and all
    eigenvectors of a thousand features would take seconds.
    """
    covariance = centred.T @ centred / len(centred)
    width = len(covariance)
    if number == width:
        return torch.eye(width, dtype=covariance.dtype)
    rng = torch.Generator().manual_seed(0)
    basis = torch.randn(width, number, generator=rng, dtype=covariance.dtype)
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(covariance @ basis).Q
    return basis


def _shrunk(covariance: Tensor, share: float) -> Tensor:
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    return (1 - share) * covariance + share * covariance.diagonal().mean() * identity
