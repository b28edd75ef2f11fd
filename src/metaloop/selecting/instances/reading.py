"""A scenario of ASlib, from the files of its folder.

`description.txt` says what is measured, `algorithm_runs.arff` what came of it, `feature_values`,
`feature_runstatus` and `feature_costs` what is known before and its price, `cv.arff` the folds. Of
several repetitions the first counts. A measure that is to be maximised becomes its negative.
The format: Bischl et al. 2016, and coseal/aslib-spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.selection.per_instance import Scenario
from metaloop.tasks.readers.arff import ArffTable, read_arff_file

_NEEDED = ("description.txt", "algorithm_runs.arff", "feature_values.arff", "cv.arff")
_KEYS = ("instance_id", "repetition")


def is_scenario(folder: Path) -> bool:
    """Returns whether a folder has the files of a scenario of ASlib."""
    return all((folder / name).is_file() for name in _NEEDED)


def read_scenario(folder: Path) -> Scenario:
    """Returns the scenario in a folder.

    Raises `DataError` if files are missing or do not agree on their instances and algorithms.
    """
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise DataError(f"{folder} is no scenario of ASlib: {name} is missing")
    about = described((folder / "description.txt").read_text(encoding="utf-8", errors="replace"))
    runs = read_arff_file(folder / "algorithm_runs.arff")
    for needed in ("instance_id", "algorithm", "runstatus"):
        if needed not in runs.columns:
            raise DataError(f"{folder / 'algorithm_runs.arff'} has no column '{needed}'")
    measure = runs.attributes[[a.name for a in runs.attributes].index("algorithm") + 1].name
    limit = _limit(folder, about)
    features = read_arff_file(folder / "feature_values.arff")
    names = tuple(a.name for a in features.attributes if a.name not in _KEYS)
    instances = tuple(dict.fromkeys(features.columns["instance_id"].tolist()))
    known = {name: place for place, name in enumerate(instances)}
    costs, solved, algorithms = _costs(folder, runs, measure, known)
    if limit is None and str(_first(about.get("maximize"))).lower() == "true":
        costs = -costs
    if limit is None:
        costs, solved = _filled(costs), np.ones_like(solved)
    else:
        solved &= costs <= limit
    values = _by_instance(features, names, known)
    seconds, presolved = _price(folder, about, known)
    return Scenario(
        str(about.get("scenario_id") or folder.name),
        instances,
        algorithms,
        costs,
        solved,
        limit,
        values,
        names,
        seconds,
        presolved,
        _folds(folder, known),
    )


def _limit(folder: Path, about: Mapping[str, Any]) -> float | None:
    """The seconds an algorithm may take; None where quality is measured, not time."""
    if str(_first(about.get("performance_type"))).lower() != "runtime":
        return None
    try:
        limit = float(str(about.get("algorithm_cutoff_time")))
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise DataError(
            f"{folder / 'description.txt'} says that run times are measured, but not up to which "
            "limit; algorithm_cutoff_time is a positive number of seconds"
        )
    return limit


def _costs(
    folder: Path, runs: ArffTable, measure: str, known: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Costs and what was solved `[instances, algorithms]`, and the names of the algorithms."""
    algorithms = tuple(sorted(set(runs.columns["algorithm"].tolist())))
    places = {name: place for place, name in enumerate(algorithms)}
    costs = np.full((len(known), len(algorithms)), np.nan)
    solved = np.zeros(costs.shape, bool)
    columns = (runs.columns[name] for name in ("instance_id", "algorithm", measure, "runstatus"))
    for instance, algorithm, value, status in zip(*columns, strict=True):
        if instance not in known:
            raise DataError(f"{folder}: instance {instance!r} was run but has no features")
        place = known[instance], places[algorithm]
        if np.isnan(costs[place]):
            costs[place] = value
            solved[place] = status == "ok" and np.isfinite(value)
    return costs, solved, algorithms


def _filled(costs: np.ndarray) -> np.ndarray:
    """Costs whose gaps have the worst of their instance."""
    worst = np.nanmax(costs, axis=1, keepdims=True)
    return np.where(np.isnan(costs), worst, costs)


def _by_instance(table: ArffTable, names: Sequence[str], known: Mapping[str, int]) -> np.ndarray:
    values = np.full((len(known), len(names)), np.nan)
    rows = [known.get(each, -1) for each in table.columns["instance_id"].tolist()]
    for column, name in enumerate(names):
        cells = table.columns[name]
        if cells.dtype == object:  # a nominal feature: its values in their order
            order = {text: number for number, text in enumerate(sorted(set(cells.tolist())))}
            cells = np.array([order[text] if text else np.nan for text in cells.tolist()], float)
        for row, value in zip(reversed(rows), reversed(cells.tolist()), strict=True):
            if row >= 0:
                values[row, column] = value  # the first repetition is written last
    return values


def _price(
    folder: Path, about: Mapping[str, Any], known: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds for all features, and which instances were solved while they were computed."""
    seconds, presolved = np.zeros(len(known)), np.zeros(len(known), bool)
    steps = about.get("feature_steps")
    names = tuple(steps) if isinstance(steps, dict) else ()
    if (folder / "feature_costs.arff").is_file():
        costs = read_arff_file(folder / "feature_costs.arff")
        listed = [name for name in names if name in costs.columns]
        values = _by_instance(costs, listed, known)
        seconds = np.nansum(np.where(values > 0, values, 0.0), axis=1)
    if (folder / "feature_runstatus.arff").is_file():
        status = read_arff_file(folder / "feature_runstatus.arff")
        for name in status.columns:
            if name not in _KEYS:
                for instance, cell in zip(
                    status.columns["instance_id"].tolist(), status.columns[name], strict=True
                ):
                    if instance in known:
                        presolved[known[instance]] |= cell == "presolved"
    return seconds, presolved


def _folds(folder: Path, known: Mapping[str, int]) -> np.ndarray:
    table = read_arff_file(folder / "cv.arff")
    folds = np.full(len(known), -1)
    columns = (table.columns["instance_id"].tolist(), table.columns["fold"].tolist())
    for instance, fold in zip(*columns, strict=True):
        if instance in known and folds[known[instance]] < 0:
            folds[known[instance]] = int(fold)
    if (folds < 0).any():
        raise DataError(f"{folder / 'cv.arff'} gives {int((folds < 0).sum())} instances no fold")
    return folds


def described(text: str) -> dict[str, Any]:
    """Returns a description: mappings by indentation, lists by dashes, the rest as text.

    That is the part of YAML that scenarios use; a key without anything has None.
    """
    found: dict[str, Any] = {}
    path: list[tuple[int, dict[str, Any], str]] = []
    for line in text.splitlines():
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if bare.startswith("- ") or bare == "-":
            while path and path[-1][0] > indent:
                path.pop()
            if path:
                _, owner, key = path[-1]
                if not isinstance(owner[key], list):
                    owner[key] = []
                owner[key].append(_bare(bare[1:]))
            continue
        key, colon, value = bare.partition(": ") if ": " in bare else (bare.rstrip(":"), ":", "")
        while path and path[-1][0] >= indent:
            path.pop()
        owner = found
        if path:
            _, parent, name = path[-1]
            if not isinstance(parent[name], dict):
                parent[name] = {}
            owner = parent[name]
        owner[_bare(key)] = _bare(value) if colon and value.strip() else None
        path.append((indent, owner, _bare(key)))
    return found


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value
