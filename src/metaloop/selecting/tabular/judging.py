"""Figures of a table's race: the cross-validated score with both intervals, and what came of it.

`ci95` is about these rows, with the pipeline as it was fitted. `ci95_new` is for new rows to learn
from as well: folds share rows to learn from, so their spread is corrected (Nadeau and Bengio 2003,
"Inference for the generalization error", Machine Learning 52).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from metaloop.core.records import Protocol, Result
from metaloop.domains.tables.scoring import TABLE_METRICS
from metaloop.domains.tables.task import TableTask
from metaloop.selecting.tabular.finishing import ChosenPipelines
from metaloop.selecting.tabular.racing import TableRace
from metaloop.selecting.tabular.running import TableRun

_BINS = 10  # of probabilities
_FEWEST_FOLDS = 3  # that tell how much they differ
_TAILS = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57}  # of Student's t, by so many folds


def protocol(task: TableTask, part: str, name: str) -> Protocol:
    """Returns how figures of a table are measured: one task, its rows apart."""
    ways = len(task.classes)
    return Protocol(
        part,  # type: ignore[arg-type]
        ways, 0, max(1, len(task.test) // max(1, ways)), "none", f"{task.digest}-{name}",
        task.digest,
    )  # fmt: skip


def cross_validated(task: TableTask, race: TableRace, name: str) -> Result | None:
    """Returns the figure of a pipeline over folds at the last level it reached; None if none."""
    found = race.entries[name].found
    if not found:
        return None
    level, lift = max(context[0] for context in found), race.lift(name)
    inside = [result for context, result in sorted(found.items()) if context[0] == level]
    values = [result.values[lift] for result in inside]
    deviations = [result.deviations[lift] for result in inside]
    rows = sum(result.checked for result in inside)
    label = "cv" if level == race.last_level else f"cv-{level}"
    return _result(task, race, values, deviations, rows, f"{label}-{len(inside)}")


def _result(
    task: TableTask,
    race: TableRace,
    values: Sequence[float],
    deviations: Sequence[float],
    rows: int,
    label: str,
) -> Result:
    count = min(len(values), race.folds)  # rounds of folds tell the same rows again
    half = 1.96 * float(np.sqrt(np.mean(np.square(deviations)) / count))
    new = None
    if len(values) >= _FEWEST_FOLDS:
        spread = float(np.var(values, ddof=1)) * (1 / len(values) + 1 / (race.folds - 1))
        new = max(half, _TAILS.get(len(values), 2.26) * math.sqrt(spread))
    return Result(
        race.metric, float(np.mean(values)), half, rows, protocol(task, "search", label),
        ci95_new=new, units=len(values),
    )  # fmt: skip


def figure_of(run: TableRun, chosen: ChosenPipelines) -> Result | None:
    """Returns the cross-validated figure of what was chosen.

    Of pipelines that are joined: each fold with weights that were chosen on the others. Who was
    left out for time is in none of them.
    """
    race, task = run.race, run.task
    first = next(iter(chosen.weights))
    if chosen.told is None or (len(chosen.weights) == 1 and _as_raced(race, chosen, first)):
        return cross_validated(task, race, first)
    assert chosen.crossed is not None
    found = chosen.crossed.of_folds
    values, deviations = [each[0] for each in found], [each[1] for each in found]
    rows = sum(each[2] for each in found)
    return _result(task, race, values, deviations, rows, f"cv-{len(found)}")


def _as_raced(race: TableRace, chosen: ChosenPipelines, name: str) -> bool:
    """Whether a pipeline is used as its folds were: not tempered, with the lift of the race."""
    raced = TABLE_METRICS[race.metric].lifts[race.lift(name)]
    return chosen.rule.powers[name] == 1 and chosen.rule.lift == raced


def calibration(chosen: ChosenPipelines) -> Mapping[str, object] | None:
    """Returns how sure what was chosen is and how often right, on rows it had not learned from.

    Weights and powers are those that the other folds chose. None for numbers and short races.
    """
    told = chosen.told
    if told is None or not TABLE_METRICS[told.metric].for_classes:
        return None
    assert chosen.crossed is not None
    return reliability(chosen.crossed.plain, told.targets.astype(int))


def reliability(shares: np.ndarray, targets: np.ndarray) -> Mapping[str, object]:
    """Returns how sure answers were and how often right, in bins, and the mean gap between both."""
    sure, right = shares.max(1), shares.argmax(1) == targets
    edges = np.linspace(0, 1, _BINS + 1)
    places = np.clip(np.digitize(sure, edges) - 1, 0, _BINS - 1)
    bins = []
    gap = 0.0
    for place in range(_BINS):
        inside = places == place
        count = int(inside.sum())
        if count:
            mean, share = float(sure[inside].mean()), float(right[inside].mean())
            gap += count / len(sure) * abs(mean - share)
            bins.append({"confidence": mean, "right": share, "rows": count})
    return {"bins": bins, "error": gap}


def tested(
    task: TableTask, outputs: np.ndarray, plain: np.ndarray, metric: str
) -> tuple[Result, dict[str, float]]:
    """Returns the figure on `test`, and what belongs beside it: other metrics, and guessing."""
    how, targets = TABLE_METRICS[metric], task.target.values[task.test]
    value = how.value(outputs, targets)
    half = 1.96 * how.deviation(outputs, targets)
    result = Result(metric, value, half, len(targets), protocol(task, "test", "test"))
    known = task.target.values[task.known]
    if how.for_classes:
        constant = np.zeros((len(targets), len(task.classes)))
        constant[:, int(np.bincount(known).argmax())] = 1.0
    else:
        constant = np.full((len(targets), 1), float(known.mean()))[:, 0]
    names = (
        ("accuracy", "balanced_accuracy", "log_loss") if how.for_classes else ("rmse", "mae", "r2")
    )
    more = {}
    for name in names:
        other = TABLE_METRICS[name]
        seen = plain if name == "log_loss" else outputs
        more[name] = other.value(seen, targets)
    more["chance"] = how.value(constant, targets)
    return result, more
