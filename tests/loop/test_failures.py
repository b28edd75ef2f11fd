"""A candidate that fails, diverges or hangs is a record of the run, not its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from metaloop.archive import Archive
from metaloop.core.errors import DataError, MetaloopError
from metaloop.core.records import Trial
from metaloop.loop import Learned, Tried, learn
from metaloop.loop.proposal import Generates
from metaloop.loop.settings import Settings
from metaloop.tasks.store import Reading

OPTIONS: dict[str, Any] = {"budget": "40steps", "queries": 5}


class BreaksInTraining(nn.Module):
    """Embeds as it should, but cannot be trained, or (`at` > 0) not beyond that many calls."""

    def __init__(self, at: int = 0, how: str = "raise") -> None:
        super().__init__()
        self.layer = nn.Linear(64, 16)
        self.calls, self.at, self.how = 0, at, how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layer(images.flatten(1))
        if self.training:
            self.calls += 1
            if self.calls > self.at and self.how == "raise":
                raise RuntimeError("this net\ncannot be trained")
            if self.calls > self.at:
                return features * torch.inf
        return features


def trials_of(folder: Path) -> list[Trial]:
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        return [stored.trial for stored in archive.trials()]


def test_where_no_net_can_be_trained_a_plain_baseline_is_returned(
    reading: Reading, tmp_path: Path, short: Settings
) -> None:
    options = {**OPTIONS, "settings": short}
    events = list(learn(reading, out=tmp_path / "run", net=BreaksInTraining(), **options))
    assert isinstance(events[-1], Learned)
    report: dict[str, Any] = events[-1].report
    assert report["status"] == "finished" and report["best"]["baseline"] is True
    trials = trials_of(tmp_path / "run")
    failed = [trial for trial in trials if trial.status == "failed"]
    assert failed and {trial.message for trial in failed} == {
        "RuntimeError: this net cannot be trained"
    }
    assert all(not trial.results for trial in failed)
    assert {trial.status for trial in trials} == {"failed", "finished"}
    told = [event.trial for event in events if isinstance(event, Tried)]
    assert {trial.status for trial in told} == {"failed", "finished"}


@pytest.mark.parametrize("how", ["raise", "diverge"])
def test_a_net_that_breaks_in_the_middle_leaves_what_was_reached(
    reading: Reading, tmp_path: Path, how: str, short: Settings
) -> None:
    nothing = Generates(algorithms=False, data=False)
    options = {**OPTIONS, "generates": nothing, "settings": short}
    events = learn(reading, out=tmp_path / "run", net=BreaksInTraining(12, how), **options)
    *_, last = events
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    statuses = {trial.status for trial in trials_of(tmp_path / "run")}
    assert statuses == {"finished", "failed" if how == "raise" else "diverged"}
    rows = {row["status"] for row in last.report["leaderboard"]}
    assert "finished" in rows and last.report["best"]["status"] == "finished"


def npz(path: Path, shape: tuple[int, ...], seed: int = 0) -> Path:
    """Writes 24 classes of 8 noise examples."""
    import numpy as np

    rng = np.random.default_rng(seed)
    np.savez(path, X=rng.random(size=(192, *shape)), y=np.repeat(np.arange(24), 8))
    return path


def test_further_data_of_another_shape_are_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    target = npz(tmp_path / "target.npz", (6,))
    for name, shape in (("wide", (7,)), ("images", (8, 8))):
        other = npz(tmp_path / f"{name}.npz", shape)
        with pytest.raises(DataError, match=f"{name}: .* cannot be learned from for target"):
            list(learn(target, out=tmp_path / name, also=[other], **OPTIONS))
    with pytest.raises(DataError, match="sinusoid has no classes to share; leave --also away"):
        list(learn(target, out=tmp_path / "functions", also=["sinusoid"], **OPTIONS))
    colours = npz(tmp_path / "colours.npz", (8, 8, 3))
    grey = npz(tmp_path / "grey.npz", (8, 8), seed=1)
    with pytest.raises(DataError, match="cannot be learned from for grey"):
        list(learn(grey, out=tmp_path / "channels", also=[colours], **OPTIONS))


def test_an_archive_that_is_none_is_refused(reading: Reading, tmp_path: Path) -> None:
    with pytest.raises(MetaloopError):
        list(learn(reading, out=tmp_path / "run", archive=tmp_path / "missing", **OPTIONS))
