"""Class means that queries move: by hand, and beside SimpleShot, its limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from metaloop.core.examples import Examples
from metaloop.core.learner import CENTER
from metaloop.learners.simpleshot import SimpleShot

SUPPORT = Examples(
    torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool), 2
)
AT_ORIGIN = {CENTER: torch.zeros(2)}
BETWEEN = torch.tensor([[0.8, 0.6]])  # of unit length, nearer to class 0


def test_one_step_by_hand(new_case: Any) -> None:
    learner = new_case("soft_means", "vectors", scale=1.0, steps=1).learner
    logits = learner.score(AT_ORIGIN, learner.fit_head(AT_ORIGIN, SUPPORT), BETWEEN)
    share = torch.softmax(torch.tensor([-0.4, -0.8]), 0)  # squared distances of the query
    means = (SUPPORT.features + share[:, None] * BETWEEN) / (1 + share[:, None])
    torch.testing.assert_close(logits, -((BETWEEN - means) ** 2).sum(-1)[None])


def test_without_steps_it_is_simpleshot(new_case: Any) -> None:
    case = new_case("soft_means", "vectors", steps=0)
    plain = SimpleShot(case.learner.net, case.learner.scale)
    state = case.learner.fit_head(AT_ORIGIN, SUPPORT)
    queries = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    expected = plain.score(AT_ORIGIN, plain.fit_head(AT_ORIGIN, SUPPORT), queries)
    torch.testing.assert_close(case.learner.score(AT_ORIGIN, state, queries), expected)


def test_a_crowd_of_queries_draws_its_class_along(new_case: Any) -> None:
    learner = new_case("soft_means", "vectors").learner
    state = learner.fit_head(AT_ORIGIN, SUPPORT)
    crowd = torch.tensor([[0.6, -0.8]] * 8 + [[0.5, 0.866]])
    alone = learner.score(AT_ORIGIN, state, crowd[-1:])
    beside = learner.score(AT_ORIGIN, state, crowd)[-1:]
    assert beside[0, 0] < alone[0, 0] - 1  # class 0 has gone to where its queries are
    assert learner.uses_query_batch and learner.norm_policy == "query means"


def test_a_class_without_support_stays_impossible(new_case: Any) -> None:
    learner = new_case("soft_means", "vectors").learner
    missing = replace(SUPPORT, num_classes=3)
    logits = learner.score(AT_ORIGIN, learner.fit_head(AT_ORIGIN, missing), BETWEEN)
    assert logits[0, 2] == -torch.inf and logits[:, :2].isfinite().all()


def test_one_shot_tasks_are_solved_better_for_what_is_asked_about(new_case: Any) -> None:
    learner = new_case("soft_means", "vectors").learner
    plain, center = SimpleShot(learner.net), {CENTER: torch.zeros(16)}
    rng, right = torch.Generator().manual_seed(0), {learner: 0.0, plain: 0.0}
    for _ in range(40):
        means = torch.randn(5, 16, generator=rng).repeat_interleave(16, 0)
        seen = means + torch.randn(means.shape, generator=rng)
        labels = torch.arange(5).repeat_interleave(16)
        first = torch.arange(0, 80, 16)
        support = Examples(seen[first], labels[first], torch.ones(5, dtype=torch.bool), 5)
        for each in right:
            logits = each.score(center, each.fit_head(center, support), seen)
            right[each] += float((logits.argmax(-1) == labels).float().mean()) / 40
    assert right[learner] > right[plain] + 0.05
