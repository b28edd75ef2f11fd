"""Baseline++: fine-tuning goes downhill, by exactly the gradient of its loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from metaloop.core.examples import Examples
from metaloop.core.randomness import torch_stream


def _features() -> Examples:
    rng = torch_stream(0, "baseline++")
    labels = torch.arange(5).repeat_interleave(4)
    inputs = torch.randn(5, 16, generator=rng)[labels] + torch.randn(20, 16, generator=rng)
    return Examples(inputs, labels, torch.ones(20, dtype=torch.bool), 5)


def test_the_loss_falls_with_every_further_step(new_case: Any) -> None:
    learner, features = new_case("baselinepp", "vectors").learner, _features()
    losses = []
    for steps in (0, 5, 10, 20, 40, 80):
        tuned = replace(learner, num_steps=steps)
        logits = tuned.score({}, tuned.fit_head({}, features), features.inputs)
        losses.append(float(functional.cross_entropy(logits, features.targets)))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_steps_equal_those_of_torchs_sgd(new_case: Any) -> None:
    learner, features = new_case("baselinepp", "vectors", num_steps=7).learner, _features()
    directions = functional.normalize(features.inputs, dim=-1)  # type: ignore[arg-type]
    means = torch.stack([directions[features.targets == k].mean(0) for k in range(5)])
    weights = means.clone().requires_grad_()
    sgd = torch.optim.SGD(
        [weights],
        lr=learner.learning_rate,
        momentum=learner.momentum,
        weight_decay=learner.weight_decay,
    )
    for _ in range(7):
        logits = learner.scale * directions @ functional.normalize(weights, dim=-1).T
        sgd.zero_grad()
        functional.cross_entropy(logits, features.targets).backward()
        sgd.step()
    tuned = learner.fit_head({}, features)["weights"]
    torch.testing.assert_close(tuned, weights.detach(), atol=1e-6, rtol=1e-4)
