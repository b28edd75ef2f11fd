"""Black boxes of real targets: the mean, and the process whose kernel is learned on tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import LEARNERS, learners_for
from metaloop.core.black_box import BlackBoxLearner, MetaStage, prepared
from metaloop.core.budget import parse_budget
from metaloop.core.errors import GuestError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import evaluate
from metaloop.engine.events import Finished
from metaloop.engine.preparing import after_meta_stage
from metaloop.engine.training import train
from metaloop.learners.gaussian_process import GaussianProcess
from metaloop.learners.mean_of_support import MeanOfSupport
from metaloop.tasks.sinusoid import SinusoidFamily

FORMAT = InputFormat("vector", (3,), (0.5,) * 3, (2.0,) * 3)
BOXES = [
    name
    for name in learners_for("real")
    if not LEARNERS[name].inputs and issubclass(LEARNERS[name].constructor, BlackBoxLearner)  # type: ignore[arg-type]
]


def task(targets: int, padding: int = 0, seed: int = 0) -> tuple[Examples, Tensor]:
    rng = torch_stream(seed, "regression")
    inputs = torch.randn(12 + padding, 3, generator=rng)
    values = torch.stack([inputs.sum(1) + t for t in range(targets)], 1)
    if padding:
        values[12:] = 1e6
    mask = torch.arange(12 + padding) < 12
    queries = torch.randn(7, 3, generator=rng)
    return Examples(inputs, values, mask, 0, padded=bool(padding)), queries


def built(name: str, targets: int) -> tuple[Any, TaskSpec]:
    spec = TaskSpec(0, 12, 7, (3,), "regression", (targets,))
    return build_learner(make_candidate(name, FORMAT, spec), FORMAT, "regression"), spec


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("targets", [1, 3])
def test_predictions_have_a_column_for_each_target_and_padding_counts_for_nothing(
    name: str, targets: int
) -> None:
    learner, spec = built(name, targets)
    meta_params = learner.init(spec, torch_stream(0, "init"))
    support, queries = task(targets)
    outputs = learner.predict(meta_params, learner.adapt(meta_params, support), queries)
    assert outputs.shape == (7, targets) and outputs.dtype == torch.float32
    columns = [outputs[:, t] - t for t in range(targets)]
    for column in columns[1:]:  # each target is the same function, moved
        torch.testing.assert_close(column, columns[0], atol=0.6, rtol=0)
    padded = learner.adapt(meta_params, task(targets, padding=2)[0])
    known, queried = task(targets)[0], task(targets, padding=2)[0].inputs[:12]
    again = replace(known, inputs=queried, targets=task(targets, padding=2)[0].targets[:12])
    assert torch.equal(
        learner.predict(meta_params, padded, queries),
        learner.predict(meta_params, learner.adapt(meta_params, again), queries),
    )


def test_the_mean_is_the_mean_of_the_targets_whatever_the_inputs() -> None:
    support, queries = task(2)
    learner = MeanOfSupport()
    outputs = learner.predict({}, learner.adapt({}, support), queries)
    torch.testing.assert_close(outputs, support.targets.mean(0).expand(7, 2))


def test_the_process_predicts_what_its_equation_says() -> None:
    support, queries = task(2)
    kernel = {"length_scale": 0.7, "noise": 0.2, "offset": 3.0, "slope": 2.0}
    learner = GaussianProcess(**kernel)
    outputs = learner.predict(
        learner.init(TaskSpec(0, 12, 7, (3,), "regression", (2,)), torch_stream(0, "init")),
        learner.adapt({"buffers.kernel": torch.tensor([0.7, 0.2, 3.0, 2.0]).double()}, support),
        queries,
    )

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squares = ((a[:, None] - b[None]) ** 2).sum(-1)
        return np.asarray(3 + 2 * a @ b.T / 3 + np.exp(-squares / (2 * 0.7**2 * 3)))

    x, q = support.features.double().numpy(), queries.double().numpy()
    weights = np.linalg.solve(k(x, x) + 0.2 * np.eye(12), support.targets.double().numpy())
    np.testing.assert_allclose(outputs.numpy(), k(q, x) @ weights, rtol=1e-4, atol=1e-5)


def test_the_meta_stage_chooses_what_the_task_is_fitted_with() -> None:
    """The predictions that it compares are those that scikit-learn makes of the same kernel."""
    family = SinusoidFamily()
    spec = family.spec(5, 5, 10)
    learner = GaussianProcess(view="standardised", input_format=family.input_format)
    start = learner.init(spec, torch_stream(0, "init"))
    chosen = after_meta_stage(learner, start, family, spec, 0)
    assert chosen.keys() == start.keys()

    def error(kernel: list[float]) -> float:
        other = {"buffers.kernel": torch.tensor(kernel, dtype=torch.float64)}
        return evaluate(learner, other, family, "search", spec, 60)[0].value

    length, noise, offset, slope = chosen["buffers.kernel"].tolist()
    best = error([length, noise, offset, slope])
    assert best < 0.6 * error([5 * length, noise, offset, slope])
    assert best < 0.8 * error([length, 3.0, offset, slope])


def test_a_process_that_saw_training_tasks_is_better_than_one_that_did_not() -> None:
    family = SinusoidFamily()
    spec = family.spec(5, 10, 10)
    learner = GaussianProcess(view="standardised", input_format=family.input_format)
    plan = make_candidate("gaussian_process", family.input_format, spec).plan
    *_, finished = train(learner, family, plan, parse_budget("1s"), spec)
    assert isinstance(finished, Finished)
    fresh = learner.init(spec, torch_stream(0, "init"))
    scores = {
        which: evaluate(learner, params, family, "test", spec, 100)[0].value
        for which, params in (("prepared", finished.meta_params), ("fresh", fresh))
    }
    mean = evaluate(MeanOfSupport(), {}, family, "test", spec, 100)[0].value
    assert scores["prepared"] < 0.5 * scores["fresh"] < 0.5 * mean
    assert finished.state.cpu_seconds > 0


class _Stage:
    """A meta-stage that returns what it was given to return."""

    num_tasks = 3

    def __init__(self, made: dict[str, Tensor]) -> None:
        self.made = made

    def start(self, spec: TaskSpec) -> dict[str, Tensor]:
        return {"buffers.a": torch.zeros(2)}

    def prepare(self, tasks: EpisodeBatch) -> dict[str, Tensor]:
        return self.made

    def make_prepared(self, seed: int, meta_params: dict[str, Tensor]) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        ({}, "'buffers.a' as nothing"),
        ({"buffers.a": torch.zeros(3)}, r"shape \(3,\)"),
        ({"buffers.a": torch.tensor([0.0, torch.nan])}, "finite"),
        ({"buffers.a": torch.zeros(2), "buffers.b": torch.zeros(2)}, "'buffers.b'"),
    ],
)
def test_a_meta_stage_returns_the_tensors_that_it_began_with_and_no_others(
    made: dict[str, Tensor], complaint: str
) -> None:
    stage, family = _Stage(made), SinusoidFamily()
    spec = family.spec(5, 5, 5)
    assert isinstance(stage, MetaStage)
    tasks = family.sample("train", spec, 3, numpy_stream(0, "tasks")).gather(family.input_format)
    with pytest.raises(GuestError, match=complaint):
        prepared(stage, stage.start(spec), tasks)
