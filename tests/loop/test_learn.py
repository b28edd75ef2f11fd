"""A whole run of the loop: what it writes, what it reports, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaloop.archive import Archive, content
from metaloop.catalogue.learners import LEARNERS
from metaloop.catalogue.model import load_model
from metaloop.core.errors import (
    BudgetError,
    DataError,
    EpisodeError,
    MetaloopError,
    OutputError,
)
from metaloop.loop import DataRead, Learned, Promoted, Tried, learn


def test_a_run_writes_a_model_and_an_archive_and_nothing_else_of_use(finished: Any) -> None:
    folder, _, report = finished
    assert report["status"] == "finished"
    assert Path(report["model"]) == folder / "model.metaloop"
    assert Path(report["archive"]) == folder / "archive.sqlite"
    assert Path(report["model"]).stat().st_size > 0
    assert not (folder / "states").exists()


def test_the_report_is_json_with_all_keys(finished: Any) -> None:
    report = json.loads(json.dumps(finished[2], allow_nan=False))
    wanted = {"model", "archive", "best", "test", "leaderboard", "cpu_seconds", "wall_seconds"}
    assert wanted <= set(report)
    assert {"metric", "value", "ci95", "episodes", "ways", "shots"} <= set(report["test"])
    assert (report["test"]["ways"], report["test"]["shots"]) == (5, 1)
    assert report["test"]["episodes"] == 1000
    assert report["cpu_seconds"] > 0
    assert report["reading_seconds"] > 0 and report["test_seconds"] > 0
    assert {row["learner"] for row in report["leaderboard"]} == set(LEARNERS)
    assert report["best"]["candidate"] in {row["candidate"] for row in report["leaderboard"]}
    assert "digits" not in report


def test_something_was_learned(finished: Any) -> None:
    report = finished[2]
    baselines = [row["search"]["value"] for row in report["leaderboard"] if row["baseline"]]
    assert report["best"]["learner"] in LEARNERS
    assert LEARNERS[report["best"]["learner"]].trunk != "none"
    assert report["test"]["value"] - report["test"]["ci95"] > max(baselines)


def test_events_come_in_order(finished: Any) -> None:
    kinds = [type(event) for event in finished[1]]
    assert kinds[0] is DataRead
    assert kinds.count(Promoted) == 1
    tried = [event for event in finished[1] if isinstance(event, Tried)]
    assert max(i for i, kind in enumerate(kinds) if kind is Tried) < kinds.index(Promoted)
    assert {event.trial.status for event in tried} == {"finished"}


def test_the_archive_holds_every_candidate_trial_and_one_opening(finished: Any) -> None:
    folder, events, report = finished
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        (run,) = archive.runs()
        assert (run.command, run.status) == ("learn", "finished")
        (opening,) = archive.openings()
        rows = content(archive)
        trials = archive.trials(run.id)
    assert opening.subject == report["best"]["candidate"]
    assert len(rows["candidates"]) == len(report["leaderboard"])
    assert len(trials) == sum(isinstance(event, Tried) for event in events)
    assert len(rows["verdicts"]) == 1


def test_the_model_carries_its_parts_and_results(finished: Any) -> None:
    folder, _, report = finished
    model = load_model(folder / "model.metaloop")
    names = [name for part in model.parts.values() for name in part]
    assert len(names) == len(set(names)) == 24
    assert min(len(part) for part in model.parts.values()) >= 5
    assert [result.protocol.part for result in model.results][-2:] == ["promotion", "test"]
    assert model.results[-1].value == report["test"]["value"]
    assert model.training.budget == "60steps"


def test_an_existing_folder_is_refused_and_left_as_it_was(
    finished: Any, reading: Any, tmp_path: Path
) -> None:
    folder = finished[0]
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(OutputError, match="already holds something; go on with --resume"):
        next(learn(reading, out=folder))
    assert {p: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        next(learn(reading, out=tmp_path / "file"))
    with pytest.raises(OutputError, match="no run to resume"):
        next(learn(reading, out=tmp_path / "none", resume=True))


def test_a_finished_run_is_not_trained_again(finished: Any, reading: Any) -> None:
    folder = finished[0]
    before = (folder / "model.metaloop").read_bytes()
    with pytest.raises(MetaloopError, match="is finished; choose another"):
        list(learn(reading, out=folder, budget="60steps", queries=5, resume=True))
    assert (folder / "model.metaloop").read_bytes() == before


def test_nonsense_is_refused_before_anything_is_trained(reading: Any, tmp_path: Path) -> None:
    with pytest.raises(BudgetError):
        next(learn(reading, out=tmp_path / "a", budget="0s"))
    assert not (tmp_path / "a").exists()
    with pytest.raises(EpisodeError, match="largest possible --ways is"):
        next(learn(reading, out=tmp_path / "b", ways=50))
    with pytest.raises(EpisodeError, match="lower --shots"):
        next(learn(reading, out=tmp_path / "c", shots=30))
    with pytest.raises(DataError):
        next(learn(tmp_path / "missing", out=tmp_path / "d"))
    with Archive.open(tmp_path / "d" / "archive.sqlite", read_only=True) as archive:
        assert [run.status for run in archive.runs()] == ["failed"]


@pytest.mark.long
def test_where_labels_mean_nothing_the_result_is_chance(tools: Any, tmp_path: Path) -> None:
    shuffled = tools.make_reading(shuffled=True)
    events = learn(shuffled, out=tmp_path / "run", budget=tools.budget, queries=5)
    _, report = tools.run_to_end(events)
    assert report["test"]["value"] == pytest.approx(0.2, abs=0.05)


@pytest.mark.long
def test_images_with_convolutional_nets_are_learned(tools: Any, tmp_path: Path) -> None:
    large = tools.make_reading(side=16)
    _, report = tools.run_to_end(learn(large, out=tmp_path / "run", budget="60steps", queries=5))
    assert report["status"] == "finished"
    assert {row["net"] for row in report["leaderboard"]} == {"raw", "strided"}


@pytest.mark.long
def test_regression_is_learned_without_baselines(tools: Any, tmp_path: Path) -> None:
    events = learn("sinusoid", out=tmp_path / "run", budget="100steps", shots=10, queries=10)
    _, report = tools.run_to_end(events)
    assert report["test"]["metric"] == "mse"
    assert report["test"]["value"] < 5


def test_a_reader_that_stops_at_the_last_event_leaves_a_finished_run(
    reading: Any, tmp_path: Path
) -> None:
    for event in learn(reading, out=tmp_path / "run", budget="30steps", queries=5):
        if isinstance(event, Learned):
            break
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        assert [run.status for run in archive.runs()] == ["finished"]
        assert len(archive.openings()) == 1
