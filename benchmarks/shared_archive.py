"""What an archive that a team shares costs: recording a run in it, and reading a portfolio from it.

    python benchmarks/shared_archive.py [--trials 500] [--runs 200] [--url postgresql://...]

Made are runs of as many trials as are asked for, each with five early figures and two results, on
families of their own. Recorded is one such run into a file and into a database, both of which hold
the others already; then the greedy portfolio is read from both. Without `--url` a server is
started, as the tests do, and the round trip to it is that of loopback.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from metaloop.archive import Archive, DataSet, merge, record_elsewhere
from metaloop.core.records import Candidate, Choice, CurvePoint, Plan, Protocol, Result, Trial
from metaloop.loop.choosing import errors_of
from metaloop.selection.portfolio import portfolio

EPISODES = 600
OTHER_TRIALS = 20  # of the runs that are there already: about what three minutes try


def add_run(archive: Archive, number: int, trials: int) -> None:
    """Records a run on a family of its own, half of whose candidates others have, too."""
    rng = np.random.default_rng(number)
    data = DataSet(f"{number:016x}", f"family {number}", "vectors", 100, 2000, {"train": ()}, {})
    archive.add_data_set(data)
    run = archive.begin_run("learn", arguments={"data": data.name}, seed=number, budget="10m")
    for place in range(trials):
        rate = 1e-3 * (place + 1) + (0.0 if place % 2 else 1e-6 * (number + 1))
        candidate = Candidate(
            Choice("protonet"), Choice("mlp"), Plan("episodes", learning_rate=rate)
        )
        results = tuple(
            Result(
                "accuracy", float(rng.uniform(0.4, 0.9)), 0.01, EPISODES,
                Protocol("search", 5, shots, 15, "running", f"{number}-{shots}", data.hash),
            )
            for shots in (1, 5)
        )  # fmt: skip
        with archive.transaction():
            identity = archive.add_candidate(candidate, run=run)
            job = archive.begin_job(run, place, "train", {"operator": "plan: rate"})
            trial = archive.begin_trial(run, identity, data.hash, seed=number, job=job)
            curve = tuple(CurvePoint(100 * k, 1.0 * k, 0.5 / (k + 1), 0.5) for k in range(5))
            outcome = Trial(
                identity, "finished", number, 500, 9.0, 9.0, curve=curve, results=results
            )
            scores = {r.protocol.list_hash: rng.uniform(size=EPISODES) for r in results}
            archive.end_trial(trial, outcome, scores)
            archive.end_job(job, "finished", {}, cpu_seconds=9.0, wall_seconds=9.0)
    archive.end_run(run, "finished")


def timed(work: Callable[[], object]) -> str:
    """Does the work; returns its wall and CPU seconds in words."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return f"{wall:6.2f} s, of which this process computes {cpu:5.2f} s"


def read_portfolio(place: str) -> list[int]:
    """Reads what runs say of candidates; returns the places of the best four."""
    with Archive.open(place, read_only=True) as archive:
        errors, _ = errors_of(archive)
    return list(portfolio(errors, 4))


def measure(url: str, trials: int, runs: int) -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        team, one = Path(folder, "team.sqlite"), Path(folder, "one.sqlite")
        with Archive.create(team) as archive, archive.transaction():
            for number in range(runs):
                add_run(archive, number, OTHER_TRIALS)
        with Archive.open(team, read_only=True) as source, Archive.open_or_create(url) as target:
            said = timed(partial(merge, source, target))
            print(f"bring {runs} runs to the server: {said}", flush=True)
        with Archive.create(one) as archive, archive.transaction():
            add_run(archive, runs, trials)
        for name, place in (("file", str(team)), ("server", url)):
            said = timed(partial(record_elsewhere, one, place))
            print(f"record a run of {trials} trials, {name}: {said}", flush=True)
            again = timed(partial(record_elsewhere, one, place))
            print(f"record it again, {name}: {again}", flush=True)
            portfolio_said = timed(partial(read_portfolio, place))
            print(f"read a portfolio from {runs + 1} runs, {name}: {portfolio_said}", flush=True)


def main() -> None:
    """Reads the arguments, starts a server if there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--url")
    asked = parser.parse_args()
    if asked.url:
        measure(asked.url, asked.trials, asked.runs)
        return
    from tests.postgres import Server

    server = Server()
    try:
        server.start()
        measure(server.place(), asked.trials, asked.runs)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
