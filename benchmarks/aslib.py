"""Which solver for which instance: how much of the gap to an oracle is closed, on ASlib.

    python benchmarks/aslib.py [DATA] [--scenarios NAME ...] [--seed 0] [--json]

DATA (default: METALOOP_SHARED_DATA) holds `aslib_scenarios/aslib_scenarios.zip`, or is a folder of
scenarios. The folds are those of each scenario. Scores are PAR10 in seconds, or an error where
quality is measured; seconds of features and of presolvers are paid. The gap closed is 0 for the
single best algorithm of the training folds and 1 for an oracle; intervals are 95 %, over instances.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.statistics import mean_with_interval
from metaloop.selecting.instances.judging import Judged, judged
from metaloop.selecting.instances.reading import is_scenario, read_scenario


@contextmanager
def scenario_folders(data: Path, names: Sequence[str] | None) -> Iterator[list[Path]]:
    """Yields the folders of scenarios in a folder, or of the zip in it, in their order."""
    packed = data / "aslib_scenarios" / "aslib_scenarios.zip"
    with tempfile.TemporaryDirectory() as unpacked:
        if packed.is_file():
            data = Path(unpacked)
            with zipfile.ZipFile(packed) as archive:
                archive.extractall(data)
        found = sorted(each for each in data.iterdir() if is_scenario(each))
        yield [each for each in found if not names or each.name in names]


def row_of(found: Judged, cpu_seconds: float) -> dict[str, Any]:
    """Returns what is told of a scenario."""
    gap = found.gap
    return {
        "scenario": found.scenario,
        "instances": gap.instances,
        "gap_closed": round(gap.closed, 4),
        "ci95": [round(gap.low, 4), round(gap.high, 4)],
        "single_best": round(gap.single_best, 4),
        "chosen": round(gap.chosen, 4),
        "oracle": round(gap.oracle, 4),
        "folds_given_up": found.gave_up,
        "cpu_seconds": round(cpu_seconds, 1),
    }


def main() -> None:
    """Prints a row for each scenario, and the mean of the gaps that are closed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--scenarios", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    shared = os.environ.get("METALOOP_SHARED_DATA")
    data = asked.data or (Path(shared) if shared else None)
    if data is None or not data.is_dir():
        print("give the folder of aslib_scenarios/, or set METALOOP_SHARED_DATA", file=sys.stderr)
        sys.exit(2)
    rows = []
    if not asked.json:
        print("| scenario | instances | single best | chosen | oracle | gap closed | 95 % |")
        print("|---|---|---|---|---|---|---|")
    with scenario_folders(data, asked.scenarios) as folders:
        if not folders:
            print(f"no scenario of ASlib in {data}", file=sys.stderr)
            sys.exit(2)
        for folder in folders:
            start = time.process_time()
            found = judged(read_scenario(folder), asked.seed)
            row = row_of(found, time.process_time() - start)
            rows.append(row)
            if not asked.json:
                low, high = row["ci95"]
                print(
                    f"| {row['scenario']} | {row['instances']} | {row['single_best']} | "
                    f"{row['chosen']} | {row['oracle']} | {100 * row['gap_closed']:.1f} % | "
                    f"{100 * low:.1f} to {100 * high:.1f} |",
                    flush=True,
                )
    if asked.json:
        print(json.dumps(rows))
    elif len(rows) > 1:
        mean = mean_with_interval(100 * np.array([row["gap_closed"] for row in rows]))
        print(f"\nmean gap closed: {mean.value:.1f} ± {mean.ci95:.1f} % ({len(rows)} scenarios)")


if __name__ == "__main__":
    main()
