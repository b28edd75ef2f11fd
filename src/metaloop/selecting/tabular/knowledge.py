"""What is expected of pipelines on the next table: the shipped prior, and an archive's runs on tables.

Each run on other data is one more draw of how pipelines differ: where several were measured on the
same folds, their errors on the prior's scale, beyond the run's own level, move the prior's means
(normal-inverse-Wishart with `_WORTH` tables' worth of prior, missing entries by their expectation).
"""  # noqa: E501

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metaloop.archive import Archive, Place
from metaloop.selecting.tabular.beliefs import error_of, expected_of, scaled
from metaloop.selection.prior import Prior

_WORTH = 6.0  # tables that the prior is worth
_NOISE = 0.03  # of a run's mean over folds, on the scale of the prior
_FEWEST = 2  # pipelines of a run that say how they differ
_FOLD = "table fold"


def prior_with(
    names: Sequence[str], for_classes: bool, metric: str, archive: Place | None
) -> Prior:
    """Returns what is expected of pipelines; `archive`: of earlier runs, on whatever table."""
    prior = expected_of(names, for_classes)
    if archive is None:
        return prior
    with Archive.open(archive, read_only=True) as opened:
        runs = differences(opened, prior, metric)
    return informed(prior, runs)


def differences(archive: Archive, prior: Prior, metric: str) -> list[dict[str, float]]:
    """Returns, for each run on a table in this metric, the errors of its pipelines.

    They are on the prior's scale; folds that only some pipelines had are made up for by their
    means.
    """
    found = []
    for run in archive.runs():
        jobs = {job.id: job for job in archive.jobs(run.id) if job.work == _FOLD}
        if not jobs:
            continue
        errors: dict[str, dict[tuple[int, ...], float]] = defaultdict(dict)
        for stored in archive.trials(run.id):
            job = jobs.get(stored.job) if stored.job is not None else None
            if job is None:
                continue
            for result in stored.trial.results:
                if result.metric == metric:
                    asked = job.asked
                    name = str(asked["pipeline"])
                    context = (int(asked["level"]), int(asked["repeat"]), int(asked["fold"]))
                    deviation = max(result.ci95 / 1.96, 1e-3)
                    error = error_of(metric, result.value)
                    errors[name][context] = scaled(error, deviation, prior.scale)
        known = {name: seen for name, seen in errors.items() if name in prior.names}
        if len(known) >= _FEWEST:
            found.append(_means(known))
    return found


def _means(errors: dict[str, dict[tuple[int, ...], float]]) -> dict[str, float]:
    """The error of each pipeline with the effects of its folds taken off."""
    effects: dict[tuple[int, ...], float] = defaultdict(float)
    means: dict[str, float] = {}
    for _ in range(5):
        means = {
            n: float(np.mean([e - effects[c] for c, e in s.items()])) for n, s in errors.items()
        }
        contexts: dict[tuple[int, ...], list[float]] = defaultdict(list)
        for name, seen in errors.items():
            for context, error in seen.items():
                contexts[context].append(error - means[name])
        for context, left in contexts.items():
            effects[context] = float(np.mean(left))
    return means


def informed(prior: Prior, runs: Sequence[dict[str, float]]) -> Prior:
    """Returns the prior after tables on which some pipelines were measured, each one draw of it."""
    means, covariance, worth = prior.means, prior.covariance, _WORTH
    for errors in runs:
        places = [prior.names.index(name) for name in errors]
        values = np.array([errors[name] for name in errors])
        known = covariance[np.ix_(places, places)] + prior.level_variance
        known = known + _NOISE**2 * np.eye(len(places))
        weights = np.linalg.solve(known, np.ones(len(places)))
        level = float(weights @ (values - means[places]) / weights.sum())
        between = covariance[:, places]
        inner = covariance[np.ix_(places, places)] + _NOISE**2 * np.eye(len(places))
        off = values - means[places] - level
        full = between @ np.linalg.solve(inner, off)
        left = covariance - between @ np.linalg.solve(inner, between.T)
        means = means + full / (worth + 1)
        moved = np.outer(full, full) * worth / (worth + 1)
        covariance = (worth * covariance + left + moved) / (worth + 1)
        covariance = (covariance + covariance.T) / 2
        worth += 1
    if not runs:
        return prior
    provenance = {
        **prior.provenance,
        "archive": f"{len(runs)} run{'s' if runs[1:] else ''} on tables",
    }
    return replace(prior, means=means, covariance=covariance, provenance=provenance)
