"""A run that was stopped or killed goes on and ends with the very same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.archive import Archive, content
from metaloop.catalogue.model import load_model
from metaloop.core.errors import MetaloopError
from metaloop.loop import learn


def same_weights(first: Path, second: Path) -> bool:
    mine, other = (load_model(path / "model.metaloop") for path in (first, second))
    assert mine.candidate == other.candidate
    assert set(mine.meta_params) == set(other.meta_params) != set()
    return all(torch.equal(mine.meta_params[n], other.meta_params[n]) for n in mine.meta_params)


@pytest.mark.parametrize("polls", [[17], [9, 4, 30]], ids=["once", "three times"])
def test_an_interrupted_run_goes_on_to_the_same_model(
    finished: Any, reading: Any, tools: Any, tmp_path: Path, polls: list[int]
) -> None:
    folder, options = tmp_path / "run", {"budget": tools.budget, "queries": 5}
    for number, count in enumerate(polls):
        events = learn(
            reading, out=folder, resume=number > 0, stop=tools.stop_after(count), **options
        )
        _, report = tools.run_to_end(events)
        assert report["status"] == "interrupted"
        assert report.get("test") is None
        if report["model"]:
            load_model(report["model"])
    _, report = tools.run_to_end(learn(reading, out=folder, resume=True, **options))
    assert report["status"] == "finished"
    assert same_weights(finished[0], folder)
    assert report["test"] == finished[2]["test"]
    assert report["best"]["promotion"] == finished[2]["best"]["promotion"]
    assert len(report["leaderboard"]) == len(finished[2]["leaderboard"])
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        statuses = [run.status for run in archive.runs()]
        assert statuses == ["interrupted"] * len(polls) + ["finished"]
        assert len(archive.openings()) == 1


def test_a_run_that_is_left_in_the_middle_can_go_on(
    finished: Any, reading: Any, tools: Any, tmp_path: Path
) -> None:
    options = {"out": tmp_path / "run", "budget": tools.budget, "queries": 5}
    events = learn(reading, **options)
    for _ in range(12):
        next(events)
    events.close()  # as by an exception or Ctrl-C in the reader of the events
    _, report = tools.run_to_end(learn(reading, resume=True, **options))
    assert report["test"] == finished[2]["test"]
    assert same_weights(finished[0], tmp_path / "run")


def test_stopping_early_saves_the_best_so_far(reading: Any, tools: Any, tmp_path: Path) -> None:
    events = learn(
        reading, out=tmp_path / "run", budget=tools.budget, queries=5, stop=tools.stop_after(4)
    )
    _, report = tools.run_to_end(events)
    assert report["status"] == "interrupted"
    assert report["best"] is not None
    values = [row["search"]["value"] for row in report["leaderboard"] if row["search"]]
    assert report["best"]["search"]["value"] == max(values)
    assert load_model(report["model"]).candidate.learner.name == report["best"]["learner"]


def test_other_arguments_than_those_of_the_run_are_named(
    reading: Any, tools: Any, tmp_path: Path
) -> None:
    options = {"out": tmp_path / "run", "budget": tools.budget, "stop": tools.stop_after(1)}
    tools.run_to_end(learn(reading, queries=5, **options))
    with pytest.raises(MetaloopError, match=r"other values of --queries, --seed"):
        next(learn(reading, queries=4, seed=1, resume=True, **options))


def test_one_seed_gives_one_archive(
    finished: Any, reading: Any, tools: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    _, report = tools.run_to_end(learn(reading, out=folder, budget=tools.budget, queries=5))
    assert same_weights(finished[0], folder)
    assert report["test"] == finished[2]["test"]
    contents = []
    for path in (finished[0], folder):
        with Archive.open(path / "archive.sqlite", read_only=True) as archive:
            contents.append(content(archive))
    assert contents[0].keys() == contents[1].keys()
    for table, rows in contents[0].items():
        assert rows == contents[1][table], table
