"""What holds of an archive, whatever keeps it: a file of SQLite, a database of PostgreSQL.

What is written is read back equal; what does not fit is refused and leaves no trace; several
processes may write at once, and one that is killed takes nothing with it but what it was at.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metaloop.core
from metaloop.archive import Archive, DataSet, RunId, content, schema
from metaloop.archive.spent import note_spent, spent_by
from metaloop.core.errors import ArchiveError, OutputError, UnknownNameError
from metaloop.core.records import Candidate, CurvePoint, Result, Trial, Verdict
from metaloop.core.statistics import EpisodeScores, estimate, paired_difference

MakeCandidate = Callable[..., Candidate]
MakeResult = Callable[..., Result]
MakeTrial = Callable[..., Trial]

PICTURE = bytes(range(256))
SOURCE = str(Path(metaloop.core.__file__).parents[2])


@pytest.fixture
def archive(place: str) -> Iterator[Archive]:
    """An empty archive, once in a file and once on a server."""
    with Archive.open_or_create(place) as opened:
        yield opened


def test_a_run_is_read_back_and_ends(archive: Archive, run: RunId) -> None:
    (begun,) = archive.runs()
    assert (begun.command, begun.arguments, begun.seed) == ("learn", {"data": "omniglot"}, 3)
    assert (begun.status, begun.ended) == ("running", None)
    assert {"python", "torch", "platform", "cpu_count", "metaloop"} <= set(begun.environment)
    archive.end_run(run, "finished")
    assert archive.runs()[0].status == "finished"
    assert archive.runs()[0].ended >= begun.started


def test_a_data_set_is_read_back_and_recorded_once(
    archive: Archive, run: RunId, data_set: DataSet
) -> None:
    archive.add_data_set(replace(data_set, name="the same at another path"))
    assert archive.data_sets() == (data_set,)


def test_the_same_data_in_other_parts_is_refused(
    archive: Archive, run: RunId, data_set: DataSet
) -> None:
    with pytest.raises(ArchiveError, match="other parts"):
        archive.add_data_set(replace(data_set, parts={"train": ("D",), "test": ("A",)}))


def test_candidates_are_recorded_once_with_their_first_origin(
    archive: Archive, run: RunId, candidate: MakeCandidate
) -> None:
    first = archive.add_candidate(candidate(), run=run)
    program = candidate(program="def adapt(): ...")
    second = archive.add_candidate(program, [first], "insert node", behaviour="beef")
    assert archive.add_candidate(program, [], "another") == second
    parent, child = archive.candidates()
    assert (parent.candidate, parent.operator, parent.run) == (candidate(), "catalogue", run)
    assert (child.candidate, child.operator, child.parents) == (program, "insert node", (first,))
    assert (child.identity, child.behaviour) == (program.identity, "beef")


def test_lineage_has_every_candidate_before_its_parents(
    archive: Archive, candidate: MakeCandidate
) -> None:
    rates = (0.1, 0.2, 0.3, 0.4)
    a, b, c, d = (candidate(rate=rate).identity for rate in rates)
    for rate, parents in zip(rates, ([], [a], [a], [c, b]), strict=True):
        archive.add_candidate(candidate(rate=rate), parents, "crossover")
    archive.add_candidate(candidate(rate=0.5))
    assert [entry.identity for entry in archive.lineage(d)] == [d, c, b, a]
    assert archive.lineage(d)[0].parents == (c, b)
    with pytest.raises(UnknownNameError, match="candidate"):
        archive.lineage("nonsense")


def test_a_trial_is_read_back_with_curve_results_and_scores(
    archive: Archive,
    run: RunId,
    candidate: MakeCandidate,
    result: MakeResult,
    data_set: DataSet,
    finished: MakeTrial,
) -> None:
    identity = archive.add_candidate(candidate())
    trunk = archive.begin_trial(run, identity, data_set.hash, seed=5)
    trial = archive.begin_trial(run, identity, data_set.hash, seed=5, rung=1, continues=trunk)
    assert archive.trials()[1].trial.status == "running"
    scores = {
        "list1": np.array([0.1, 0.2, 0.3, 1 / 3]),
        "list2": np.array([0.1, 0.2, 0.3, 1 / 3], dtype=np.float32),
    }
    first, second = archive.end_trial(trial, finished(identity), scores)
    stored = archive.trials(run)[1]
    assert stored.trial == finished(identity)
    assert (stored.continues, stored.data_hash, stored.run) == (trunk, data_set.hash, run)
    for number, name in ((first, "list1"), (second, "list2")):
        read = archive.scores(number)
        assert read.dtype == scores[name].dtype
        assert np.array_equal(read, scores[name])
    assert [r.result for r in archive.results(list_hash="list2", run=run)] == [result("list2", 0.5)]
    assert archive.results(candidate="another") == ()


def test_scores_of_classes_are_read_back_and_two_results_of_a_list_can_be_paired(
    archive: Archive,
    run: RunId,
    candidate: MakeCandidate,
    result: MakeResult,
    data_set: DataSet,
) -> None:
    rng = np.random.default_rng(0)
    units = np.array([rng.permutation(6)[:3] for _ in range(40)])

    def measured() -> EpisodeScores:
        shares = rng.integers(0, 16, (40, 3)) / 15
        return EpisodeScores(shares.mean(1), shares, units)

    scores = measured(), measured()
    expected = estimate(scores[0])
    stored = []
    for one in scores:
        identity = archive.add_candidate(candidate(rate=1.0 + len(stored)))
        trial = archive.begin_trial(run, identity, data_set.hash, seed=5)
        record = replace(result(episodes=40), ci95_new=expected.ci95_new, units=6)
        stored.append(archive.add_result(trial, record, one))
    read = [archive.episode_scores(number) for number in stored]
    for mine, theirs in zip(read, scores, strict=True):
        for name in ("values", "unit_values", "units"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    assert paired_difference(*read) == paired_difference(*scores)
    assert archive.results()[0].result.ci95_new == expected.ci95_new is not None
    assert archive.results()[0].result.units == 6
    assert len(archive.query("SELECT * FROM episode_lists")) == 1  # once for both
    with pytest.raises(ValueError, match="known with other units"):
        archive.add_result(trial, record, EpisodeScores(one.values, one.unit_values, units + 1))


def test_figures_that_are_not_finite_come_back(
    archive: Archive,
    run: RunId,
    candidate: MakeCandidate,
    result: MakeResult,
    data_set: DataSet,
    finished: MakeTrial,
) -> None:
    identity = archive.add_candidate(candidate())
    trial = archive.begin_trial(run, identity, data_set.hash, seed=5, rung=1)
    single = replace(result(episodes=1), ci95=math.inf)
    outcome = finished(
        identity,
        status="diverged",
        curve=(CurvePoint(1, 0.1, math.nan), CurvePoint(2, 0.2, math.inf, None)),
        results=(single, replace(single, value=math.nan)),
        message="loss is nan at '\udcff.png'",
    )
    archive.end_trial(trial, outcome)
    read = archive.trials()[0].trial
    assert math.isnan(read.curve[0].loss)
    assert read.curve[1] == outcome.curve[1]
    assert read.results[0] == single
    assert math.isnan(read.results[1].value)
    assert read.message == r"loss is nan at '\udcff.png'"


@pytest.mark.parametrize(
    ("changes", "scores"),
    [
        ({"seed": 6}, {}),
        ({"rung": 2}, {}),
        ({"candidate": "another"}, {}),
        ({}, {"list3": np.zeros(4)}),
        ({}, {"list2": np.zeros(5)}),
    ],
)
def test_an_outcome_that_does_not_fit_its_trial_leaves_no_trace(
    archive: Archive,
    run: RunId,
    changes: dict[str, object],
    scores: dict[str, np.ndarray],
    candidate: MakeCandidate,
    data_set: DataSet,
    finished: MakeTrial,
) -> None:
    identity = archive.add_candidate(candidate())
    trial = archive.begin_trial(run, identity, data_set.hash, seed=5, rung=1)
    before = content(archive, times=True)
    with pytest.raises(ValueError, match=r"another|scores"):
        archive.end_trial(trial, finished(identity, **changes), scores)
    assert content(archive, times=True) == before


def test_a_trial_ends_once(
    archive: Archive, run: RunId, candidate: MakeCandidate, data_set: DataSet, finished: MakeTrial
) -> None:
    identity = archive.add_candidate(candidate())
    trial = archive.begin_trial(run, identity, data_set.hash, seed=5, rung=1)
    archive.end_trial(trial, finished(identity))
    with pytest.raises(ValueError, match="is finished"):
        archive.end_trial(trial, finished(identity))


def test_a_record_of_something_unknown_is_refused(
    archive: Archive, run: RunId, candidate: MakeCandidate, data_set: DataSet
) -> None:
    identity = archive.add_candidate(candidate())
    with pytest.raises(ValueError, match="does not fit the archive"):
        archive.begin_trial(run, "nobody", data_set.hash, seed=0)
    with pytest.raises(ValueError, match="does not fit the archive"):
        archive.begin_trial(run, identity, "no data", seed=0)
    with pytest.raises(ValueError, match="does not fit the archive"):
        archive.add_candidate(candidate(rate=1.0), ["nobody"])
    assert len(archive.candidates()) == 1
    assert archive.trials() == ()


def test_verdicts_and_openings_are_read_back(
    archive: Archive, run: RunId, candidate: MakeCandidate, result: MakeResult
) -> None:
    winner, loser = (archive.add_candidate(candidate(rate=rate)) for rate in (0.1, 0.2))
    verdict = Verdict(winner, loser, "promotion", 0.02, 0.01, 600, "sure", -0.01, 12, False)
    archive.add_verdict(run, verdict)
    assert [stored.verdict for stored in archive.verdicts(run)] == [verdict]

    seen = result()
    opening = archive.record_opening(winner, "final test", seen.protocol, run=run)
    assert archive.openings()[0].result is None
    archive.finish_opening(opening, seen)
    archive.record_opening("model-hash", "evaluate", seen.protocol, result=seen)
    by_run, by_hand = archive.openings()
    assert (by_run.subject, by_run.run, by_run.result) == (winner, run, seen)
    assert (by_hand.subject, by_hand.run, by_hand.result) == ("model-hash", None, seen)
    assert archive.openings(run) == (by_run,)


def test_a_run_left_running_is_marked_interrupted_with_its_trials(
    archive: Archive, run: RunId, candidate: MakeCandidate, data_set: DataSet, finished: MakeTrial
) -> None:
    identity = archive.add_candidate(candidate())
    done, left = (archive.begin_trial(run, identity, data_set.hash, seed=5, rung=1) for _ in "ab")
    archive.end_trial(done, finished(identity))
    archive.mark_interrupted(run)
    archive.mark_interrupted(run)
    assert archive.runs()[0].status == "interrupted"
    assert [stored.trial.status for stored in archive.trials()] == ["finished", "interrupted"]
    assert archive.trials()[1].id == left


def test_a_transaction_keeps_all_or_nothing(archive: Archive, candidate: MakeCandidate) -> None:
    with suppress(KeyboardInterrupt), archive.transaction():
        archive.add_candidate(candidate(rate=0.1))
        raise KeyboardInterrupt
    assert archive.candidates() == ()
    with archive.transaction():
        archive.add_candidate(candidate(rate=0.1))
        with pytest.raises(ValueError, match="does not fit the archive"):
            archive.add_candidate(candidate(rate=0.2), ["nobody"])
    assert len(archive.candidates()) == 1


def test_equal_runs_differ_only_in_times(
    tmp_path: Path, place: str, candidate: MakeCandidate, data_set: DataSet, finished: MakeTrial
) -> None:
    contents = []
    for name, where in (("first", place), ("second", tmp_path / "second.sqlite")):
        with Archive.open_or_create(where) as archive:
            archive.add_data_set(data_set)
            run = archive.begin_run("learn", arguments={"out": name}, seed=0, budget="5steps")
            identity = archive.add_candidate(candidate(), run=run)
            trial = archive.begin_trial(run, identity, data_set.hash, seed=5, rung=1)
            seconds = 1.0 if name == "first" else 2.0
            archive.end_trial(trial, finished(identity, cpu_seconds=seconds))
            archive.end_run(run, "finished")
            contents.append((content(archive), content(archive, times=True)))
    assert contents[0][0] == contents[1][0]
    assert contents[0][1] != contents[1][1]


def test_an_artefact_is_read_back(archive: Archive, run: RunId) -> None:
    first = archive.add_artefact(run, "episode", "image/png", PICTURE, "five letters, one each")
    other = archive.begin_run("learn", arguments={}, seed=0, budget="1s")
    second = archive.add_artefact(other, "a name \ud800 of a file", "text/plain", b"")
    found = archive.artefacts()
    assert [artefact.id for artefact in found] == [first, second]
    assert (found[0].run, found[0].name, found[0].media_type) == (run, "episode", "image/png")
    assert (found[0].caption, found[0].content) == ("five letters, one each", PICTURE)
    assert (found[1].name, found[1].caption) == ("a name \\ud800 of a file", "")
    assert archive.artefacts(run) == found[:1]
    assert len(content(archive)["artefacts"]) == 2


def test_an_artefact_of_an_unknown_run_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="does not fit the archive"):
        archive.add_artefact(RunId(7), "episode", "image/png", PICTURE)
    assert archive.artefacts() == ()


def test_readers_see_whole_transactions_while_another_is_open(
    archive: Archive, candidate: MakeCandidate
) -> None:
    with Archive.open(archive.place, read_only=True) as reader:
        with archive.transaction():
            archive.add_candidate(candidate())
            assert reader.candidates() == ()
        assert len(reader.candidates()) == 1
        with reader.snapshot():
            assert len(reader.candidates()) == 1
            archive.add_candidate(candidate(rate=1.0))
            assert len(reader.candidates()) == 1
        assert len(reader.candidates()) == 2


def test_a_short_append_waits_for_a_writer_and_succeeds(
    archive: Archive, run: RunId, candidate: MakeCandidate, result: MakeResult
) -> None:
    def append() -> None:
        with Archive.open(archive.place) as second:
            second.record_opening("model", "evaluate", result().protocol, result=result())

    appending = threading.Thread(target=append)
    with archive.transaction():
        archive.add_candidate(candidate())
        appending.start()
        time.sleep(0.15)
        assert appending.is_alive()
    appending.join(timeout=10)
    assert len(archive.openings()) == 1


def test_a_writer_that_waits_in_vain_says_so_in_one_line(
    archive: Archive, run: RunId, candidate: MakeCandidate
) -> None:
    with Archive.open(archive.place, wait_seconds=0.01) as second:
        with (
            archive.transaction(),
            pytest.raises(ArchiveError, match="another process is writing") as caught,
        ):
            second.add_candidate(candidate())
        assert "\n" not in str(caught.value)
        second.add_candidate(candidate())
    assert len(archive.candidates()) == 1


def test_a_write_outside_of_a_transaction_is_a_mistake(archive: Archive) -> None:
    with pytest.raises(ValueError, match="inside a transaction"):
        archive.change("DELETE FROM runs", ())


def test_several_may_make_the_same_archive_at_once(place: str, result: MakeResult) -> None:
    def make() -> None:
        with Archive.open_or_create(place) as archive:
            archive.record_opening("model", "evaluate", result().protocol)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Archive.open(place) as archive:
        assert len(archive.openings()) == 8


def test_what_a_run_has_spent_is_noted_and_the_last_note_counts(
    archive: Archive, run: RunId
) -> None:
    assert spent_by(archive, run) is None
    note_spent(archive, run, 1.0, 2.0)
    note_spent(archive, run, 3.0, 4.5)
    assert spent_by(archive, run) == (3.0, 4.5)


def test_text_that_one_storage_could_not_hold_comes_back_readable(archive: Archive) -> None:
    run = archive.begin_run("a\0b\ud800", arguments={"a": "\0"}, seed=2**63 - 1, budget="1s")
    (read,) = archive.runs()
    assert (read.id, read.seed) == (run, 2**63 - 1)
    assert (read.command, read.arguments) == ("a\\x00b\\ud800", {"a": "\0"})


def test_what_failed_inside_a_transaction_takes_nothing_else_with_it(
    archive: Archive, run: RunId
) -> None:
    with archive.transaction():
        archive.change("UPDATE runs SET budget = ? WHERE id = ?", ("9s", run))
        for _ in range(2):
            with pytest.raises(ValueError, match="does not fit"):
                archive.begin_trial(run, "nobody", "no data", seed=0)
    assert archive.runs()[0].budget == "9s"


def test_a_reader_cannot_write(archive: Archive, candidate: MakeCandidate) -> None:
    with Archive.open(archive.place, read_only=True) as reader:
        with pytest.raises(ArchiveError, match="reading only"):
            reader.add_candidate(candidate())
        with pytest.raises(OutputError, match="read-only"):
            reader.query("DELETE FROM runs")


def test_an_archive_of_a_newer_version_is_refused_and_one_that_cannot_be_upgraded(
    archive: Archive, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, version = archive.place, schema.VERSION
    archive.close()
    for other, says in ((version - 1, "newer metaloop"), (version + 1, "cannot be upgraded")):
        monkeypatch.setattr(schema, "VERSION", other)
        with pytest.raises(ArchiveError, match=says) as caught:
            Archive.open(place)
        assert "\n" not in str(caught.value)


def test_a_writer_upgrades_an_older_archive_once(
    archive: Archive, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_column(connection: Any) -> None:
        connection.execute("ALTER TABLE runs ADD COLUMN host REAL")

    place, old = archive.place, schema.VERSION
    archive.close()
    monkeypatch.setattr(schema, "VERSION", old + 1)
    monkeypatch.setitem(schema.UPGRADES, old, add_column)
    for _ in range(2):
        with Archive.open(place) as opened:
            assert opened.query("SELECT host FROM runs")[0]["host"] is None
            (said,) = opened.query("SELECT value FROM meta WHERE key = 'schema version'")
            assert said["value"] == str(old + 1)
            assert opened.runs()[0].seed == 3


# Writes trials until there are enough, and says so after each commit; all have some candidates
# in common. A line that was written is a promise.
WRITER = """
import sys
from metaloop.archive import Archive
from metaloop.core.records import Candidate, Choice, CurvePoint, Plan, Protocol, Result, Trial

place, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Archive.open_or_create(place) as archive:
    run = archive.begin_run("learn", arguments={}, seed=seed, budget="1h")
    print(run, flush=True)
    for number in range(count):
        candidate = Candidate(Choice("protonet"), Choice("conv4"), Plan("none", ways=number + 2))
        protocol = Protocol("search", 5, 1, 15, "none", "list", "d4ta")
        found = Result("accuracy", number / 7, 0.1, 600, protocol)
        with archive.transaction():
            identity = archive.add_candidate(candidate, run=run)
            trial = archive.begin_trial(run, identity, "d4ta", seed=number)
            points = (CurvePoint(1, 0.1, 0.5),)
            outcome = Trial(identity, "finished", number, curve=points, results=(found,))
            archive.end_trial(trial, outcome)
        print(trial, flush=True)
    archive.end_run(run, "finished")
"""
WRITERS, TRIALS = 4, 25


def test_several_processes_write_at_once_and_a_kill_of_one_loses_nothing(
    archive: Archive, data_set: DataSet, place: str
) -> None:
    archive.add_data_set(data_set)
    counts = [TRIALS] * (WRITERS - 1) + [100_000]
    processes = [start(WRITER, place, seed, count) for seed, count in enumerate(counts)]
    victim, said = processes[-1], []
    assert victim.stdout is not None
    said += [victim.stdout.readline() for _ in range(6)]
    victim.send_signal(signal.SIGKILL)
    said += victim.communicate()[0].splitlines(keepends=True)
    whole = [int(line) for line in said if line.endswith("\n")]
    for process in processes[:-1]:
        lines = process.communicate(timeout=100)[0].split()
        assert process.returncode == 0 and len(lines) == TRIALS + 1

    runs = archive.runs()
    assert sorted(run.seed for run in runs) == list(range(WRITERS))
    for run in runs:
        trials = archive.trials(run.id)
        assert {one.trial.status for one in trials} == {"finished"}
        assert [one.trial.seed for one in trials] == list(range(len(trials)))
        assert all(one.trial.results[0].value == one.trial.seed / 7 for one in trials)
        if run.seed < WRITERS - 1:
            assert (run.status, len(trials)) == ("finished", TRIALS)
        else:
            assert (run.status, run.id) == ("running", whole[0])
            assert set(whole[1:]) <= {one.id for one in trials}
    archive.mark_interrupted(runs[-1].id)
    known = [stored.identity for stored in archive.candidates()]
    assert len(known) == len(set(known)) >= TRIALS


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "OPENBLAS_NUM_THREADS": "1"},
    )
