"""A candidate that fails is a record of the run, not its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from metaloop.archive import Archive
from metaloop.core.records import Trial
from metaloop.loop import Learned, Tried, learn, racing
from metaloop.tasks.store import Reading


class BreaksInTraining(nn.Module):
    """Embeds as it should, but cannot be trained, or (`at` > 0) not beyond that many calls."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 16)
        self.calls, self.at = 0, at

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
            if self.calls > self.at:
                raise RuntimeError("this net\ncannot be trained")
        features: torch.Tensor = self.layer(images.flatten(1))
        return features


def test_learners_that_fail_are_recorded_and_one_that_did_not_is_returned(
    reading: Reading, tmp_path: Path
) -> None:
    events = list(
        learn(reading, out=tmp_path / "run", budget="40steps", queries=5, net=BreaksInTraining())
    )
    assert isinstance(events[-1], Learned)
    report: dict[str, Any] = events[-1].report
    assert report["status"] == "finished"
    tried: list[Trial] = [event.trial for event in events if isinstance(event, Tried)]
    assert {trial.status for trial in tried} == {"finished", "failed"}
    status = {row["learner"]: row["status"] for row in report["leaderboard"]}
    assert status[report["best"]["learner"]] == "finished"
    assert {status[name] for name in ("protonet", "ridge", "simpleshot", "rfs")} == {"failed"}
    assert status["maml"] == "finished"  # it adapts with its net in inference mode
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        failed = [s.trial for s in archive.trials() if s.trial.status == "failed"]
        assert not [s for s in archive.trials() if s.trial.status == "running"]
    assert failed
    assert {trial.message for trial in failed} == {"RuntimeError: this net cannot be trained"}


def test_training_that_makes_a_learner_worse_is_not_kept(
    reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last segment of every plan gets an absurd rate, and all trained candidates survive it."""
    train = racing.train

    def spoiled(learner: Any, family: Any, plan: Any, *rest: Any, **options: Any) -> Any:
        last = plan.schedule == "cosine"  # trunks are constant, branches linear
        wild = replace(plan, learning_rate=1.0, matrix_rate=1.0) if last else plan
        return train(learner, family, wild, *rest, **options)

    monkeypatch.setattr(racing, "train", spoiled)
    events = list(learn(reading, out=tmp_path / "run", budget="120steps", queries=5))
    last = [e.trial for e in events if isinstance(e, Tried) and e.trial.rung == len(racing.RUNGS)]
    assert any("more training made it worse" in trial.message for trial in last)
    before = {
        e.trial.candidate: e.trial
        for e in events
        if isinstance(e, Tried) and e.trial.rung == len(racing.RUNGS) - 1
    }
    for trial in last:
        if "worse" in trial.message:
            assert trial.results[0].value >= before[trial.candidate].results[0].value - 0.03
