"""Omniglot on the published split: accuracy of learners after a budget, over seeds.

    .venv/bin/python benchmarks/omniglot.py DATA [--learners protonet,ridge] [--seeds 0,1,2]
        [--budget 240s] [--results runs/benchmark-omniglot] [--json]

DATA is the folder of Omniglot's original files with the Vinyals lists. Each learner and seed is the
real command `metaloop train`, then four times `metaloop evaluate` (1,000 test episodes each). What
is finished is kept in the results folder and not run again. Nothing else should run meanwhile: the
budget is in wall seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

TASKS = ((5, 1), (5, 5), (20, 1), (20, 5))
PUBLISHED = {  # ProtoNet paper (Snell et al. 2017, table 1), in percent
    (5, 1): 98.8,
    (5, 5): 99.7,
    (20, 1): 96.0,
    (20, 5): 98.9,
}


def metaloop(*arguments: str) -> dict[str, Any]:
    """Returns the JSON that one command prints; stops with its message if it fails."""
    command = [sys.executable, "-m", "metaloop", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(data: str, learner: str, seed: int, budget: str, folder: Path) -> dict[str, Any]:
    """Returns the figures of one learner and seed, from the results folder if they are there."""
    kept = folder / f"{learner}-{budget}-seed{seed}.json"
    if kept.exists():
        known: dict[str, Any] = json.loads(kept.read_text())
        return known
    model = folder / f"{learner}-{budget}-seed{seed}.metaloop"
    figures: dict[str, Any] = {"learner": learner, "seed": seed, "budget": budget, "tests": {}}
    if not model.exists():
        arguments = ["--learner", learner, "--budget", budget, "--seed", str(seed)]
        trained = metaloop("train", data, *arguments, "--out", str(model))
        figures |= {key: trained[key] for key in ("steps", "wall_seconds", "cpu_seconds")}
    for ways, shots in TASKS:
        task = ["--ways", str(ways), "--shots", str(shots), "--episodes", "1000"]
        result = metaloop("evaluate", str(model), data, *task)
        figures["tests"][f"{ways}w{shots}s"] = {k: result[k] for k in ("value", "ci95", "episodes")}
    kept.write_text(json.dumps(figures, indent=1))
    return figures


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns mean over seeds and half-width of its interval: episodes and seeds together.

    Every seed is measured on the same episodes, so the interval of one run is kept, widened by the
    spread between seeds.
    """
    table = {}
    for ways, shots in TASKS:
        tests = [run["tests"][f"{ways}w{shots}s"] for run in runs]
        values = [test["value"] for test in tests]
        mean = sum(values) / len(values)
        spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
        half = math.sqrt(max(t["ci95"] for t in tests) ** 2 + 1.96**2 * spread / len(values))
        table[f"{ways}w{shots}s"] = {"value": mean, "ci95": half, "seeds": len(values)}
    return table


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--learners", default="protonet")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget", default="240s")
    parser.add_argument("--results", type=Path, default=Path("runs/benchmark-omniglot"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    table = {}
    for learner in options.learners.split(","):
        runs = []
        for seed in map(int, options.seeds.split(",")):
            print(f"{learner}, seed {seed}", file=sys.stderr, flush=True)
            runs.append(measure(options.data, learner, seed, options.budget, options.results))
        table[learner] = summary(runs)
    if options.json:
        print(json.dumps(table))
        return
    names = [f"{ways}w{shots}s" for ways, shots in TASKS]
    print("| learner | " + " | ".join(names) + " | seeds |")
    print("|---" * (len(names) + 2) + "|")
    for learner, row in table.items():
        cells = [f"{100 * row[n]['value']:.2f} ± {100 * row[n]['ci95']:.2f}" for n in names]
        print(f"| {learner} | {' | '.join(cells)} | {row[names[0]]['seeds']} |")
    print(f"| ProtoNet paper | {' | '.join(str(PUBLISHED[t]) for t in TASKS)} | - |")


if __name__ == "__main__":
    main()
