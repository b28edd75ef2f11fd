"""An archive of several runs: merged by name, listed, pruned; the same of both storages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.archive import (
    Archive,
    DataSet,
    RunId,
    check_elsewhere,
    content,
    merge,
    record_elsewhere,
)
from metaloop.archive.overview import find_run, list_runs, run_json
from metaloop.archive.pruning import Which, parse_age, prune
from metaloop.core.errors import ArchiveError, MetaloopError, UnknownNameError
from metaloop.core.records import Candidate, Result, Trial

Fill = Callable[..., RunId]


@pytest.fixture
def fill(
    data_set: DataSet,
    candidate: Callable[..., Candidate],
    result: Callable[..., Result],
    finished: Callable[..., Trial],
) -> Fill:
    """Adds a run of a few trials to an archive, each from the one before."""

    def fill(
        archive: Archive, trials: int = 3, seed: int = 0, end: bool = True, **more: Any
    ) -> RunId:
        data = more.get("data", data_set)
        archive.add_data_set(data)
        run = archive.begin_run("learn", arguments={"data": "o"}, seed=seed, budget="3s")
        before = more.get("continues")
        parent: list[str] = []
        for number in range(trials):
            made = candidate(rate=1 + 10.0 * seed + number)
            identity = archive.add_candidate(made, parent, "change: rate", run=run)
            job = archive.begin_job(run, number, "train", {"number": number})
            begun = archive.begin_trial(
                run, identity, data.hash, seed=5, rung=1, job=job, continues=before
            )
            scored = replace(result(value=number / 8), protocol=result().protocol)
            outcome = finished(identity, results=(scored,))
            archive.end_trial(begun, outcome, {"list1": np.arange(4.0)})
            archive.end_job(job, "finished", {}, cpu_seconds=2.0)
            parent, before = [identity], begun
        archive.add_artefact(run, "picture", "image/png", b"png")
        if end:
            seen = replace(result().protocol, part="test", data_hash=data.hash)
            opening = archive.record_opening(parent[0], "the end", seen, run=run)
            archive.finish_opening(opening, replace(result(value=0.5), protocol=seen))
            archive.end_run(run, "finished")
        return run

    return fill


@pytest.fixture
def shared(place: str) -> Iterator[Archive]:
    """An empty archive, once in a file and once on a server."""
    with Archive.open_or_create(place) as opened:
        yield opened


def made(path: Path) -> Archive:
    return Archive.create(path)


def told(archive: Archive) -> list[dict[str, Any]]:
    return [run_json(archive, one) | {"run": 0, "extras": 0} for one in list_runs(archive)]


def test_the_same_run_twice_is_one_and_comes_out_as_it_went_in(
    shared: Archive, fill: Fill, tmp_path: Path
) -> None:
    with made(tmp_path / "a") as a, made(tmp_path / "b") as b, made(tmp_path / "back") as back:
        fill(a), fill(b, seed=1)
        for source in (a, b):
            merged = merge(source, shared)
            assert merged.added == [run.uid for run in source.runs()]
        once = content(shared, times=True)
        assert merge(a, shared).known == [run.uid for run in a.runs()]
        assert content(shared, times=True) == once
        assert told(shared) == told(a) + told(b)
        assert merge(shared, back).added == [run.uid for run in shared.runs()]
        assert told(back) == told(shared)
        assert [one.trial for one in back.trials()] == [
            one.trial for each in (a, b) for one in each.trials()
        ]
        assert [s.parents for s in back.candidates()] == [
            s.parents for each in (a, b) for s in each.candidates()
        ]


def test_a_run_that_has_gone_on_is_brought_up_to_date_under_its_number(
    shared: Archive, fill: Fill, tmp_path: Path
) -> None:
    with made(tmp_path / "other") as other:
        fill(other, seed=1)
        merge(other, shared)
    with made(tmp_path / "a") as a, made(tmp_path / "early") as early:
        run = fill(a, end=False)
        merge(a, shared)
        merge(a, early)
        a.end_run(run, "finished")
        assert merge(a, shared).updated == [a.runs()[0].uid]
        assert [one.run.id for one in list_runs(shared)] == [1, 2]
        assert list_runs(shared)[1].run.status == "finished"
        assert merge(early, shared).kept == [a.runs()[0].uid]
        assert told(shared)[1] == told(a)[0]


def test_tries_of_a_resumed_run_stay_linked_and_empty_ones_stay_behind(
    shared: Archive, fill: Fill, tmp_path: Path
) -> None:
    with made(tmp_path / "a") as a:
        a.begin_run("learn", arguments={}, seed=0, budget="1s")
        first = fill(a, end=False)
        fill(a, seed=1, continues=a.trials(first)[-1].id)
        for _ in range(2):
            merged = merge(a, shared)
            assert len(merged.empty) == 1
            tried = shared.trials()
            assert [t.continues for t in tried] == [None, *[t.id for t in tried[:-1]]]
            assert {t.run for t in tried[:3]} != {t.run for t in tried[3:]}


def test_scores_and_pictures_come_only_if_asked_for(
    shared: Archive, fill: Fill, tmp_path: Path
) -> None:
    with made(tmp_path / "a") as a:
        fill(a)
        merge(a, shared)
        assert shared.artefacts() == () and not any(r.has_scores for r in shared.results())
        assert merge(a, shared, whole=True).updated
        assert [item.content for item in shared.artefacts()] == [b"png"]
        assert shared.scores(shared.results()[0].id).tolist() == [0.0, 1.0, 2.0, 3.0]
        assert merge(a, shared, whole=True).known and merge(a, shared).known


def test_two_who_merge_at_once_bring_every_run_once(
    shared: Archive, place: str, fill: Fill, tmp_path: Path
) -> None:
    with made(tmp_path / "a") as a:
        for seed in range(4):
            fill(a, seed=seed, trials=2)
    failures: list[BaseException] = []

    def record() -> None:
        try:
            record_elsewhere(tmp_path / "a", place)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [one.run.seed for one in list_runs(shared)] == list(range(4))
    assert len(shared.trials()) == 8


def test_an_archive_is_not_merged_into_itself(shared: Archive, place: str) -> None:
    with Archive.open(place) as again, pytest.raises(ArchiveError, match="into itself"):
        merge(again, shared)


def test_whether_a_run_can_be_recorded_is_asked_without_a_trace(
    shared: Archive, place: str
) -> None:
    check_elsewhere(place)
    assert shared.runs() == ()


def test_pruned_runs_are_gone_with_what_only_they_had_and_looks_stay(
    shared: Archive, fill: Fill, data_set: DataSet, tmp_path: Path
) -> None:
    fill(shared, end=False)
    kept = fill(shared, seed=1)
    fill(shared, seed=2, data=replace(data_set, hash="other", name="another"))
    before = content(shared, times=True)
    named = Which(data="another")
    seen = prune(shared, named, dry=True)
    assert content(shared, times=True) == before
    with made(tmp_path / "copy") as copy:
        merge(shared, copy)
    done = prune(shared, named)
    assert [one.run.seed for one in done.runs] == [one.run.seed for one in seen.runs] == [2]
    assert (done.candidates, done.looks_kept) == (seen.candidates, seen.looks_kept) == (0, 1)
    assert [o.run for o in shared.openings()] == [kept, None]
    broken_off = prune(shared, Which(unfinished=True))
    assert ([one.run.seed for one in broken_off.runs], broken_off.candidates) == ([0], 3)
    assert [one.run.id for one in list_runs(shared)] == [kept]
    assert len(shared.trials()) == 3 and len(shared.candidates()) == 6  # 3 led to a look at test
    with Archive.open(tmp_path / "copy", read_only=True) as copy:
        merge(copy, shared)
    assert len(shared.openings()) == 2 and None not in [o.run for o in shared.openings()]


def test_only_runs_of_the_age_that_is_asked_for_go(shared: Archive, fill: Fill) -> None:
    old = fill(shared)
    with shared.transaction():
        shared.change("UPDATE runs SET started = ?", ("2025-01-01T00:00:00.000+00:00",))
    fill(shared, seed=1)
    assert prune(shared, Which(timedelta(days=1), unfinished=True)).runs == []
    assert [one.run.id for one in prune(shared, Which(parse_age("1.5d"))).runs] == [old]
    assert [one.run.seed for one in list_runs(shared)] == [1]


def test_what_is_wrong_with_a_request_is_one_line(shared: Archive, fill: Fill) -> None:
    for text in ("", "3", "d", "-3d", "3x", "9999999d"):
        with pytest.raises(MetaloopError, match="an age is"):
            parse_age(text)
    with pytest.raises(MetaloopError, match="--unfinished"):
        Which()
    with pytest.raises(UnknownNameError, match="it has none"):
        find_run(shared, "1")
    run = fill(shared)
    uid = shared.runs()[0].uid
    assert find_run(shared, str(run)) == find_run(shared, uid[:8])
    with pytest.raises(UnknownNameError, match="the last one is"):
        find_run(shared, "nobody")
