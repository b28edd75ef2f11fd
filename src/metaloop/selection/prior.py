"""What is known of pipelines before a table was seen: how they differ, and how much that varies.

    theta[d, a] = level[d] + means[a] + delta[d, a],    level ~ N(0, level_variance),
    delta[d] ~ N(0, covariance)

theta is the true error of pipeline a on data set d, on a scale where data sets are comparable:
`angle` is arcsin of the root of an error rate (the noise of a rate of n rows is 1 / 4n there,
whatever the rate: Anscombe 1948, Biometrika 35), `log` the logarithm of an RMSE. How hard a data
set is, is unknown: the level has a wide prior, and only differences between pipelines are learned.

The file `table_prior.json` beside this module is made by tools/derive_table_prior.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError

SHIPPED = Path(__file__).with_name("table_prior.json")
KINDS = ("classification", "regression")
SCALES = ("angle", "log")
_FORMAT = 1
_TOLERANCE = 1e-9
_UNKNOWN = 0.25  # a pipeline that the prior does not know is thought worse than this share of them


@dataclass(frozen=True)
class NoiseModel:
    """How wrong scores of cross-validation are.

    `own_share` is the part of a score's variance that is its own: the rest is common to all
    pipelines that were scored on the same rows, and says nothing about which is better.
    `inflation` multiplies the variance of a mean over independent rows, for folds share rows.
    """

    own_share: float = 0.5
    inflation: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.own_share <= 1 and 0 < self.inflation < np.inf):
            raise DataError(
                f"noise has an own share above 0, at most 1, and a positive inflation; got {self}"
            )


@dataclass(frozen=True)
class Prior:
    """A Gaussian over the errors of pipelines on a new data set; `portfolio`: what to try first.

    `means [pipelines]` and `covariance [pipelines, pipelines]` are on `scale`, less is better;
    `seconds` are typical CPU-seconds of one training on a table of 1,000 rows.
    Raises `DataError` unless shapes fit, numbers are finite and the covariance is one.
    """

    names: tuple[str, ...]
    means: np.ndarray
    covariance: np.ndarray
    noise: NoiseModel
    scale: str
    level_variance: float
    portfolio: tuple[str, ...]
    seconds: Mapping[str, float]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count or len(set(self.names)) < count:
            raise DataError(f"a prior has names, each once; got {list(self.names)}")
        if self.means.shape != (count,) or self.covariance.shape != (count, count):
            raise DataError(
                f"a prior of {count} pipelines has as many means and their covariance, got shapes "
                f"{self.means.shape} and {self.covariance.shape}"
            )
        if not (np.isfinite(self.means).all() and np.isfinite(self.covariance).all()):
            raise DataError("a prior has finite numbers")
        if not np.allclose(self.covariance, self.covariance.T, atol=_TOLERANCE) or (
            np.linalg.eigvalsh(self.covariance).min() < -_TOLERANCE
        ):
            raise DataError("a prior's covariance is symmetric, and no direction has less than 0")
        if self.scale not in SCALES or not 0 < self.level_variance < np.inf:
            raise DataError(
                f"a prior has a scale of {SCALES} and a positive variance of its level, got "
                f"{self.scale!r} and {self.level_variance}"
            )
        strangers = sorted({*self.portfolio, *self.seconds} - set(self.names))
        if strangers:
            raise DataError(f"the portfolio names what the prior does not know: {strangers}")

    def including(self, names: Iterable[str]) -> Prior:
        """Returns a prior that also knows these names: as rather bad, and as very uncertain."""
        new = [name for name in dict.fromkeys(names) if name not in self.names]
        if not new:
            return self
        old = len(self.names)
        means = np.append(self.means, [np.quantile(self.means, 1 - _UNKNOWN)] * len(new))
        covariance = np.zeros((old + len(new),) * 2)
        covariance[:old, :old] = self.covariance
        places = np.arange(old, old + len(new))
        covariance[places, places] = max(np.diag(self.covariance).max(), means.var(), _TOLERANCE)
        return replace(self, names=(*self.names, *new), means=means, covariance=covariance)

    def only(self, names: Iterable[str]) -> Prior:
        """Returns the prior of these names alone, in this order; unknown ones are refused."""
        kept = tuple(dict.fromkeys(names))
        strangers = [name for name in kept if name not in self.names]
        if strangers:
            raise DataError(f"the prior does not know {strangers}; it knows {list(self.names)}")
        places = [self.names.index(name) for name in kept]
        return replace(
            self,
            names=kept,
            means=self.means[places],
            covariance=self.covariance[np.ix_(places, places)],
            portfolio=tuple(name for name in self.portfolio if name in kept),
            seconds={name: self.seconds[name] for name in kept if name in self.seconds},
        )


def load_prior(kind: str = "classification", path: Path = SHIPPED) -> Prior:
    """Returns the shipped prior, or that of a file, for one of `KINDS`.

    Raises `DataError` for a file that cannot be read, is no prior, or lacks this kind.
    """
    if kind not in KINDS:
        raise DataError(f"priors are for {' and '.join(KINDS)}, not for {kind!r}")
    return _load(kind, path)


@cache
def _load(kind: str, path: Path) -> Prior:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the prior in {path}: {error}") from error
    return prior_of(record, kind)


def prior_of(record: Any, kind: str) -> Prior:
    """Returns the prior in a record as `json` reads it; raises `DataError` as `load_prior` does."""
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise DataError(f"a file of priors is a JSON object of format {_FORMAT}")
    try:
        own = record[kind]
        return Prior(
            names=tuple(map(str, own["names"])),
            means=np.array(own["means"], float),
            covariance=np.array(own["covariance"], float),
            noise=NoiseModel(float(own["noise"]["own_share"]), float(own["noise"]["inflation"])),
            scale=str(own["scale"]),
            level_variance=float(own["level_variance"]),
            portfolio=tuple(map(str, own["portfolio"])),
            seconds={str(name): float(value) for name, value in own["seconds"].items()},
            provenance=dict(own["provenance"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the prior for {kind} is damaged or missing: {error!r}") from error


def as_record(prior: Prior, digits: int = 6) -> dict[str, Any]:
    """Returns what `prior_of` reads, of one kind, rounded to so many digits."""
    return {
        "names": list(prior.names),
        "means": np.round(prior.means, digits).tolist(),
        "covariance": np.round(prior.covariance, digits).tolist(),
        "noise": {"own_share": prior.noise.own_share, "inflation": prior.noise.inflation},
        "scale": prior.scale,
        "level_variance": prior.level_variance,
        "portfolio": list(prior.portfolio),
        "seconds": dict(prior.seconds),
        "provenance": dict(prior.provenance),
    }
