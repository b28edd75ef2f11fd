"""Distribution calibration: training classes pull the mean of one example to where classes lie."""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core.black_box import prepared
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.learners.calibrated import Calibrated, powered

WIDTH, WAYS = 40, 4


def _tasks(number: int, shots: int, rng: torch.Generator) -> EpisodeBatch:
    """Classes lie around eight places, where training classes are, too."""
    places = 2 * torch.randn((8, WIDTH), generator=torch_stream(0, "places"))
    near = torch.rand((number, 8), generator=rng).argsort(1)[:, :WAYS]
    offsets = 0.3 * torch.randn((number, WAYS, WIDTH), generator=rng)

    def examples(count: int) -> Examples:
        means = (places[near] + offsets).repeat_interleave(count, 1)
        inputs = means + 3 * torch.randn(means.shape, generator=rng)
        labels = torch.arange(WAYS).repeat_interleave(count).expand(number, -1)
        return Examples(inputs, labels, torch.ones_like(labels, dtype=torch.bool), WAYS)

    return EpisodeBatch(examples(shots), examples(10))


def _accuracy(learner: Calibrated, meta_params: dict[str, Tensor], tasks: EpisodeBatch) -> float:
    right = []
    for task in range(tasks.num_tasks):
        support = Examples(
            tasks.support.features[task], tasks.support.targets[task],
            tasks.support.mask[task], WAYS,
        )  # fmt: skip
        state = learner.adapt(meta_params, support)
        logits = learner.predict(meta_params, state, tasks.query.features[task])
        right.append((logits.argmax(1) == tasks.query.targets[task]).float().mean().item())
    return sum(right) / len(right)


def test_knowing_where_classes_lie_helps_with_one_example_of_each() -> None:
    rng = torch_stream(0, "tasks")
    learner = Calibrated(power=1.0)
    fresh = learner.start(TaskSpec(WAYS, 1, 10, (WIDTH,)))
    seen = prepared(learner, fresh, _tasks(learner.num_tasks, 1, rng))
    tasks = _tasks(60, 1, rng)
    assert _accuracy(learner, seen, tasks) > _accuracy(learner, fresh, tasks) + 0.03


def test_without_weight_and_with_one_variance_it_is_the_nearest_mean() -> None:
    rng = torch_stream(1, "tasks")
    learner = Calibrated(weight=0.0, spread=1e9)
    seen = prepared(learner, learner.start(TaskSpec(WAYS, 2, 10, (WIDTH,))), _tasks(64, 2, rng))
    tasks = _tasks(1, 2, rng)
    support, queries = tasks.support.features[0], tasks.query.features[0]
    directions, asked = (
        torch.nn.functional.normalize(powered(each, 0.5) - seen["buffers.middle"], dim=-1)
        for each in (support, queries)
    )
    means = directions.view(WAYS, 2, WIDTH).mean(1)
    labels = Examples(support, tasks.support.targets[0], tasks.support.mask[0], WAYS)
    logits = learner.predict(seen, learner.adapt(seen, labels), queries)
    assert torch.equal(logits.argmax(1), torch.cdist(asked, means).argmin(1))


def test_the_same_training_tasks_give_the_same_statistics() -> None:
    learner = Calibrated()
    first, again = (learner.prepare(_tasks(8, 1, torch_stream(2, "tasks"))) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first["buffers.means"].shape == (8 * WAYS, WIDTH)
