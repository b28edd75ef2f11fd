"""A run that was stopped or left goes on: nothing that had ended is done again or lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.archive import Archive, content
from metaloop.archive.spent import note_spent, spent_by
from metaloop.core.errors import MetaloopError
from metaloop.core.records import Candidate, Choice, Plan, Trial
from metaloop.executors.ray_pool import RayPool
from metaloop.jobs.carrying import luggage_of
from metaloop.loop import Tried, finishing, learn
from metaloop.loop.charging import charged
from metaloop.loop.population import Node, Population
from metaloop.loop.proposal import Proposal
from metaloop.loop.recording import begin
from metaloop.loop.run import Earlier, Run, check_same_run, run_folder
from metaloop.loop.settings import Settings
from metaloop.models import opening
from metaloop.models.model import load_model

OPTIONS: dict[str, Any] = {"budget": "60steps", "queries": 5, "workers": 1}


def same_weights(first: Path, second: Path) -> bool:
    mine, other = (load_model(path / "model.metaloop") for path in (first, second))
    assert mine.candidate == other.candidate
    assert set(mine.meta_params) == set(other.meta_params) != set()
    return all(torch.equal(mine.meta_params[n], other.meta_params[n]) for n in mine.meta_params)


def ended(folder: Path) -> dict[int, Trial]:
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        unfinished = ("running", "interrupted")
        return {t.id: t.trial for t in archive.trials() if t.trial.status not in unfinished}


def assert_kept(before: dict[int, Trial], after: dict[int, Trial]) -> None:
    """Trials that had ended are as they were; judgements may have added figures."""
    for number, was in before.items():
        results = after[number].results[: len(was.results)]
        assert replace(after[number], results=results) == was


def learn_until(
    tries: int, folder: Path, reading: Any, settings: Settings, **options: Any
) -> dict[str, Any]:
    """Runs until so many trials were told of, then asks it to stop; returns the report."""
    told = 0
    options |= {**OPTIONS, "settings": settings}
    events = learn(reading, out=folder, stop=lambda: told >= tries, **options)
    for event in events:
        told += isinstance(event, Tried)
        last = event
    report: dict[str, Any] = last.report  # type: ignore[union-attr]
    return report


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, short: Settings, make: Any) -> Path:
    """The folder of a run that its reader left in the middle, as by an exception or Ctrl-C."""
    folder = tmp_path_factory.mktemp("left") / "run"
    events = learn(make(), out=folder, settings=short, **OPTIONS)
    for _ in range(3):
        while not isinstance(next(events), Tried):
            pass
    events.close()  # type: ignore[attr-defined]
    return folder


@pytest.mark.long
def test_a_run_that_was_left_and_then_stopped_goes_on_to_its_end(
    left: Path, reading: Any, tools: Any, tmp_path: Path, short: Settings
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(left, folder)
    first = ended(folder)
    assert len(first) >= 3
    report = learn_until(2, folder, reading, short, resume=True)
    assert (report["status"], report["test"]) == ("interrupted", None)
    figures = [row["search"]["value"] for row in report["leaderboard"] if row["search"]]
    assert report["best"]["search"]["value"] <= max(figures)
    assert load_model(report["model"]).candidate.identity == report["best"]["candidate"]
    second = ended(folder)
    assert_kept(first, second)
    assert len(second) > len(first)

    _, report = tools.run_to_end(learn(reading, out=folder, resume=True, settings=short, **OPTIONS))
    assert report["status"] == "finished" and report["test"]["better_than_chance"] is True
    third = ended(folder)
    assert_kept(second, third)
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        runs, jobs, openings = archive.runs(), archive.jobs(), archive.openings()
    assert [run.status for run in runs] == ["interrupted", "interrupted", "finished"]
    assert [opening.run for opening in openings] == [runs[-1].id]
    assert sum(job.work == "baselines" and job.status == "finished" for job in jobs) == 1
    assert not any(job.status == "running" for job in jobs)
    numbers = [job.number for job in jobs]
    assert len(set(numbers)) == len(numbers)
    shares = sum(j.asked["share"] for j in jobs if j.work != "judge" and j.status == "finished")
    assert 1 - 1e-9 <= shares < 1.15


@pytest.mark.long
def test_once_test_was_opened_nothing_is_judged_or_opened_again(
    left: Path,
    reading: Any,
    tools: Any,
    tmp_path: Path,
    short: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(left, folder)

    def fails(*arguments: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "shown_of", fails)  # after the look at `test`
        with pytest.raises(OSError, match="no space"):
            list(learn(reading, out=folder, resume=True, settings=short, **OPTIONS))
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        (seen,), judged = archive.openings(), archive.jobs()
    assert seen.result is not None

    _, report = tools.run_to_end(learn(reading, out=folder, resume=True, settings=short, **OPTIONS))
    assert report["status"] == "finished" and report["test"]["value"] == seen.result.value
    assert report["best"]["candidate"] == seen.subject
    assert load_model(folder / "model.metaloop").results[-1] == seen.result
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        assert archive.openings() == (seen,)
        assert [job.number for job in archive.jobs()] == [job.number for job in judged]


@pytest.mark.long
def test_a_look_that_was_broken_off_is_taken_by_the_same_candidate(
    left: Path,
    reading: Any,
    tools: Any,
    tmp_path: Path,
    short: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(left, folder)

    def fails(*arguments: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(opening, "evaluate", fails)
        with pytest.raises(OSError, match="killed"):
            list(learn(reading, out=folder, resume=True, settings=short, **OPTIONS))
    _, report = tools.run_to_end(learn(reading, out=folder, resume=True, settings=short, **OPTIONS))
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        broken, seen = archive.openings()
        assert sum(job.work == "judge" for job in archive.jobs()) == report["rounds"]
    assert broken.result is None and seen.result is not None
    assert broken.subject == seen.subject == report["best"]["candidate"]


def test_other_arguments_than_those_of_the_run_are_named(left: Path, reading: Any) -> None:
    before = (left / "archive.sqlite").stat().st_mtime_ns
    options = {**OPTIONS, "queries": 4, "seed": 1, "archive": left / "archive.sqlite"}
    with pytest.raises(MetaloopError, match=r"other values of --archive, --queries, --seed"):
        next(learn(reading, out=left, resume=True, **options))
    assert (left / "archive.sqlite").stat().st_mtime_ns == before


def test_stopping_before_anything_was_measured_saves_nothing_and_can_go_on(
    reading: Any, tools: Any, tmp_path: Path, short: Settings
) -> None:
    events = learn(reading, out=tmp_path / "run", stop=lambda: True, settings=short, **OPTIONS)
    _, report = tools.run_to_end(events)
    assert (report["status"], report["best"], report["model"]) == ("interrupted", None, None)
    assert learn_until(1, tmp_path / "run", reading, short, resume=True)["best"] is not None


@pytest.mark.long
@pytest.mark.parametrize("executor", [None, "ray"])
def test_one_seed_and_one_worker_give_one_archive_wherever_jobs_run(
    finished: Any, reading: Any, tools: Any, tmp_path: Path, short: Settings,
    executor: str | None, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    folder = tmp_path / "run"
    options: dict[str, Any] = {"budget": tools.budget, "queries": 5, "workers": 1}
    if executor == "ray":
        request.getfixturevalue("cluster")
        options["executor"] = lambda place, workers: RayPool(luggage_of(place.folder), workers)
    events = learn(reading, out=folder, settings=short, **options)
    _, report = tools.run_to_end(events)
    assert same_weights(finished[0], folder)
    assert report["test"] == finished[2]["test"]
    contents = []
    for path in (finished[0], folder):
        with Archive.open(path / "archive.sqlite", read_only=True) as archive:
            contents.append(content(archive))
    assert contents[0].keys() == contents[1].keys()
    for table, rows in contents[0].items():
        assert rows == contents[1][table], table


def job_of(run: Run, number: int) -> Any:
    candidate = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"))
    return begin(run, Population(), Node(number, Proposal("train", (candidate,))))


def test_earlier_tries_are_charged_what_their_ended_jobs_took(
    make_run: Callable[..., Run],
) -> None:
    run = make_run(budget="60s")
    for number in range(2):
        spent = {"cpu_seconds": 3.0, "wall_seconds": 4.0}
        run.archive.end_job(job_of(run, number), "finished", {}, **spent)
    job_of(run, 2)  # runs when the process is killed
    second = run.archive.begin_run("learn", arguments={"workers": 2}, seed=0, budget="60s")
    for number in (3, 4):
        job = run.archive.begin_job(second, number, "judge", {"episodes": 9})
        run.archive.end_job(job, "finished", {}, cpu_seconds=1.0, wall_seconds=2.0)
    earlier = check_same_run(run.archive, {"workers": 8})
    assert earlier.tries == (run.id, second)
    assert earlier.cpu == pytest.approx(3 + 3 + 1 + 1)
    assert earlier.wall == pytest.approx((4 + 4) / 1 + (2 + 2) / 2)  # by the workers of each try
    assert [stored.status for stored in run.archive.runs()] == ["interrupted", "interrupted"]


def test_what_was_spent_is_written_down_while_it_is_spent(
    make_run: Callable[..., Run],
) -> None:
    """One short job that ended, then a kill in a long one: all of the time is charged."""
    run = make_run(budget="600s")
    run.spent_before, run.cpu_before, run.worker_cpu = 50.0, 70.0, 480.0
    job = job_of(run, 0)
    run.archive.end_job(job, "finished", {}, cpu_seconds=9.0, wall_seconds=10.0)
    job_of(run, 1)  # runs when the process is killed
    with charged(run, note_seconds=0.01):
        run.started -= 310.0
        with Archive.open(run.archive.path, read_only=True) as reader:
            while (spent_by(reader, run.id) or (0.0, 0.0))[0] < 310:
                pass  # while it is spent, not at its end
    noted = spent_by(run.archive, run.id)
    assert noted is not None
    assert noted[0] == pytest.approx(run.wall_seconds - 50, abs=5)
    earlier = check_same_run(run.archive, {"workers": 1})
    assert (earlier.wall, earlier.cpu) == noted
    assert earlier.cpu == pytest.approx(480 + run.cpu_seconds - 550, abs=5)


def test_a_try_that_is_killed_before_its_first_job_is_charged_too(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    note_spent(run.archive, run.id, 4.0, 3.0)
    assert check_same_run(run.archive, {"workers": 1}) == Earlier((), 4.0, 3.0)
    assert check_same_run(run.archive, {"workers": 1, "seed": 1}) == Earlier()


def test_a_try_that_was_killed_before_its_first_job_is_not_called_running_for_ever(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    assert check_same_run(run.archive, {}).tries == ()
    assert [stored.status for stored in run.archive.runs()] == ["interrupted"]


def test_a_folder_of_a_run_that_was_killed_before_it_had_an_archive_is_fresh(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    (folder / "states").mkdir(parents=True)
    (folder / "run.lock").write_text("1234")
    (folder / ".0123456789ab.archive.tmp").write_text("")
    with run_folder(folder, resume=False) as archive:
        assert archive.runs() == ()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("do not touch")
    with pytest.raises(MetaloopError, match="already holds something"), \
            run_folder(tmp_path / "other", resume=False):  # fmt: skip
        pass
