"""What is expected of pipelines on the next table: the shipped prior, and an archive's runs on tables.

Each other table is one more draw of how pipelines differ, however often it was run: where several
were measured on the same folds, their errors on the prior's scale, beyond the table's own level, move the prior's means
(normal-inverse-Wishart with `_WORTH` tables' worth of prior, missing entries by their expectation).
"""  # noqa: E501

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from metaloop.archive import Archive, Place
from metaloop.selecting.tabular.beliefs import Seen, error_of, expected_of, scaled
from metaloop.selection.prior import Prior

_WORTH = 6.0  # tables that the prior is worth
_NOISE = 0.03  # of a run's mean over folds, on the scale of the prior
_LEAST = 1e-3  # the deviation of an error rate, or of a distance in units of the table's median
_FEWEST = 2  # pipelines of a table that say how they differ
_FOLD = "table fold"
Context = tuple[int, ...]  # run, level, repeat, fold


def prior_with(
    names: Sequence[str],
    for_classes: bool,
    metric: str,
    archive: Place | None,
    table: str | None = None,
) -> Prior:
    """Returns what is expected of pipelines; `archive`: of earlier runs, on whatever table.

    Runs on this `table` itself (`TableTask.content`) are left out: they may have learned from rows
    that are sealed now.
    """
    prior = expected_of(names, for_classes)
    if archive is None:
        return prior
    with Archive.open(archive, read_only=True) as opened:
        tables = differences(opened, prior, metric, table)
    return informed(prior, tables)


def differences(
    archive: Archive, prior: Prior, metric: str, table: str | None = None
) -> list[dict[str, float]]:
    """Returns, for each table but this one with runs in this metric, the errors of its pipelines.

    They are on the prior's scale; folds that only some pipelines had are made up for by their
    means.
    """
    tables: dict[str, dict[str, dict[Context, Seen]]] = {}
    for place, run in enumerate(archive.runs()):
        jobs = {job.id: job for job in archive.jobs(run.id) if job.work == _FOLD}
        if not jobs:
            continue
        for stored in archive.trials(run.id):
            job = jobs.get(stored.job) if stored.job is not None else None
            if job is None:
                continue
            for result in stored.trial.results:
                if result.metric == metric:
                    asked = job.asked
                    name = str(asked["pipeline"])
                    context = (
                        place, int(asked["level"]), int(asked["repeat"]), int(asked["fold"])
                    )  # fmt: skip
                    of = str(asked.get("table", stored.data_hash))
                    errors = tables.setdefault(of, defaultdict(dict))
                    errors[name][context] = Seen(error_of(metric, result.value), result.ci95 / 1.96)
    found = []
    for of, errors in tables.items():
        known = {name: seen for name, seen in errors.items() if name in prior.names}
        if len(known) >= _FEWEST and of != table:
            found.append(_means(on_scale(known, prior.scale)))
    return found


def on_scale(
    errors: Mapping[str, Mapping[Context, Seen]], scale: str
) -> dict[str, dict[Context, float]]:
    """Returns errors of a table's pipelines on a prior's scale.

    Distances are in units of their median, so that nothing hangs on that of the target.
    """
    distances = [one.error for seen in errors.values() for one in seen.values() if one.error > 0]
    unit = float(np.median(distances)) if scale == "log" and distances else 1.0
    return {
        name: {
            context: scaled(one.error / unit, max(one.deviation / unit, _LEAST), scale)
            for context, one in seen.items()
        }
        for name, seen in errors.items()
    }


def _means(errors: Mapping[str, Mapping[Context, float]]) -> dict[str, float]:
    """The error of each pipeline with the effects of its folds taken off."""
    effects: dict[Context, float] = defaultdict(float)
    means: dict[str, float] = {}
    for _ in range(5):
        means = {
            n: float(np.mean([e - effects[c] for c, e in s.items()])) for n, s in errors.items()
        }
        contexts: dict[Context, list[float]] = defaultdict(list)
        for name, seen in errors.items():
            for context, error in seen.items():
                contexts[context].append(error - means[name])
        for context, left in contexts.items():
            effects[context] = float(np.mean(left))
    return means


def informed(prior: Prior, tables: Sequence[dict[str, float]]) -> Prior:
    """Returns the prior after tables on which some pipelines were measured, each one draw of it."""
    means, covariance, worth = prior.means, prior.covariance, _WORTH
    for errors in tables:
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
    if not tables:
        return prior
    count = "1 other table" if len(tables) == 1 else f"{len(tables)} other tables"
    provenance = {**prior.provenance, "archive": count}
    return replace(prior, means=means, covariance=covariance, provenance=provenance)
