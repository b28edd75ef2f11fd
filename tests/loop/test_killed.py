"""SIGKILL at any moment: the archive opens, nothing that was told is lost, the run can go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.archive import Archive, content
from metaloop.loop.run import check_same_run
from metaloop.models.model import load_model

PROGRAM = Path(__file__).parent / "program_that_learns.py"
LONGEST_SECONDS = 100.0  # of one try, on a busy machine

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 classes of vectors, easy to tell apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 10)
    vectors = rng.normal(size=(24, 12))[labels] + 0.5 * rng.normal(size=(len(labels), 12))
    path = tmp_path_factory.mktemp("data") / "vectors.npz"
    np.savez(path, X=vectors, y=labels)
    return path


class Victim:
    """The program in a process of its own; what it printed is read back line by line."""

    def __init__(self, data: Path, out: Path, *arguments: str) -> None:
        self.out = out
        self.arguments = arguments
        self.printed = out.parent / f"{out.name}.printed"
        self.said: list[dict[str, Any]] = []

        self.data = data

    def run(self, seconds: float) -> int | None:
        """Runs it for so long at most; returns its exit code, None if it was killed at work."""
        with open(self.printed, "wb") as printed, open(f"{self.printed}.errors", "wb") as errors:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(self.data), str(self.out), *self.arguments],
                stdout=printed,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            try:
                code: int | None = process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                process.wait()
        whole = [line for line in self.printed.read_text().splitlines(True) if line[-1:] == "\n"]
        self.said += [json.loads(line) for line in whole]
        return 0 if code is None and self.is_finished else code  # killed when all was done

    @property
    def has_reported(self) -> bool:
        """Whether its last word is out."""
        return bool(self.said) and "test" in self.said[-1]

    @property
    def is_finished(self) -> bool:
        """Whether the run is finished by its own record; its last word may not have come out."""
        if not (self.out / "archive.sqlite").exists():
            return False
        with Archive.open(self.out / "archive.sqlite", read_only=True) as archive:
            return archive.runs()[-1].status == "finished" if archive.runs() else False

    @property
    def errors(self) -> str:
        """What the last run said on stderr."""
        return Path(f"{self.printed}.errors").read_text()

    def workers(self) -> list[int]:
        """Returns the worker processes of this run that are alive."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                state = (
                    (entry / "stat").read_text().rsplit(")", 1)[-1].split()[0] if command else ""
                )
            except (OSError, IndexError):
                continue
            if b"metaloop.jobs" in command and str(self.out).encode() in command:
                found += [int(entry.name)] if state != "Z" else []
        return found


def ended_trials(out: Path) -> dict[int, Any]:
    """Returns the trials that have ended, from an archive opened for reading."""
    if not (out / "archive.sqlite").exists():
        return {}
    with Archive.open(out / "archive.sqlite", read_only=True) as archive:
        assert archive.query("PRAGMA integrity_check")[0][0] == "ok"
        unfinished = ("running", "interrupted")
        return {t.id: t.trial for t in archive.trials() if t.trial.status not in unfinished}


def kill_at(victim: Victim, moments: list[float]) -> int:
    """Kills the program after so many seconds, again and again; returns how often it had to be."""
    known: dict[int, Any] = {}
    for number, seconds in enumerate(moments):
        if victim.run(seconds) is not None:
            assert "Error" not in victim.errors, victim.errors
            return number
        until = time.monotonic() + 20
        while victim.workers() and time.monotonic() < until:
            time.sleep(0.1)
        assert not victim.workers(), "workers outlive their coordinator"
        ended = ended_trials(victim.out)
        for trial, was in known.items():
            results = ended[trial].results[: len(was.results)]  # judgements add to them
            assert replace(ended[trial], results=results) == was
        known = ended
        told = {(t.candidate, t.status, t.results[0].value if t.results else None)
                for t in ended.values()}  # fmt: skip
        for said in victim.said:
            assert (said["candidate"], said["status"], said["value"]) in told
    return len(moments)


def check_completed(victim: Victim, kills: int) -> None:
    model = load_model(victim.out / "model.metaloop")
    assert model.results[-1].episodes == 200
    if victim.has_reported:
        report = victim.said.pop()
        assert report["status"] == "finished"
        assert not (victim.out / "states").exists()
        assert report["test"]["value"] == model.results[-1].value
    ended = ended_trials(victim.out)
    told = {t.candidate for t in ended.values()}
    assert {said["candidate"] for said in victim.said} <= told
    with Archive.open(victim.out / "archive.sqlite", read_only=True) as archive:
        runs, openings, jobs = archive.runs(), archive.openings(), archive.jobs()
        rows = content(archive)
    assert [run.status for run in runs] == ["interrupted"] * kills + ["finished"]
    assert not [
        row for table in ("trials", "jobs") for row in rows[table] if ("status", "running") in row
    ]
    # Looks that a kill has broken off are on record, too; one was seen to its end.
    seen = [opening.result.value for opening in openings if opening.result is not None]
    assert seen == [model.results[-1].value]
    assert len(openings) <= 1 + kills
    numbers = [job.number for job in jobs]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.long
def test_a_run_that_is_killed_twice_loses_nothing_and_completes(data: Path, tmp_path: Path) -> None:
    victim = Victim(data, tmp_path / "run")
    rng = np.random.default_rng(3)
    kills = kill_at(victim, [float(rng.uniform(6, 9)), float(rng.uniform(6, 12))])
    if kills == 2:  # else it was quick enough to end before
        assert victim.run(LONGEST_SECONDS) == 0, victim.errors
    check_completed(victim, len_of_tries(victim.out) - 1)


@pytest.mark.long
def test_a_run_that_is_killed_at_twenty_random_moments_loses_nothing_and_completes(
    data: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    kills = round_number = 0
    while kills < 20:  # a run that ends before it is killed often enough makes room for another
        round_number += 1
        victim = Victim(data, tmp_path / f"run{round_number}")
        moments = [float(rng.uniform(0.5, 9)) for _ in range(min(6, 20 - kills))]
        done = kill_at(victim, moments)
        kills += done
        if done == len(moments):
            assert victim.run(LONGEST_SECONDS) == 0, victim.errors
        check_completed(victim, len_of_tries(victim.out) - 1)


def len_of_tries(out: Path) -> int:
    with Archive.open(out / "archive.sqlite", read_only=True) as archive:
        return len(archive.runs())


@pytest.mark.long
def test_killing_and_resuming_grants_no_budget(data: Path, tmp_path: Path) -> None:
    """Of 40 seconds a job may take many: what it took when it was killed is spent."""
    victim = Victim(data, tmp_path / "run", "40s")
    known = 0.0
    for _ in range(2):
        if victim.run(18) is not None:
            pytest.fail(f"it ended before it was killed: {victim.errors}")
        now = datetime.now(timezone.utc)
        with Archive.open(victim.out / "archive.sqlite") as archive:
            tried = archive.runs()[-1]
            began = datetime.fromisoformat(archive.jobs(tried.id)[0].started)
            earlier = check_same_run(archive, {})
        took = (now - began.astimezone(timezone.utc)).total_seconds()
        assert took - 5 <= earlier.wall - known <= took + 5
        known = earlier.wall
    assert victim.run(LONGEST_SECONDS) == 0, victim.errors
    report = victim.said[-1]
    assert report["status"] == "finished"
    assert known < report["wall_seconds"] < 40 + 15
