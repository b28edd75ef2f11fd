"""How training ends: by its budget, when asked to, by divergence; never by an exception."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.core.budget import Budget
from metaloop.engine.beginning import initial_state
from metaloop.engine.events import Checkpointed, Evaluated, Finished
from metaloop.engine.state import Checkpoints
from metaloop.engine.training import train
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import Store


@pytest.mark.parametrize("name", ["protonet", "ridge", "maml", "fomaml", "anil", "simpleshot"])
def test_training_ends_with_its_budget_and_lowers_the_loss(new_job: Any, name: str) -> None:
    job = new_job(name)
    *before, last = train(*job, Budget(steps=60), job.spec, evaluations=2, evaluation_episodes=40)
    assert isinstance(last, Finished)
    assert (last.status, last.state.step) == ("finished", 60)
    assert (last.state.flops_per_step or 0) > 0
    figures = [event for event in before if isinstance(event, Evaluated)]
    assert [figure.point.step for figure in figures] == [30, 60]
    assert figures[-1].result.protocol.part == "search"
    assert (figures[-1].point.value or 0) > 0.5  # chance is 0.2
    assert last.state.curve == tuple(figure.point for figure in figures)


def _poisoned(family: ClassFamily) -> ClassFamily:
    inputs = family.store.inputs.clone()
    inputs[torch.isin(family.store.targets, torch.from_numpy(family.parts["train"]))] = torch.nan
    store = Store(inputs, family.store.targets, family.store.classes)
    return replace(family, store=store, given_format=family.input_format)


@pytest.mark.parametrize("name", ["protonet", "ridge", "maml", "simpleshot"])
def test_inputs_that_are_not_numbers_end_as_diverged(new_job: Any, name: str) -> None:
    job = new_job(name)
    job = replace(job, family=_poisoned(job.family))
    last = list(train(*job, Budget(steps=20), job.spec))[-1]
    assert (last.status, last.state.step) == ("diverged", 0)
    assert "nan" in last.message


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("name", ["protonet", "ridge", "maml", "simpleshot"])
@pytest.mark.parametrize(("steps", "evaluations"), [(1, 1), (2, 0), (25, 3)])
def test_an_absurd_rate_ends_without_an_exception(
    new_job: Any, name: str, optimiser: str, steps: int, evaluations: int
) -> None:
    job = new_job(name, optimiser=optimiser, learning_rate=1e30, matrix_rate=1e30, warmup=0.0)
    figures = {"evaluations": evaluations, "evaluation_episodes": 3}
    last = list(train(*job, Budget(steps=steps), job.spec, **figures))[-1]
    assert last.status in ("diverged", "finished")
    if name in ("protonet", "maml") and evaluations:
        assert last.status == "diverged"
        assert last.message


def test_a_run_that_is_asked_to_stop_is_interrupted_with_its_state(
    new_job: Any, tmp_path: Path
) -> None:
    job, path = new_job("protonet"), tmp_path / "state"
    asked = iter(range(100))
    events = list(
        train(
            *job,
            Budget(steps=50),
            job.spec,
            stop=lambda: next(asked) >= 4,
            checkpoints=Checkpoints(path),
        )
    )
    assert isinstance(events[-1], Finished)
    assert (events[-1].status, events[-1].state.step) == ("interrupted", 4)
    assert [type(event) for event in events[-2:]] == [Checkpointed, Finished]
    assert path.exists()


def test_a_run_stopped_at_once_gives_the_initial_meta_params(new_job: Any) -> None:
    job = new_job("simpleshot")
    last = list(train(*job, Budget(steps=50), job.spec, stop=lambda: True))[-1]
    start = initial_state(job.learner, job.family, job.spec, 0)
    assert last.status == "interrupted"
    assert torch.equal(last.meta_params["net.1.weight"], start.meta_params["net.1.weight"])


def test_the_result_of_simpleshot_has_the_centre_of_the_training_features(new_job: Any) -> None:
    job = new_job("simpleshot")
    last = list(train(*job, Budget(steps=5), job.spec, evaluations=0))[-1]
    examples, _ = job.family.labelled("train")
    inputs = job.family.store.inputs[torch.from_numpy(examples)]
    mean = job.learner.embed(last.meta_params, inputs).mean(0)
    torch.testing.assert_close(last.meta_params["buffers.center"], mean, atol=1e-5, rtol=1e-4)


def test_averaged_weights_are_the_mean_of_the_last_steps(new_job: Any) -> None:
    job = new_job("protonet", averaging=0.5)
    states = []
    for steps in range(5, 11):
        asked = iter(range(100))
        stop = lambda asked=asked, steps=steps: next(asked) >= steps  # noqa: E731
        last = list(train(*job, Budget(steps=10), job.spec, stop=stop, evaluations=0))[-1]
        states.append(last.state.meta_params["net.1.weight"])
    whole = list(train(*job, Budget(steps=10), job.spec, evaluations=0))[-1]
    assert whole.state.num_averaged == 6
    torch.testing.assert_close(
        whole.meta_params["net.1.weight"], torch.stack(states).mean(0), atol=1e-6, rtol=1e-5
    )


def test_training_on_episodes_and_classes_at_once_moves_both_heads(new_job: Any) -> None:
    job = new_job("protonet").but(style="both")
    start = initial_state(job.learner, job.family, job.spec, 0).meta_params
    last = list(train(*job, Budget(steps=5), job.spec, evaluations=0))[-1].meta_params
    for name in ("head.log_scale", "classifier.weight", "net.1.weight"):
        assert not torch.equal(last[name], start[name])


@pytest.mark.parametrize("name", ["maml", "ridge"])
def test_regression_is_learned(new_job: Any, name: str) -> None:
    from metaloop.catalogue.candidates import build_learner, make_candidate

    family = SinusoidFamily()
    spec = family.spec(5, 10, 10)
    candidate = make_candidate(name, family.input_format, spec)
    learner = build_learner(candidate, family.input_format, spec.objective)
    plan = replace(candidate.plan, learning_rate=1e-2)
    events = list(train(learner, family, plan, Budget(steps=150), spec, evaluation_episodes=50))
    values = [event.result.value for event in events if isinstance(event, Evaluated)]
    assert len(values) == 3
    assert values[-1] < 4.0  # predicting zero has a mean squared error of about 4.4
    assert events[-1].status == "finished"  # type: ignore[union-attr]


def test_muon_takes_nets_with_one_matrix_and_with_none(new_job: Any) -> None:
    from metaloop.nets.functional import FunctionalNet
    from metaloop.nets.mlp import mlp, raw

    for build in (lambda shape: mlp(shape, depth=1), raw):
        job = new_job("protonet", optimiser="muon")
        learner = replace(job.learner, net=FunctionalNet(job.family.input_format, build=build))
        job = replace(job, learner=learner)
        last = list(train(*job, Budget(steps=3), job.spec, evaluations=0))[-1]
        assert last.status == "finished"


def test_a_learner_with_nothing_to_train_finishes_at_once(new_job: Any) -> None:
    job = new_job("protonet").but(style="none")
    (only,) = train(*job, Budget(steps=50), job.spec)
    assert isinstance(only, Finished)
    assert (only.status, only.state.step) == ("finished", 0)
