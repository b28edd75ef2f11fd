"""What is written is read back equal; what does not fit is refused and leaves no trace."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metaloop.archive import Archive, DataSet, RunId, content
from metaloop.core.errors import ArchiveError, UnknownNameError
from metaloop.core.records import Candidate, CurvePoint, Result, Trial, Verdict
from metaloop.core.statistics import EpisodeScores, estimate, paired_difference

MakeCandidate = Callable[..., Candidate]
MakeResult = Callable[..., Result]
MakeTrial = Callable[..., Trial]


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
    with pytest.raises(sqlite3.IntegrityError):
        archive.begin_trial(run, "nobody", data_set.hash, seed=0)
    with pytest.raises(sqlite3.IntegrityError):
        archive.begin_trial(run, identity, "no data", seed=0)
    with pytest.raises(sqlite3.IntegrityError):
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
        with pytest.raises(sqlite3.IntegrityError):
            archive.add_candidate(candidate(rate=0.2), ["nobody"])
    assert len(archive.candidates()) == 1


def test_equal_runs_differ_only_in_times(
    tmp_path: Path, candidate: MakeCandidate, data_set: DataSet, finished: MakeTrial
) -> None:
    contents = []
    for name in ("first", "second"):
        with Archive.create(tmp_path / name) as archive:
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
