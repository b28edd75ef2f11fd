"""With a budget in steps, a run that was cut off and went on is bit-equal to one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.core.budget import Budget
from metaloop.core.records import Choice
from metaloop.engine.events import Finished
from metaloop.engine.state import Checkpoints, TrainState, load_state
from metaloop.engine.training import train

STEPS = 30


def run(job: Any, stop_at: int | None = None, steps: int = STEPS, **options: Any) -> Finished:
    """Trains for all steps, or for `stop_at` of them."""
    asked = iter(range(1000))
    return list(
        train(
            *job,
            Budget(steps=steps),
            job.spec,
            seed=5,
            stop=lambda: stop_at is not None and next(asked) + 1 > stop_at,
            evaluations=2,
            evaluation_episodes=5,
            **options,
        )
    )[-1]


def assert_equal(first: Finished, second: Finished) -> None:
    assert first.state.step == second.state.step
    assert first.status == second.status == "finished"
    for mine, other in (
        (first.meta_params, second.meta_params),
        (first.state.meta_params, second.state.meta_params),
        (first.state.average, second.state.average),
    ):
        assert list(mine) == list(other)
        assert all(torch.equal(mine[name], other[name]) for name in mine)
    mine, other = first.state.optimiser, second.state.optimiser
    assert set(mine) == set(other)
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    curves = [[(p.step, p.loss, p.value) for p in f.state.curve] for f in (first, second)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("optimiser", ["muon", "adamw", "sgd"])
@pytest.mark.parametrize("name", ["protonet", "maml", "simpleshot"])
def test_a_stopped_run_goes_on_bit_equal(
    new_job: Any, tmp_path: Path, name: str, optimiser: str
) -> None:
    job = new_job(name, optimiser=optimiser, averaging=0.7, augmentation=Choice("jitter"))
    straight = run(job)
    assert straight.state.num_averaged > 10
    path = tmp_path / "state.safetensors"
    stopped = run(job, stop_at=13, checkpoints=Checkpoints(path))
    assert (stopped.status, stopped.state.step) == ("interrupted", 13)
    resumed = run(job, state=load_state(path))
    assert_equal(straight, resumed)


@pytest.mark.parametrize("name", ["protonet", "maml"])
def test_a_stopped_run_on_images_goes_on_bit_equal(new_job: Any, tmp_path: Path, name: str) -> None:
    job = new_job(name, side=16, optimiser="muon", averaging=0.5, augmentation=Choice("affine"))
    straight = run(job, steps=10)
    path = tmp_path / "state.safetensors"
    run(job, stop_at=3, steps=10, checkpoints=Checkpoints(path))
    run(job, stop_at=4, steps=10, checkpoints=Checkpoints(path), state=load_state(path))
    assert_equal(straight, run(job, steps=10, state=load_state(path)))


def test_the_state_that_was_given_is_not_changed(new_job: Any) -> None:
    job = new_job("protonet", optimiser="muon")
    half = run(job, stop_at=10).state
    before = {name: tensor.clone() for name, tensor in half.meta_params.items()}
    momenta = {name: tensor.clone() for name, tensor in half.optimiser.items()}
    first, second = run(job, state=half), run(job, state=half)
    assert all(torch.equal(half.meta_params[name], before[name]) for name in before)
    assert all(torch.equal(half.optimiser[name], momenta[name]) for name in momenta)
    assert_equal(first, second)


def test_one_seed_gives_one_result_and_another_seed_another(new_job: Any) -> None:
    job = new_job("simpleshot")
    assert_equal(run(job), run(job))
    other = list(train(*job, Budget(steps=STEPS), job.spec, seed=6, evaluations=0))[-1]
    assert not torch.equal(other.meta_params["net.1.weight"], run(job).meta_params["net.1.weight"])


def test_early_figures_do_not_influence_training(new_job: Any) -> None:
    job = new_job("protonet")
    many = list(train(*job, Budget(steps=10), job.spec, evaluations=5, evaluation_episodes=3))[-1]
    none = list(train(*job, Budget(steps=10), job.spec, evaluations=0))[-1]
    assert len(many.state.curve) == 5
    assert none.state.curve == ()
    for name, tensor in many.meta_params.items():
        assert torch.equal(tensor, none.meta_params[name])


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import make_job
from metaloop.core.budget import Budget
from metaloop.engine.state import Checkpoints
from metaloop.engine.training import train
job = make_job("protonet", optimiser="muon", averaging=0.5)
for event in train(*job, Budget(steps=30), job.spec, seed=5, evaluations=2, evaluation_episodes=5,
                   checkpoints=Checkpoints(Path({path!r}), every_steps=1)):
    print(type(event).__name__, getattr(event, "step", ""), flush=True)
    time.sleep(0.05)
"""


def test_a_killed_process_goes_on_bit_equal(new_job: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    code = CHILD.format(here=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.split() == ["Checkpointed", "11"]:
                os.kill(child.pid, signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    state = load_state(path)
    assert 11 <= state.step < STEPS
    job = new_job("protonet", optimiser="muon", averaging=0.5)
    assert_equal(run(job), run(job, state=state))


def test_with_seconds_a_resumed_run_spends_the_remainder(
    new_job: Any, tmp_path: Path, clock: Any
) -> None:
    job, path = new_job("protonet"), tmp_path / "state.safetensors"
    budget = Budget(wall_seconds=2.0)

    def spend(state: TrainState | None = None, **options: Any) -> Finished:
        return list(train(*job, budget, job.spec, state=state, evaluations=0, **options))[-1]

    first = spend(stop=lambda: clock.now > 1.2, checkpoints=Checkpoints(path))
    assert first.status == "interrupted"
    assert 1.1 < first.state.wall_seconds < 1.3
    start = clock.now
    second = spend(load_state(path))
    assert second.status == "finished"
    assert 0.7 < clock.now - start < 1.0
    assert 2.0 <= second.state.wall_seconds < 2.1
    assert second.state.step > first.state.step
