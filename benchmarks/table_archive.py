"""Is the next table cheaper with an archive of others? Small data sets of PMLB, by seconds of the CPU.

    python benchmarks/table_archive.py [DATA] --measured FILE --archive FILE --from SET ... --on SET ...
                                       [--learned 10] [--seconds 1 2 4]

`metaloop select` learns from the training rows of each set of `--from` for `--learned` CPU-seconds
and records that in the archive, as `--archive-to` does; one that is there already is used as it is.
Then it is given few seconds on each set of `--on`, of other families, with the archive and without.
Printed are balanced accuracy on test rows (the first outer split) and how many pipelines told all
rows, both with what is shipped of the prior derived without the set and its relatives.
"""  # noqa: E501

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from table_data import DataSet, outer_splits, read_sets
from table_rivals import Given, clock_of_the_cpu, selected
from tables import crossfitted

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

from derive_table_prior import Matrices, family_of

import metaloop as ml
from metaloop.core.statistics import mean_with_interval
from metaloop.selection.ensembling import balanced_error
from metaloop.tasks.readers.tables import Table

_FOLDS = 5


def record(data_set: DataSet, archive: Path, seconds: float) -> None:
    """Records a run of `select` on the training rows of a data set in the archive."""
    train, _ = outer_splits(data_set)[0]
    columns = {f"c{place}": column for place, column in enumerate(data_set.inputs[train].T)}
    labels = np.array([f"class {target}" for target in data_set.targets[train]], object)
    with tempfile.TemporaryDirectory() as folder, clock_of_the_cpu():
        ml.select(
            Table(data_set.name, {**columns, "y": labels}), target="y", out=Path(folder) / "run",
            budget=f"{seconds:g}s", workers=1, archive_to=archive, progress=False,
        )  # fmt: skip


def told(given: Given, archive: Path | None) -> tuple[float, float]:
    """Returns the balanced accuracy on test rows in points, and how many told all rows."""
    made = selected(given, archive)
    targets = given.data_set.targets[given.test]
    score = 100 * (1 - balanced_error(np.asarray(made.predict(given.asked)), targets))
    return score, sum(row["folds"] >= _FOLDS for row in made.leaderboard_)


def main() -> None:
    """Prints a table, a line for each number of seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--from", nargs="+", required=True, dest="learned_from", metavar="SET")
    parser.add_argument("--on", nargs="+", required=True, metavar="SET")
    parser.add_argument("--learned", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    asked = parser.parse_args()
    shared = os.environ.get("METALOOP_SHARED_DATA")
    data = asked.data or (Path(shared) if shared else None)
    if data is None or not (data / "pmlb_benchmark" / "datasets.zip").is_file():
        print("give the folder of pmlb_benchmark/, or set METALOOP_SHARED_DATA", file=sys.stderr)
        sys.exit(2)
    both = set(map(family_of, asked.learned_from)) & set(map(family_of, asked.on))
    if both:
        print(f"--from and --on are of other families; both have {min(both)}", file=sys.stderr)
        sys.exit(2)
    sets = {each.name: each for each in read_sets(data, 1250)}
    if unknown := {*asked.learned_from, *asked.on} - {*sets}:
        print(f"no set is called {min(unknown)}; there are {', '.join(sets)}", file=sys.stderr)
        sys.exit(2)
    if not asked.archive.exists():
        for name in asked.learned_from:
            record(sets[name], asked.archive, asked.learned)
    chosen = [sets[name] for name in asked.on]
    priors = crossfitted(chosen, Matrices(data, asked.measured))
    print("| seconds | without | told all rows | with the archive | told all rows | difference |")
    print("|---|---|---|---|---|---|")
    for seconds in asked.seconds:
        found = []
        for data_set, prior in zip([chosen[0], *chosen], [priors[0], *priors], strict=True):
            train, test = outer_splits(data_set)[0]
            given = Given(data_set, train, test, seconds, prior, seed=0)
            found.append([*told(given, None), *told(given, asked.archive)])
        scores = np.array(found[1:])  # the first time libraries are loaded
        means, gain = scores.mean(axis=0), mean_with_interval(scores[:, 2] - scores[:, 0])
        cells = " | ".join(f"{mean:.1f}" for mean in means)
        print(f"| {seconds:g} | {cells} | {gain.value:+.2f} ± {gain.ci95:.2f} |", flush=True)


if __name__ == "__main__":
    main()
