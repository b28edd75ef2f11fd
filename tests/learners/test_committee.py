"""A committee says the mean of what its members say, and is in all else as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner
from metaloop.core.errors import MetaloopError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import EmbeddingLearner, Explains, MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.rating import RATING
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.jobs.averaging import committee_of
from metaloop.learners.committee import Committee, assembled

FORMAT = InputFormat("item", (4,), (0.0,) * 4, (1.0,) * 4)
SPEC = TaskSpec(0, 6, 5, (4,), "rating", (1,))
NET = Choice("mlp", {"width": 8, "depth": 1, "view": "raw"})
MEMBERS = (
    Candidate(Choice("deep_kernel", {"prior": 0}), NET, Plan("episodes")),
    Candidate(Choice("set_attention", {"prior": 0}), Choice("mlp", {"width": 6}), Plan("episodes")),
    Candidate(Choice("ridge"), NET, Plan("episodes")),
)
WEIGHTS = (3, 2, 1)
Trained = tuple[EmbeddingLearner, MetaParams]


def moved(params: MetaParams, seed: int) -> MetaParams:
    """Parameters as if something had been learned: none is as it began."""
    rng = torch_stream(seed, "learned")
    return {n: t + 0.2 * torch.randn(t.shape, generator=rng) for n, t in params.items()}


def members() -> list[Trained]:
    found = []
    for seed, candidate in enumerate(MEMBERS):
        learner = build_learner(candidate, FORMAT, "rating")
        assert isinstance(learner, EmbeddingLearner)
        found.append((learner, moved(learner.init(SPEC, torch_stream(seed, "init")), seed)))
    return found


def committee() -> tuple[Committee, MetaParams]:
    learner = build_learner(committee_of(MEMBERS, WEIGHTS), FORMAT, "rating")
    assert isinstance(learner, Committee)
    return learner, assembled([params for _, params in members()])


def task(seed: int = 0, number: int = 6) -> tuple[Examples, Tensor]:
    rng = torch_stream(seed, "task")
    inputs, values = torch.randn(number, 4, generator=rng), torch.randn(number, 1, generator=rng)
    mask = torch.ones(number, dtype=torch.bool)
    return Examples(inputs, values, mask, 0), torch.randn(5, 4, generator=rng)


def predicted(learner: EmbeddingLearner, params: MetaParams, seed: int = 0) -> Tensor:
    support, queries = task(seed)
    return learner.predict(params, learner.adapt(params, support), queries)


def test_it_says_the_weighted_mean_of_what_its_members_say() -> None:
    said = [predicted(*member) for member in members()]
    expected = (3 * said[0] + 2 * said[1] + said[2]) / 6
    torch.testing.assert_close(predicted(*committee()), expected)
    assert float((said[0] - said[1]).abs().max()) > 0.05  # they do differ


def test_it_has_the_tensors_that_a_fresh_one_would_have_and_no_others() -> None:
    learner, params = committee()
    fresh = learner.init(SPEC, torch_stream(0, "fresh"))
    assert {n: t.shape for n, t in params.items()} == {n: t.shape for n, t in fresh.items()}


def test_many_tasks_at_once_are_as_one_after_the_other() -> None:
    learner, params = committee()
    tasks = [task(seed) for seed in range(3)]
    inputs = torch.stack([support.features for support, _ in tasks])
    targets = torch.stack([support.targets for support, _ in tasks])
    queries = torch.stack([asked for _, asked in tasks])
    mask = torch.ones(6, dtype=torch.bool)

    def one(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        return learner.predict(params, learner.adapt(params, Examples(x, y, mask, 0)), asked)

    together = vmap_over_tasks(one, inputs, targets, queries)
    torch.testing.assert_close(together, loop_over_tasks(one, inputs, targets, queries))


def test_what_a_rating_moves_is_the_mean_over_members_who_can_tell() -> None:
    learner, params = committee()
    support, queries = task()
    state = learner.adapt(params, support)
    assert learner.support_size(state) == 6
    told = learner.contributions(params, state, learner.embed(params, queries))
    parts = []
    for own, tensors in members()[:2]:
        assert isinstance(own, Explains)
        known = own.adapt(tensors, support)
        parts.append(own.contributions(tensors, known, own.embed(tensors, queries)))
    torch.testing.assert_close(told, (3 * parts[0] + 2 * parts[1]) / 5)


def test_who_has_no_member_that_can_tell_says_that_nothing_moved() -> None:
    learner = build_learner(committee_of([MEMBERS[2], MEMBERS[2]], [1, 1]), FORMAT, "rating")
    assert isinstance(learner, Committee)
    params = learner.init(SPEC, torch_stream(0, "init"))
    support, queries = task()
    state = learner.adapt(params, support)
    assert learner.contributions(params, state, learner.embed(params, queries)).numel() == 0


def test_its_loss_is_that_of_the_mean_and_every_member_learns_from_it() -> None:
    learner, params = committee()
    support, queries = task()
    wanted = Examples(queries, torch.randn(5, 1), torch.ones(5, dtype=torch.bool), 0)

    def stacked(one: Examples) -> Examples:
        return Examples(one.features[None], one.targets[None], one.mask[None], 0)

    ready = {n: t.clone().requires_grad_() for n, t in params.items()}
    batch = EpisodeBatch(stacked(support), stacked(wanted))
    loss = learner.meta_loss(ready, batch, None, loop_over_tasks).loss
    expected = RATING.loss(predicted(learner, params), wanted.targets, wanted.mask)
    torch.testing.assert_close(loss.detach(), expected)
    loss.backward()
    for place in range(3):
        names = [n for n in ready if n.startswith((f"net.members.{place}.", f"members.{place}."))]
        assert any(ready[n].grad is not None and ready[n].grad.abs().sum() > 0 for n in names)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("learner", "net", "says"),
    [
        ({}, {}, "learners and as many nets"),
        ({"members": [{"name": "ridge", "weight": 1}]}, {}, "got 1 and 3"),
        ({"members": [{"name": "ridge", "weight": 0}] * 3}, {}, "1 to 64 times, got 0"),
        ({"members": [{"name": "ridge", "weight": True}] * 3}, {}, "1 to 64 times, got True"),
        ({"members": [{"name": "maml", "weight": 1}] * 3}, {}, "a learner with a net"),
        ({"members": [{"name": "committee", "weight": 1}] * 3}, {}, "a learner with a net"),
        ({"members": [{"name": ["x"], "weight": 1}] * 3}, {}, "a learner with a net"),
        ({"members": [{"name": "ridge", "weight": 1, "x": 2}] * 3}, {}, "a learner with a net"),
        (None, {"centred": True}, "centred = false"),
        (None, {"centred": "no"}, "takes one of False, True as centred"),
        ({"members": [{"name": "deep_kernel", "options": {"width": 10**9}, "weight": 1}] * 3}, {},
         "as width"),
    ],
)  # fmt: skip
def test_a_committee_that_does_not_fit_is_refused_before_it_is_built(
    learner: dict[str, Any] | None, net: dict[str, Any], says: str
) -> None:
    good = committee_of(MEMBERS, WEIGHTS)
    options = dict(good.learner.options) if learner is None else learner
    wrong = Candidate(
        Choice("committee", options),
        Choice("joined", {**good.net.options, **net}),
        good.plan,
    )
    with pytest.raises(MetaloopError, match=says):
        build_learner(wrong, FORMAT, "rating")


def test_it_is_for_values_alone() -> None:
    with pytest.raises(MetaloopError, match="cannot learn classification"):
        build_learner(committee_of(MEMBERS, WEIGHTS), FORMAT, "classification")
