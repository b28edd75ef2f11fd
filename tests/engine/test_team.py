"""Several processes train as one does: the same tasks, the same parameters, one voice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributed

import metaloop as ml
from metaloop.cli.several import check_verb
from metaloop.core.budget import Budget
from metaloop.core.errors import MetaloopError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.objective import OBJECTIVES
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.team import Team
from metaloop.engine.state import load_state
from metaloop.engine.training import train
from metaloop.modelfile import read_model
from metaloop.models.training import check_shared, with_a_task_for_each
from metaloop.nets.norm import BatchNorm, batch_parted

STEPS = 6


@given(
    tasks=st.integers(1, 7), size=st.integers(2, 4), padded=st.booleans(), seed=st.integers(0, 99)
)
def test_the_weighted_losses_of_all_shares_are_the_loss_of_the_batch(
    tasks: int, size: int, padded: bool, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(tasks, 6, generator=rng) > (0.3 if padded else -1)
    mask[:, 0] = True
    targets = {
        "classification": torch.randint(3, (tasks, 6), generator=rng),
        "regression": torch.rand(tasks, 6, 1, generator=rng),
        "rating": torch.rand(tasks, 6, 1, generator=rng),
    }
    for name, wanted in targets.items():
        outputs = torch.randn(tasks, 6, 3 if name == "classification" else 1, generator=rng)
        side = Examples(outputs, wanted, mask, 3, padded)
        batch, loss = EpisodeBatch(side, side), OBJECTIVES[name].loss
        parts = [Team(rank, size).share(batch, name) for rank in range(size)]
        total = sum(
            weight * loss(part.query.features, part.query.targets, part.query.mask)
            for part, weight, _ in parts
            if isinstance(part, EpisodeBatch)
        )
        torch.testing.assert_close(total, loss(outputs, wanted, mask))
        if tasks >= size:
            assert sum(part.num_tasks for part, _, _ in parts) == tasks  # type: ignore[union-attr]


def test_batch_norm_by_parts_is_batch_norm() -> None:
    inputs = torch.randn(12, 5, 3, 3, generator=torch.Generator().manual_seed(0)) * 3 + 1
    whole, parted = BatchNorm(5), BatchNorm(5)
    expected = whole(inputs.requires_grad_())
    gradient = torch.autograd.grad(expected.square().mul(inputs).sum(), inputs)[0]
    with batch_parted(lambda tensor: tensor):  # one part is everything
        found = parted(inputs)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(parted.running_mean, whole.running_mean)
    torch.testing.assert_close(parted.running_var, whole.running_var)
    again = torch.autograd.grad(found.square().mul(inputs).sum(), inputs)[0]
    torch.testing.assert_close(again, gradient, rtol=1e-4, atol=1e-4)


def test_only_train_is_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    check_verb(["learn"])
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_verb(["train"])
    check_verb(["--version"])
    with pytest.raises(MetaloopError, match="torchrun is for 'metaloop train' alone"):
        check_verb(["learn", "data"])


@pytest.mark.parametrize(
    ("learner", "told"),
    [("nearest_centroid", "has nothing that several"), ("protonet", "has 1 task in a step, which")],
)
def test_what_several_processes_cannot_share_is_refused_by_name(learner: str, told: str) -> None:
    candidate = Candidate(Choice(learner), Choice("mlp"), Plan("episodes", num_tasks=1))
    if learner == "nearest_centroid":
        candidate = replace(candidate, plan=Plan("none"))
    with pytest.raises(MetaloopError, match=f"{learner} {told}"):
        check_shared(candidate, 2)
    check_shared(replace(candidate, plan=Plan("episodes", num_tasks=2)), 2)
    shared = with_a_task_for_each(candidate, 3)
    assert shared == replace(candidate, plan=replace(candidate.plan, num_tasks=3))
    assert with_a_task_for_each(shared, 2) == shared
    own = Candidate(Choice(learner), Choice("custom"), Plan("episodes", num_tasks=2))
    with pytest.raises(MetaloopError, match="on a net of your own"):
        check_shared(own, 2)


def trained_together(job: Any, size: int, folder: Path, **options: Any) -> list[dict[str, Tensor]]:
    """Returns the parameters that each of so many forked processes ends with."""
    children = []
    for rank in range(size):
        child = os.fork()
        if not child:
            code = 1
            try:
                torch.set_num_threads(1)
                distributed.init_process_group(
                    "gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=size
                )
                *_, end = train(
                    *job, Budget(steps=STEPS), job.spec, seed=5, evaluations=0,
                    team=Team(rank, size), **options,
                )  # fmt: skip
                torch.save(end.state.meta_params, folder / f"{rank}.pt")
                distributed.destroy_process_group()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * size
    return [torch.load(folder / f"{rank}.pt") for rank in range(size)]


def assert_close(mine: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(mine) == list(other)
    for name in mine:
        torch.testing.assert_close(mine[name], other[name], rtol=2e-4, atol=2e-5, msg=name)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "side", "tasks", "size"),
    [
        ("protonet", 12, 4, 2),  # batch norm over all tasks of a step
        ("protonet", 12, 5, 2),  # uneven shares
        ("protonet", 0, 1, 2),  # nothing to share
        ("ridge", 0, 4, 3),
        ("maml", 12, 4, 2),
        ("anil", 0, 3, 2),
        ("simpleshot", 12, 2, 2),  # labelled examples
    ],
)
def test_two_processes_give_the_parameters_of_one(
    name: str, side: int, tasks: int, size: int, new_job: Callable[..., Any], tmp_path: Path
) -> None:
    job = new_job(name, side, num_tasks=tasks, optimiser="sgd")
    *_, alone = train(*job, Budget(steps=STEPS), job.spec, seed=5, evaluations=0)
    first, *others = trained_together(job, size, tmp_path)
    assert_close(first, alone.state.meta_params)
    start = {name: t for name, t in train_start(job).items() if t.is_floating_point()}
    assert any(not torch.allclose(start[name], first[name], rtol=0, atol=1e-5) for name in start)
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


def train_start(job: Any) -> dict[str, Tensor]:
    *_, end = train(*job, Budget(steps=1), job.spec, seed=5, evaluations=0, stop=lambda: True)
    meta_params: dict[str, Tensor] = end.state.meta_params
    return meta_params


@pytest.mark.long
def test_a_run_goes_on_with_another_number_of_processes(
    new_job: Callable[..., Any], tmp_path: Path
) -> None:
    job = new_job("protonet", 12, num_tasks=4, optimiser="adamw")
    *_, whole = train(*job, Budget(steps=STEPS), job.spec, seed=5, evaluations=0)
    asked = iter(range(100))
    *_, half = train(
        *job, Budget(steps=STEPS), job.spec, seed=5, evaluations=0, stop=lambda: next(asked) > 2
    )
    assert half.state.step == 3
    (tmp_path / "two").mkdir()
    first, _ = trained_together(job, 2, tmp_path / "two", state=half.state)
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, whole.state.meta_params[name], rtol=1e-2, atol=2e-3)


def torchrun(
    data: Path,
    out: Path,
    *more: str,
    program: Sequence[str] = ("-m", "metaloop"),
    learner: str = "maml",
) -> Any:
    command = (
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        *program, "train", str(data), "--learner", learner, "--out", str(out), *more,
    )  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(24, 1, 6))
    X = (centres + 0.3 * rng.normal(size=(24, 12, 6))).reshape(-1, 6)
    np.savez(tmp_path / "data.npz", X=X, y=np.repeat(np.arange(24), 12))
    return tmp_path / "data.npz"


DIES = """
import os, signal
from metaloop.cli import main
from metaloop.core.team import Team

agreed, asked = Team.agreed, iter(range(10**9))

def agreed_or_dead(team, *given):
    if team.rank == 1 and next(asked) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return agreed(team, *given)

Team.agreed = agreed_or_dead
main()
"""


@pytest.mark.long
@pytest.mark.parametrize("learner", ["maml", "protonet"])  # many tasks a step, and usually one
def test_a_lost_process_ends_the_others_in_one_line_with_the_state_kept(
    learner: str, data: Path, tmp_path: Path
) -> None:
    out, program = tmp_path / "model.metaloop", tmp_path / "dies.py"
    program.write_text(DIES)
    asked = ("--budget", "1000000steps")
    ended = torchrun(data, out, *asked, program=[str(program)], learner=learner)
    assert ended.returncode != 0
    ours = [line for line in ended.stderr.splitlines() if line.startswith("metaloop: error:")]
    assert len(ours) == 1 and "a process of the training was lost after 20 steps" in ours[0]
    assert not out.exists() and load_state(tmp_path / "model.metaloop.state").step == 20
    left = iter(range(5))
    stopped = ml.train(  # one process alone goes on
        data, learner, out=out, budget="1000000steps", resume=True, progress=False,
        stop=lambda: next(left, None) is None,
    )  # fmt: skip
    assert stopped.interrupted and stopped.steps == 25


@pytest.mark.long
def test_torchrun_writes_the_model_that_one_process_writes(data: Path, tmp_path: Path) -> None:
    two = torchrun(data, tmp_path / "two.metaloop", "--budget", "8steps", "--json")
    assert two.returncode == 0, two.stderr
    assert json.loads(two.stdout)["steps"] == 8  # one object: one process speaks
    ml.train(data, "maml", out=tmp_path / "one.metaloop", budget="8steps", progress=False)
    mine, other = (read_model(tmp_path / f"{name}.metaloop") for name in ("two", "one"))
    nets = [name for name in other.weights if name.startswith("net.")]
    assert nets  # the head has gradients of rounding alone, which Adam makes steps of
    for name in nets:  # nor are single weights equal whose gradients are rounding: all together are
        apart = mine.weights[name] - other.weights[name]
        assert apart.norm() < 1e-3 * other.weights[name].norm(), name
        assert apart.abs().median() < 1e-6, name
    assert not list(tmp_path.glob("*.state"))
