"""What the results of benchmarks/loop.py say: means, and leads of the loop with two intervals.

Differences are paired: all runs of a family are scored on the same episodes. The first interval is
for these test classes: over seeds of either side, and episodes. The second is for new classes of
the family: over seeds, episodes and classes, which are a random effect with as many degrees of
freedom as they allow (`core.statistics`; benchmarks/intervals.py measures how often it covers).
Variances are added, and Student's t has Satterthwaite's degrees of freedom: to resample three or
five seeds, or ten classes that share episodes, would understate by how much they differ. Where a
side has one seed, nothing is said about its others.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from metaloop.core.statistics import EpisodeScores, mean_of, paired_difference

MEAN = "mean of shots"  # what the loop is judged on


def is_whole(path: Path, shots: Sequence[int]) -> bool:
    """Whether the results are in this version's form: older ones do not say of which classes."""
    with np.load(path) as arrays:
        return all(f"{number}-shot-of-classes" in arrays for number in shots)


def read_scores(path: Path, shots: Sequence[int]) -> dict[str, EpisodeScores]:
    """Returns the scores of a run for each number of shots, and their mean."""
    with np.load(path) as arrays:
        tasks = {
            f"{number}-shot": EpisodeScores(
                arrays[f"{number}-shot"],
                arrays[f"{number}-shot-of-classes"],
                arrays[f"{number}-shot-classes"],
            )
            for number in shots
        }
    return {**tasks, MEAN: mean_of(list(tasks.values()))}


def over_seeds(seeds: Sequence[EpisodeScores]) -> EpisodeScores:
    """Returns the mean over seeds, which all have the same episodes."""
    if any(not np.array_equal(one.units, seeds[0].units) for one in seeds):
        sys.exit("results are of other episodes than each other; give another --results")
    values = np.mean([one.values for one in seeds], axis=0)
    return EpisodeScores(
        values, np.mean([one.unit_values for one in seeds], axis=0), seeds[0].units
    )


def lead_over(ours: Sequence[EpisodeScores], theirs: Sequence[EpisodeScores]) -> dict[str, Any]:
    """Returns the mean difference and both intervals `(low, high)`, in points.

    Seeds of either side differ on their own; episodes and classes are shared by all.
    """
    change = paired_difference(over_seeds(ours), over_seeds(theirs))
    seeds = [
        (float(np.var([one.values.mean() for one in side], ddof=1)) / len(side), len(side) - 1.0)
        for side in (ours, theirs)
        if len(side) > 1
    ]
    freedom = change.episodes - 1.0
    variance = (change.ci95 / float(student.ppf(0.975, freedom))) ** 2
    these, new = _interval(change.value, [(variance, freedom), *seeds]), None
    if change.standard_error_new is not None and change.freedom_new is not None:
        of_classes = (change.standard_error_new**2, change.freedom_new)
        new = _interval(change.value, [of_classes, *seeds])
    return {"lead": 100 * change.value, "these": these, "new": new}


def _interval(value: float, terms: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Returns the 95 % interval, in points, from independent variances with their degrees."""
    variance = sum(one for one, _ in terms)
    if variance == 0:
        return 100 * value, 100 * value
    degrees = variance**2 / sum(one**2 / freedom for one, freedom in terms)
    half = float(student.ppf(0.975, degrees)) * variance**0.5
    return 100 * (value - half), 100 * (value + half)


def summary(
    results: Path, budget: str, names: list[str], arms: list[str], shots: Sequence[int]
) -> dict[str, Any]:
    """Returns for each family and number of shots the means, and the loop's lead over each arm."""
    table: dict[str, Any] = {}
    for name in names:
        runs: dict[str, list[dict[str, EpisodeScores]]] = {}
        for arm in arms:
            paths = kept(results, name, arm, budget)
            old = [path.name for path in paths if not is_whole(path, shots)]
            if old:
                sys.exit(
                    f"{results}: {len(old)} results ({old[0]}, ...) are of an older version and do "
                    f"not say of which classes; run them again, without --summary"
                )
            if paths:
                runs[arm] = [read_scores(path, shots) for path in paths]
        for task in (*(f"{number}-shot" for number in shots), MEAN):
            entry: dict[str, Any] = {}
            for arm, found in runs.items():
                scores = [one[task] for one in found]
                value = 100 * float(np.mean([one.values.mean() for one in scores]))
                entry[arm] = {"value": value, "seeds": len(scores)}
                if arm != "loop" and "loop" in runs:
                    entry[arm] |= lead_over([one[task] for one in runs["loop"]], scores)
            table[f"{name} {task}"] = entry
    return table


def print_table(table: dict[str, Any]) -> None:
    """Prints the summary; leads with the interval on these classes and that for new ones."""

    def shown(interval: tuple[float, float] | None) -> str:
        return "cannot be told" if interval is None else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"

    for title, entry in table.items():
        print(f"\n{title}")
        for arm, row in entry.items():
            lead = ""
            if "lead" in row:
                lead = f"   loop {row['lead']:+.2f} {shown(row['these'])}  new {shown(row['new'])}"
            print(f"  {arm:14s} {row['value']:6.2f}  ({row['seeds']} seeds){lead}")
    print("\nintervals: 95 %, on these test classes; then for new classes of the family")


def kept(results: Path, name: str, arm: str, budget: str) -> list[Path]:
    """Returns the results of an arm, one file for each seed."""
    return sorted(results.glob(f"{name}-{arm}-{budget}-[0-9]*.npz"))
