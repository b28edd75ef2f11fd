"""The machine fails, not the learner: the run stops, `test` stays shut, and it can go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metaloop.archive import Archive
from metaloop.core.errors import MachineError, MetaloopError, OutputError
from metaloop.loop import Learned, Tried, learn, learning
from metaloop.loop.proposal import Generates
from metaloop.loop.settings import Settings
from metaloop.tasks.store import Reading

OPTIONS: dict[str, Any] = {
    "budget": "20steps",
    "queries": 5,
    "workers": 1,
    "generates": Generates(algorithms=False, data=False),
}


class NeedsTooMuch(nn.Module):
    """A net that no machine has the memory to train, unless `is_modest`."""

    is_modest = False

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and not self.is_modest:
            torch.empty(1 << 50)
        features: torch.Tensor = self.layer(images.flatten(1))
        return features


@pytest.fixture
def options(here: dict[str, Any]) -> dict[str, Any]:
    """Lets all work be done here, where limits can be set and lifted."""
    return {**OPTIONS, **here}


def pass_trials(events: Iterator[Any], number: int) -> None:
    """Goes on until so many trials were told of."""
    for _ in range(number):
        while not isinstance(next(events), Tried):
            pass


def statuses(folder: Path) -> tuple[list[str], list[str], int]:
    """Returns those of runs and of jobs, and how often `test` was looked at."""
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        runs = [str(run.status) for run in archive.runs()]
        return runs, [job.status for job in archive.jobs()], len(archive.openings())


def assert_stopped(folder: Path) -> None:
    runs, jobs, openings = statuses(folder)
    assert runs[-1] != "finished" and openings == 0
    assert not (folder / "model.metaloop").exists()
    assert "failed" not in jobs


def assert_goes_on(events: Iterator[Any]) -> None:
    *_, last = events
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    trained = [row for row in last.report["leaderboard"] if not row["baseline"]]
    assert "finished" in {row["status"] for row in trained}


def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(
    reading: Reading, tmp_path: Path, small_files: Any, options: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    events = learn(reading, out=folder, **options)
    pass_trials(events, 1)
    small_files(1)
    with pytest.raises((MachineError, OutputError), match=r"cannot write|cannot be .*written"):
        list(events)
    small_files(None)
    assert_stopped(folder)
    assert_goes_on(learn(reading, out=folder, resume=True, **options))


def test_a_lost_folder_stops_the_run_which_goes_on_without_what_was_in_it(
    reading: Reading, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    events = learn(reading, out=folder, **options)
    pass_trials(events, 3)
    shutil.rmtree(folder / "states")
    with pytest.raises(MachineError, match=r"states.*go on with --resume"):
        list(events)
    assert_stopped(folder)
    assert_goes_on(learn(reading, out=folder, resume=True, **options))


def test_too_little_memory_for_any_net_stops_the_run(
    reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: Settings
) -> None:
    folder, net, options = tmp_path / "run", NeedsTooMuch(), {**OPTIONS, "settings": short}
    with pytest.raises(MachineError, match=r"ran out of memory.*--resume"):
        list(learn(reading, out=folder, net=net, **options))
    assert_stopped(folder)
    monkeypatch.setattr(NeedsTooMuch, "is_modest", True)
    assert_goes_on(learn(reading, out=folder, net=net, resume=True, **options))


def write(path: Path, classes: int, shift: float = 0.0) -> Path:
    """Writes classes of 8 vectors that are told apart easily, and the same every time."""
    rng = np.random.default_rng(0)
    centres, noise = rng.normal(size=(40, 6)), rng.normal(size=(40, 8, 6))
    inputs = (centres[:, None] + 0.3 * noise + shift)[:classes].reshape(-1, 6)
    np.savez(path, X=inputs, y=[f"c{k:02d}" for k in range(classes) for _ in range(8)])
    return path


def test_a_run_does_not_go_on_with_data_that_changed(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    data, folder = write(tmp_path / "data.npz", 24), tmp_path / "run"
    options |= {"out": folder, "also": [write(tmp_path / "more.npz", 30, 5.0)]}
    events = learn(data, **options)
    pass_trials(events, 1)
    events.close()  # type: ignore[attr-defined]
    for classes, shift, said in (
        (25, 0.0, "class 'c24' is new, 192 examples are now 200"),
        (23, 0.0, "class 'c23' is gone, 192 examples are now 184"),
        (24, 0.1, "examples have other content"),
    ):
        write(data, classes, shift)
        with pytest.raises(MetaloopError, match=f"'data' changed since this run began: {said}"):
            list(learn(data, resume=True, **options))
    write(data, 24)
    write(tmp_path / "more.npz", 29, 5.0)
    with pytest.raises(MetaloopError, match="'more' changed since this run began: class"):
        list(learn(data, resume=True, **options))
    write(tmp_path / "more.npz", 30, 5.0)
    assert statuses(folder)[2] == 0
    assert_goes_on(learn(data, resume=True, **options))


def test_reading_an_archive_is_not_charged_to_the_budget(
    reading: Reading,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    list(learn(reading, out=tmp_path / "first", **options))
    known = learning.known_programs

    def slowly(archive: Archive) -> list[str]:
        time.sleep(2.5)
        return known(archive)

    monkeypatch.setattr(learning, "known_programs", slowly)
    earlier = tmp_path / "first" / "archive.sqlite"
    options |= {"budget": "2s", "archive": earlier}
    *_, last = learn(reading, out=tmp_path / "second", **options)
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    assert last.report["reading_seconds"] >= 2.5
