"""What is believed of pipelines: the prior of the package, and scores of this table, shrunk to it.

Scores become errors on the prior's scale (`error_of`). Every fold, and every number of rows to
learn from, has an effect of its own that all pipelines share; it is taken off first, as far as the
others tell. A setting that the prior does not know is expected to be like its kind, a little worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metaloop.domains.tables.pipelines import family_of
from metaloop.selection.prior import Prior, load_prior
from metaloop.selection.shrinkage import Posterior, posterior

Context = tuple[int, int, int]  # level, repeat, fold
CLASSES, NUMBERS = "classification", "regression"
_ROUNDS = 3
_LIKE = {"lightgbm": "hist_boosting", "tabpfn": "extra_trees", "tabicl": "extra_trees"}
_OWN = 0.03  # standard deviation of a setting about its kind, on either scale
_WORSE = 0.01
_UNLIKE = 0.1  # of another library's learner about the one that it is most like


@dataclass(frozen=True)
class Seen:
    """The error of a pipeline in a context, and its standard deviation."""

    error: float
    deviation: float


def expected_of(names: Sequence[str], for_classes: bool) -> Prior:
    """Returns the shipped prior for these pipelines, those that it does not know included."""
    return extended(load_prior(CLASSES if for_classes else NUMBERS), names)


def extended(prior: Prior, names: Sequence[str]) -> Prior:
    """Returns the prior of just these names; who is unknown is expected to be like its kind."""
    known = {name: place for place, name in enumerate(prior.names)}
    like = [_base(name, known) for name in names]
    found = [known[one] for one in like if one is not None]
    middle = float(np.median(prior.means)) if not found else 0.0
    means = np.empty(len(names))
    covariance = np.zeros((len(names), len(names)))
    for i, (name, base) in enumerate(zip(names, like, strict=True)):
        strange = name not in known
        means[i] = middle if base is None else prior.means[known[base]] + _WORSE * strange
        for j, other in enumerate(like):
            if base is not None and other is not None:
                covariance[i, j] = prior.covariance[known[base], known[other]]
        if strange:
            own = _UNLIKE if family_of(name) in _LIKE and base is not None else _OWN
            covariance[i, i] += (_UNLIKE if base is None else own) ** 2
    return replace(
        prior, names=tuple(names), means=means, covariance=covariance,
        portfolio=tuple(name for name in prior.portfolio if name in names),
        seconds={n: s for n, s in prior.seconds.items() if n in names},
    )  # fmt: skip


def _base(name: str, known: Mapping[str, int]) -> str | None:
    """The known pipeline that is most like this one."""
    family = family_of(name)
    able = (name, family, _LIKE.get(family, ""))
    return next((one for one in able if one in known), None)


def error_of(metric: str, value: float, unit: float = 1.0) -> float:
    """Returns a metric's value as an error: a rate of 0 to 1, or a distance of 0 or more.

    Distances are in units of `unit` (`scoring.unit_of`), so that nothing hangs on the target's own.
    """
    if metric in ("rmse", "mae"):
        return max(0.0, value / unit)
    if metric == "r2":
        return float(np.sqrt(max(0.0, 1 - value)))
    if metric == "log_loss":
        return float(1 - np.exp(-max(0.0, value)))
    return float(np.clip(1 - value, 0.0, 1.0))


def believed(prior: Prior, seen: Mapping[str, Mapping[Context, Seen]]) -> Posterior:
    """Returns what is known of all pipelines in the last context that any was seen in.

    Effects of contexts and beliefs are computed in turn: the effect of a context is the mean of
    what its pipelines have beyond what is believed of them.
    """
    contexts = sorted({context for found in seen.values() for context in found})
    if len(contexts) < 2:
        only = {n: next(iter(f.values())) for n, f in seen.items() if f}
        return posterior(prior, {n: (s.error, s.deviation**2) for n, s in only.items()})
    levels = {
        name: {c: scaled(one.error, one.deviation, prior.scale) for c, one in found.items()}
        for name, found in seen.items()
        if found
    }
    effects = dict.fromkeys(contexts, 0.0)
    known = posterior(prior, {})
    for _ in range(_ROUNDS):
        scores = {}
        for name, found in levels.items():
            weights = np.array([1 / seen[name][c].deviation ** 2 for c in found])
            left = np.array([value - effects[c] for c, value in found.items()])
            mean = float((weights * left).sum() / weights.sum())
            scores[name] = (_error(mean, prior.scale), 1 / float(weights.sum()))
        known = posterior(prior, scores)
        belief = dict(zip(known.names, known.means.tolist(), strict=True))
        for context in contexts:
            left = np.array([f[context] - belief[n] for n, f in levels.items() if context in f])
            effects[context] = float(left.mean())
        last = effects[contexts[-1]]
        effects = {context: effect - last for context, effect in effects.items()}
    return known


def scaled(error: float, deviation: float, scale: str) -> float:
    """Returns an error on the scale of a prior, kept away from where that has no slope."""
    least = max(deviation / np.sqrt(2), 1e-6)
    if scale == "log":
        return float(np.log(max(error, least)))
    return float(np.arcsin(np.sqrt(np.clip(error, min(least, 0.5), 1 - min(least, 0.5)))))


def _error(value: float, scale: str) -> float:
    if scale == "log":
        return float(np.exp(value))
    return float(np.sin(np.clip(value, 0, np.pi / 2)) ** 2)
