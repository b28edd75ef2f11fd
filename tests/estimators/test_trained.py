"""Estimators with a model that was meta-trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from metaloop.core.errors import InputError
from metaloop.core.learner import EmbeddingLearner
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.estimators import task as task_module
from metaloop.models import Model

MODELS = ["image_model", "image_maml", "box_model"]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    """Each kind of learner: of embeddings, of gradient steps, black box."""
    found: Model = request.getfixturevalue(request.param)
    return found


def test_new_classes_are_learned_from_few_examples(model: Model, task: dict[str, Any]) -> None:
    estimator = FewShotClassifier(model).fit(task["support"], task["labels"])
    assert estimator.score(task["queries"], task["truth"]) > 0.7
    probabilities = estimator.predict_proba(task["queries"])
    assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(
        estimator.classes_[probabilities.argmax(axis=1)], estimator.predict(task["queries"])
    )
    assert estimator.n_features_in_ == 256


def test_fit_leaves_the_model_as_it_was(model: Model, task: dict[str, Any]) -> None:
    before = {name: tensor.clone() for name, tensor in model.meta_params.items()}
    FewShotClassifier(model).fit(task["support"], task["labels"]).predict(task["queries"])
    assert model.meta_params.keys() == before.keys()
    for name, tensor in model.meta_params.items():
        assert torch.equal(tensor, before[name]), name


def test_estimator_predicts_what_the_model_predicts(model: Model, task: dict[str, Any]) -> None:
    estimator = FewShotClassifier(model).fit(task["support"], task["labels"])
    targets = torch.from_numpy(np.searchsorted(estimator.classes_, task["labels"]))
    state = model.adapt(torch.from_numpy(task["support"])[:, None], targets, 5)
    logits = model.predict(state, torch.from_numpy(task["queries"])[:, None])
    assert_allclose(estimator.predict_proba(task["queries"]), logits.softmax(-1).numpy(), atol=1e-6)


def test_partial_fit_equals_fit_on_all(model: Model, task: dict[str, Any]) -> None:
    support, labels = task["support"], task["labels"]
    grown = FewShotClassifier(model).fit(support[:6], labels[:6])
    assert grown.classes_.tolist() == ["ash", "birch", "cedar"]
    grown.partial_fit(support[6:8], labels[6:8]).partial_fit(support[8:], labels[8:])
    whole = FewShotClassifier(model).fit(support, labels)
    assert_array_equal(grown.classes_, whole.classes_)
    assert_array_equal(grown.predict_proba(task["queries"]), whole.predict_proba(task["queries"]))


def test_permuting_classes_permutes_probabilities(model: Model, task: dict[str, Any]) -> None:
    order = np.array([3, 0, 4, 2, 1])
    index = np.unique(task["labels"], return_inverse=True)[1]
    plain = FewShotClassifier(model).fit(task["support"], index)
    moved = FewShotClassifier(model).fit(task["support"], order[index])
    # In float64 they agree to 1e-15. In float32 a gradient step may fall on the other side of a
    # kink (ReLU, max-pool), and L-BFGS may stop elsewhere.
    tolerance = 1e-5 if isinstance(model.learner, EmbeddingLearner) else 5e-3
    assert_allclose(
        moved.predict_proba(task["queries"])[:, order],
        plain.predict_proba(task["queries"]),
        atol=tolerance,
    )


def test_a_query_alone_is_predicted_as_among_others(
    model: Model, task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = FewShotClassifier(model).fit(task["support"], task["labels"])
    together = estimator.predict_proba(task["queries"])
    alone = [estimator.predict_proba(task["queries"][i : i + 1]) for i in range(5)]
    assert_allclose(np.concatenate(alone), together[:5], atol=1e-5)
    monkeypatch.setattr(task_module, "BATCH", 4)
    assert_allclose(estimator.predict_proba(task["queries"]), together, atol=1e-5)
    in_batches = FewShotClassifier(model).fit(task["support"], task["labels"])
    assert_allclose(in_batches.predict_proba(task["queries"]), together, atol=1e-5)


def test_queries_of_a_transductive_learner_are_not_split(
    image_maml: Model, task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = replace(image_maml.learner, norm="query batch")  # type: ignore[type-var]
    estimator = FewShotClassifier(replace(image_maml, learner=learner))
    estimator.fit(task["support"], task["labels"])
    together = estimator.predict_proba(task["queries"])
    monkeypatch.setattr(task_module, "BATCH", 4)
    assert_array_equal(estimator.predict_proba(task["queries"]), together)


def test_keep_support_false_keeps_nothing(image_model: Model, task: dict[str, Any]) -> None:
    kept = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    dropped = FewShotClassifier(image_model, keep_support=False)
    dropped.fit(task["support"], task["labels"])
    assert dropped.task_.support is None
    assert_array_equal(dropped.predict_proba(task["queries"]), kept.predict_proba(task["queries"]))
    with pytest.raises(InputError, match="support was not kept; use keep_support=True"):
        dropped.partial_fit(task["support"], task["labels"])


def test_maml_learns_a_sinusoid_better_than_it_knew_it(sinusoid_model: Model) -> None:
    x = np.linspace(-5, 5, 10)[:, None]
    y = 2 * np.sin(x[:, 0] - 1)
    estimator = FewShotRegressor(sinusoid_model).fit(x, y)
    zeros = FewShotRegressor(sinusoid_model).fit(x, np.zeros(10))
    assert estimator.predict(x).shape == (10,)
    assert ((estimator.predict(x) - y) ** 2).mean() < ((zeros.predict(x) - y) ** 2).mean()


def test_regressor_partial_fit_equals_fit_on_all(sinusoid_model: Model) -> None:
    x = np.linspace(-5, 5, 10)[:, None]
    y = 2 * np.sin(x[:, 0] - 1)
    grown = FewShotRegressor(sinusoid_model).fit(x[:4], y[:4]).partial_fit(x[4:], y[4:, None])
    assert_array_equal(grown.predict(x), FewShotRegressor(sinusoid_model).fit(x, y).predict(x))
