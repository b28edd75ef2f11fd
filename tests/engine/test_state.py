"""The checkpoint file: all that was saved comes back; anything else is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from metaloop.core.budget import Budget
from metaloop.core.errors import ModelFileError, OutputError
from metaloop.engine.state import TrainState, load_state, save_state
from metaloop.engine.training import train


@pytest.fixture
def state(new_job: Any) -> TrainState:
    """A state with everything in it."""
    job = new_job("protonet", side=16, optimiser="muon", averaging=0.5)
    last = list(train(*job, Budget(steps=4), job.spec, evaluations=2, evaluation_episodes=2))[-1]
    return last.state


def test_all_that_was_saved_comes_back(state: TrainState, tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(state, path)
    loaded = load_state(path)
    for group in ("meta_params", "optimiser", "average"):
        saved, back = getattr(state, group), getattr(loaded, group)
        assert set(saved) == set(back) != set()
        assert all(torch.equal(saved[name], back[name]) for name in saved)
        assert all(saved[name].stride() == back[name].stride() for name in saved)
    assert list(loaded.meta_params) == list(state.meta_params)
    for name in vars(state):
        if name not in ("meta_params", "optimiser", "average"):
            assert getattr(loaded, name) == getattr(state, name), name
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_segment_has_a_budget_and_an_average_of_its_own(state: TrainState) -> None:
    segment = state.segment()
    assert (segment.base_steps, segment.base_seconds) == (state.step, state.wall_seconds)
    assert (segment.average, segment.num_averaged) == ({}, 0)
    segment.meta_params["net.0.weight"].zero_()
    assert bool(state.meta_params["net.0.weight"].any())


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "cut head", "no facts", "missing"])
def test_a_damaged_file_is_refused(state: TrainState, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state"
    save_state(state, path)
    content = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "cut head":
        path.write_bytes(content[:50])
    elif damage == "no facts":
        path.write_bytes(safetensors.torch.save({"meta/a": torch.ones(1)}))
    else:
        path.unlink()
    with pytest.raises(ModelFileError, match=r"checkpoint .*state cannot be read .*remove it"):
        load_state(path)


@pytest.mark.parametrize(
    "facts", ["[]", "{}", "null", '{"version": 2}', '{"version": 1}', "not json", '"text"']
)
def test_facts_that_are_wrong_are_refused(tmp_path: Path, facts: str) -> None:
    path = tmp_path / "state"
    path.write_bytes(safetensors.torch.save({"meta/a": torch.ones(1)}, {"state": facts}))
    with pytest.raises(ModelFileError):
        load_state(path)


def test_a_path_that_cannot_be_written_is_one_line(state: TrainState, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write the checkpoint"):
        save_state(state, tmp_path / "no folder" / "state")
