"""scikit-learn's estimators as learners: through training, files, estimators and the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsRegressor, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

import metaloop as ml
from metaloop.core.errors import GuestError, MetaloopError
from metaloop.core.examples import Examples
from metaloop.core.randomness import torch_stream
from metaloop.engine.evaluation import evaluate
from metaloop.guests.sklearn import as_learner
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import Reading

NAMED = ("extra_trees", "gaussian_naive_bayes", "lda", "svm")


@pytest.fixture(scope="module")
def reading() -> Reading:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 8))[labels] + 0.4 * rng.normal(size=(len(labels), 8))
    return read_arrays(vectors, labels, name="vectors")


@pytest.fixture(scope="module")
def family(reading: Reading) -> ClassFamily:
    return class_family(reading)[0]


def support(shots: int = 3, seed: int = 0) -> Examples:
    rng = torch_stream(seed, "sklearn")
    centres = 3 * torch.randn(4, 5, generator=rng)
    labels = torch.arange(4).repeat_interleave(shots)
    inputs = centres[labels] + 0.1 * torch.randn(len(labels), 5, generator=rng)
    return Examples(inputs, labels, torch.ones(len(labels), dtype=torch.bool), 4)


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(),  # no probabilities, a decision function
        LinearSVC(),
        RidgeClassifier(),
        NearestCentroid(),
        make_pipeline(StandardScaler(), RandomForestClassifier(20)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_any_classifier_tells_classes_apart_and_stays_unfitted(estimator: Any) -> None:
    learner, known = as_learner(estimator), support()
    outputs = learner.predict({}, learner.adapt({}, known), known.inputs)
    assert outputs.shape == (12, 4)
    assert (outputs.argmax(1) == known.targets).all()
    assert not hasattr(estimator, "classes_")


@pytest.mark.parametrize("estimator", [SVC(), RidgeClassifier()])
def test_two_classes_of_a_larger_task_are_told_apart_and_the_others_impossible(
    estimator: Any,
) -> None:
    known = support()
    some = known.targets.eq(1) | known.targets.eq(3)
    two = Examples(known.features[some], known.targets[some], known.mask[some], 4)
    learner = as_learner(estimator)
    outputs = learner.predict({}, learner.adapt({}, two), two.inputs)
    assert (outputs.argmax(1) == two.targets).all()
    assert outputs[:, [0, 2]].isinf().all()


def test_a_random_pipeline_answers_a_task_the_same_whatever_came_before() -> None:
    learner = as_learner(make_pipeline(StandardScaler(), RandomForestClassifier(5)))
    tasks = [support(seed=seed) for seed in range(4)]
    queries = torch.randn(20, 5, generator=torch_stream(0, "queries"))

    def answers(order: list[int]) -> dict[int, torch.Tensor]:
        return {t: learner.predict({}, learner.adapt({}, tasks[t]), queries) for t in order}

    first, second = answers([0, 1, 2, 3]), answers([3, 1, 0, 2])
    assert all(torch.equal(first[task], second[task]) for task in range(4))
    assert not torch.equal(first[0], first[1])


def test_a_seed_of_ones_own_is_kept() -> None:
    own = as_learner(RandomForestClassifier(5, random_state=7))
    fitted = own.adapt({}, support()).state[1]
    assert fitted.random_state == 7


def test_an_estimator_is_trained_saved_loaded_and_evaluated(
    reading: Reading, tmp_path: Path
) -> None:
    learner = as_learner(make_pipeline(StandardScaler(), SVC(C=10)))
    path = tmp_path / "model.metaloop"
    trained = ml.train(reading, learner, out=path, shots=3)
    figures = ml.evaluate(trained, reading, episodes=30, part="search")
    assert figures.value > 0.9
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(9, 8)), np.repeat(["a", "b", "c"], 3)
    labels = trained.model.fit(X, y).predict(X)
    with pytest.raises(MetaloopError, match=r"of your own.*SVC\(C=10\).*learner="):
        ml.load(path)
    with pytest.raises(MetaloopError, match=r"SVC\(C=10\).*but learner= is .*SVC\(C=3\)"):
        ml.load(path, learner=as_learner(make_pipeline(StandardScaler(), SVC(C=3))))
    loaded = ml.load(path, learner=learner)
    assert loaded.fit(X, y).predict(X).tolist() == labels.tolist()
    loaded.save(tmp_path / "fitted.metaloop")
    again = ml.load(tmp_path / "fitted.metaloop", learner=learner)
    assert again.predict(X).tolist() == labels.tolist()
    assert ml.evaluate(path, reading, episodes=30, part="search", learner=learner) == figures


def test_a_regressor_and_a_pipeline_with_one_learn_functions() -> None:
    family = SinusoidFamily()
    spec = family.spec(0, 10, 10)

    def error(estimator: Any) -> float:
        return evaluate(as_learner(estimator), {}, family, "search", spec, 40)[0].value

    cubic = make_pipeline(PolynomialFeatures(3), LinearRegression())
    assert error(KNeighborsRegressor(2)) < error(LinearRegression())
    trained = ml.train("sinusoid", as_learner(cubic), shots=8, queries=8)
    line = np.linspace(0, 1, 8)
    values = trained.model.fit(line[:, None], line**3).predict([[0.5]])
    np.testing.assert_allclose(values, [0.125], atol=1e-4)


def test_what_is_no_classifier_or_regressor_is_refused() -> None:
    with pytest.raises(MetaloopError, match=r"expected a scikit-learn classifier.*KMeans"):
        as_learner(KMeans())
    with pytest.raises(MetaloopError, match="got str"):
        as_learner("svm")


def test_a_kind_of_targets_that_it_cannot_learn_is_refused(reading: Reading) -> None:
    with pytest.raises(MetaloopError, match="cannot learn regression tasks"):
        ml.train("sinusoid", as_learner(SVC()))
    with pytest.raises(MetaloopError, match="cannot learn classification tasks"):
        ml.train(reading, as_learner(LinearRegression()))


def test_what_scikit_learn_refuses_is_one_line() -> None:
    learner = as_learner(KNeighborsRegressor(50))
    inputs = torch.zeros(3, 2)
    few = Examples(inputs, inputs[:, :1], torch.ones(3, dtype=torch.bool))
    with pytest.raises(GuestError, match=r"^EstimatorOfValues failed on 2 inputs: [^\n]*n_neigh"):
        learner.predict({}, learner.adapt({}, few), torch.zeros(2, 2))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("shots", [1, 5])
def test_the_named_ones_learn_classes_by_name(name: str, shots: int, family: ClassFamily) -> None:
    spec = family.spec(5, shots, 5)
    learner = ml.LEARNERS[name].constructor()
    assert evaluate(learner, {}, family, "search", spec, 20)[0].value > 0.75
    assert not ml.LEARNERS[name].offered  # the loop does not spend a budget on them unasked


@pytest.mark.parametrize("name", ["extra_trees", "svm"])
def test_two_of_them_learn_functions_by_name(name: str) -> None:
    trained = ml.train("sinusoid", name, shots=20, queries=10)
    figures = ml.evaluate(trained, "sinusoid", episodes=30)
    assert figures.metric == "mse" and figures.value < 2.0  # a constant: about 4
    both = trained.trained.learner
    inputs = torch.randn(20, 1, generator=torch_stream(0, "x"))
    two = Examples(inputs, torch.cat([inputs, -inputs], 1), torch.ones(20, dtype=torch.bool))
    outputs = both.predict({}, both.adapt({}, two), inputs)
    assert outputs.shape == (20, 2)
    torch.testing.assert_close(outputs[:, 0], -outputs[:, 1], atol=0.3, rtol=0.1)
