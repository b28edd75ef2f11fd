"""Ridge against scikit-learn's closed form, on classes and on real targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as TheirRidge

from metaloop.core.examples import Examples
from metaloop.core.objective import REGRESSION
from metaloop.core.randomness import torch_stream


@pytest.mark.parametrize("number", [3, 40], ids=["fewer rows than features", "more rows"])
@pytest.mark.parametrize("strength", [0.1, 1.0, 10.0])
def test_real_outputs_equal_those_of_scikit_learn(
    new_case: Any, number: int, strength: float
) -> None:
    learner = new_case("ridge", "vectors", objective=REGRESSION).learner
    rng = torch_stream(number, "ridge")
    inputs, targets = torch.randn(number, 8, generator=rng), torch.randn(number, 2, generator=rng)
    queries = torch.randn(10, 8, generator=rng)
    meta_params = {"head.log_lambda": torch.tensor(math.log(strength))}
    features = Examples(inputs, targets, torch.ones(number, dtype=torch.bool))
    root = math.sqrt(learner.net.num_features)  # by which the learner divides features
    head = learner.fit_head(meta_params, features.with_inputs(root * inputs))
    outputs = learner.score(meta_params, head, root * queries)

    def with_ones(rows: torch.Tensor) -> np.ndarray:  # the intercept is regularised like the rest
        return np.hstack([rows.numpy(), np.ones((len(rows), 1))])

    theirs = TheirRidge(alpha=strength, fit_intercept=False).fit(with_ones(inputs), targets.numpy())
    expected = theirs.predict(with_ones(queries)).astype(np.float32)
    torch.testing.assert_close(outputs, torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


def test_class_logits_are_scaled_regressions_of_one_hot_labels(new_case: Any) -> None:
    case = new_case("ridge", "vectors")
    learner = case.learner
    meta_params = {
        "head.log_lambda": torch.tensor(0.3),
        "head.log_alpha": torch.tensor(1.2),
        "head.beta": torch.tensor(-0.7),
    }
    rng = torch_stream(0, "ridge")
    inputs, queries = torch.randn(6, 4, generator=rng), torch.randn(3, 4, generator=rng)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    features = Examples(inputs, labels, torch.ones(6, dtype=torch.bool), 3)
    rows = torch.cat([inputs, torch.ones(6, 1)], -1)
    system = rows.T @ rows + math.exp(0.3) * torch.eye(5)
    weights = torch.linalg.solve(system, rows.T @ torch.eye(3)[labels])
    expected = math.exp(1.2) * torch.cat([queries, torch.ones(3, 1)], -1) @ weights - 0.7
    root = math.sqrt(learner.net.num_features)
    head = learner.fit_head(meta_params, features.with_inputs(root * inputs))
    outputs = learner.score(meta_params, head, root * queries)
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=1e-5)


def test_a_singular_system_gives_no_exception(new_case: Any) -> None:
    learner = new_case("ridge", "vectors").learner
    meta_params = {"head.log_lambda": torch.tensor(-torch.inf)}
    features = Examples(torch.ones(2, 4), torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool), 2)
    learner.fit_head(meta_params, features)
