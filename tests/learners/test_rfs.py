"""RFS is logistic regression: the same answers as scikit-learn's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from metaloop.core.examples import Examples
from metaloop.core.randomness import torch_stream


def _solved_by_sklearn(support: Examples, queries: torch.Tensor, strength: float) -> Any:
    def rows(features: torch.Tensor) -> Any:
        directions = functional.normalize(features, dim=-1)
        return torch.cat([directions, torch.ones(len(directions), 1)], dim=-1).double().numpy()

    solver = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000)
    solver.fit(rows(support.inputs), support.targets.numpy())  # type: ignore[arg-type]
    return solver.predict_proba(rows(queries))


def _task(seed: int, shots: int) -> tuple[Examples, torch.Tensor]:
    rng = torch_stream(seed, "rfs")
    centres = torch.randn(5, 64, generator=rng)
    labels = torch.arange(5).repeat_interleave(shots)
    inputs = centres[labels] + 1.5 * torch.randn(len(labels), 64, generator=rng)
    queries = centres.repeat(20, 1) + 1.5 * torch.randn(100, 64, generator=rng)
    return Examples(inputs, labels, torch.ones(len(labels), dtype=torch.bool), 5), queries


@pytest.mark.parametrize("shots", [1, 5, 20])
def test_predictions_equal_those_of_scikit_learn(new_case: Any, shots: int) -> None:
    case = new_case("rfs", "vectors")
    learner, equal, worst = case.learner, 0, 0.0
    for seed in range(10):
        features, queries = _task(seed, shots)
        outputs = learner.score({}, learner.fit_head({}, features), queries)
        expected = torch.from_numpy(_solved_by_sklearn(features, queries, learner.inverse_strength))
        equal += int((outputs.argmax(-1) == expected.argmax(-1)).sum())
        worst = max(worst, float((outputs.softmax(-1) - expected).abs().max()))
    assert equal >= 980  # of 1,000
    assert worst < 0.02


def test_weights_satisfy_the_condition_of_the_optimum(new_case: Any) -> None:
    learner = new_case("rfs", "vectors", num_iterations=2000).learner
    features, _ = _task(0, 5)
    weights = learner.fit_head({}, features)["weights"].clone().requires_grad_()
    directions = functional.normalize(features.inputs, dim=-1)  # type: ignore[arg-type]
    rows = torch.cat([directions, torch.ones(25, 1)], dim=-1)
    errors = functional.cross_entropy(rows @ weights.T, features.targets, reduction="sum")
    loss = learner.inverse_strength * errors + 0.5 * (weights**2).sum()
    (slope,) = torch.autograd.grad(loss, weights)
    assert float(slope.abs().max()) < 1e-3
