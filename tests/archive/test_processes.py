"""Several processes and one archive: kills, readers beside a writer, writers in turn, locks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import metaloop.core
from metaloop.archive import Archive, DataSet, RunId, run_lock
from metaloop.core.errors import OutputError
from metaloop.core.records import Candidate, Result

MakeCandidate = Callable[..., Candidate]
MakeResult = Callable[..., Result]

SOURCE = str(Path(metaloop.core.__file__).parents[2])

# Says "<trial> <score>" once a trial is committed; a line that was written is a promise.
WRITER = """
import sys
import numpy as np
from metaloop.archive import Archive
from metaloop.core.records import Candidate, Choice, CurvePoint, Plan, Protocol, Result, Trial

with Archive.open(sys.argv[1]) as archive:
    run = archive.begin_run("learn", arguments={}, seed=0, budget="1h")
    for number in range(100_000):
        candidate = Candidate(Choice("protonet"), Choice("conv4"), Plan("none", ways=number))
        identity = archive.add_candidate(candidate, run=run)
        trial = archive.begin_trial(run, identity, "d4ta", seed=number)
        protocol = Protocol("search", 5, 1, 15, "none", "list", "d4ta")
        found = Result("accuracy", number / 7, 0.1, 600, protocol)
        curve = (CurvePoint(1, 0.1, 0.5),)
        outcome = Trial(identity, "finished", number, curve=curve, results=(found,))
        archive.end_trial(trial, outcome, {"list": np.full(600, number / 7)})
        sys.stdout.write(f"{trial} {number}\\n")
        sys.stdout.flush()
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "OPENBLAS_NUM_THREADS": "1"},
    )


def test_a_kill_at_any_moment_loses_nothing_that_was_reported(archive: Archive, run: RunId) -> None:
    rng = random.Random(0)
    path, promised = archive.path, {}
    archive.close()
    for _ in range(6):
        process = start(WRITER, path)
        assert process.stdout is not None
        lines = [process.stdout.readline()]  # wait until it works
        time.sleep(rng.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        promised.update({int(trial): int(number) for trial, number in whole})

        with Archive.open(path, read_only=True) as reader:  # before any writer has repaired it
            assert len(reader.trials()) >= len(promised)
        with Archive.open(path) as reopened:
            assert reopened.query("PRAGMA integrity_check")[0][0] == "ok"
            assert reopened.query("PRAGMA foreign_key_check") == []
            kept = {stored.id: stored.trial for stored in reopened.trials()}
            for trial, number in promised.items():
                assert (kept[trial].status, kept[trial].seed) == ("finished", number)
                assert kept[trial].results[0].value == number / 7
            last = reopened.results()[-1]
            assert set(reopened.scores(last.id)) == {last.result.value}
            reopened.mark_interrupted(reopened.runs()[-1].id)
    assert len(promised) >= 6


def test_a_kill_while_it_is_made_leaves_a_whole_archive_or_none(tmp_path: Path) -> None:
    program = """
import sys
from metaloop.archive import Archive
for number in range(100_000):
    Archive.create(f"{sys.argv[1]}/{number}.sqlite").close()
    print(number, flush=True)
"""
    process = start(program, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    process.kill()
    process.communicate()
    made = list(tmp_path.glob("*.sqlite"))
    assert made
    for path in made:
        with Archive.open(path) as archive:
            assert archive.runs() == ()


def test_an_archive_that_is_opened_again_meanwhile_is_still_taken_for_one_in_use(
    archive: Archive, run: RunId
) -> None:
    """A process that closes it last removes the `-wal`; who has it open would go on in that."""
    with Archive.open(archive.path, read_only=True) as again:
        assert len(again.runs()) == 1
    program = """
import sys
from metaloop.archive import Archive
with Archive.open(sys.argv[1]) as archive:
    archive.begin_run("evaluate", arguments={}, seed=1, budget="1s")
"""
    process = start(program, archive.path)
    process.communicate()
    assert process.returncode == 0
    archive.begin_run("learn", arguments={}, seed=2, budget="1s")
    with Archive.open(archive.path, read_only=True) as reader:
        assert [found.seed for found in reader.runs()] == [3, 1, 2]


def test_an_archive_is_read_without_torch(
    archive: Archive, run: RunId, candidate: MakeCandidate, data_set: DataSet
) -> None:
    identity = archive.add_candidate(candidate(), run=run)
    trial = archive.begin_trial(run, identity, data_set.hash, seed=1)
    program = """
import json, sys
sys.modules["torch"] = None  # an import of it fails
from metaloop.archive import Archive
with Archive.open(sys.argv[1], read_only=True) as archive:
    print(json.dumps([archive.trials()[0].id, archive.candidates()[0].identity,
                      archive.runs()[0].environment["torch"]]))
"""
    process = start(program, archive.path)
    printed = json.loads(process.communicate()[0])
    assert printed[:2] == [trial, identity]
    assert printed[2]


def test_a_second_run_in_one_directory_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path),
        pytest.raises(OutputError, match=f"another metaloop run .*process {os.getpid()}"),
        run_lock(tmp_path),
    ):
        pass
    with run_lock(tmp_path):
        pass


def test_the_lock_of_a_killed_run_is_free_though_its_workers_live(tmp_path: Path) -> None:
    program = """
import multiprocessing, os, sys, time
from metaloop.archive import run_lock
def work():
    print(os.getpid(), flush=True)  # by now the fork is complete
    time.sleep(60)
with run_lock(sys.argv[1]):
    multiprocessing.get_context("fork").Process(target=work).start()
    time.sleep(60)
"""
    process = start(program, tmp_path)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    try:
        with pytest.raises(OutputError), run_lock(tmp_path):
            pass
        process.kill()
        process.wait()
        with run_lock(tmp_path):
            os.kill(worker, 0)
    finally:
        os.kill(worker, signal.SIGKILL)
        process.stdout.close()


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write in") as caught, run_lock(tmp_path / "no"):
        pass
    assert "\n" not in str(caught.value)
