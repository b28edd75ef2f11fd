"""Fitted estimators as files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from torch import nn

from metaloop.catalogue import build_learner
from metaloop.catalogue.candidates import with_module
from metaloop.core.errors import InputError, MetaloopError, ModelFileError, OutputError
from metaloop.core.randomness import torch_stream
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.modelfile import read_model, write_model
from metaloop.models import Model, load_model

MODELS = ["image_model", "image_maml", "box_model"]

_PREDICT = """
import sys, numpy, torch
torch.set_num_threads(1)
from metaloop.estimators import FewShotClassifier, FewShotRegressor
drawings, points = numpy.load("drawings.npy"), numpy.load("points.npy")
for kind in sys.argv[1:]:
    found = FewShotClassifier.load(kind + ".metaloop").predict_proba(drawings)
    numpy.save(kind + ".npy", found)
numpy.save("sinusoid.npy", FewShotRegressor.load("sinusoid.metaloop").predict(points))
"""


def test_saved_estimators_predict_bit_equal_in_a_new_process(
    request: pytest.FixtureRequest, sinusoid_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    """The model itself is saved and loaded first: that must not change a bit either."""
    drawings, points = task["queries"] / 255.0, np.linspace(-5, 5, 10)[:, None]
    np.save(tmp_path / "drawings.npy", drawings)
    np.save(tmp_path / "points.npy", points)
    expected: dict[str, np.ndarray] = {}
    for kind in MODELS:
        model: Model = request.getfixturevalue(kind)
        fresh = FewShotClassifier(model).fit(task["support"] / 255.0, task["labels"])
        expected[kind] = fresh.predict_proba(drawings)
        model.save(tmp_path / "model.metaloop", overwrite=True)
        loaded = FewShotClassifier.load(tmp_path / "model.metaloop")
        loaded.fit(task["support"] / 255.0, task["labels"])
        loaded.save(tmp_path / f"{kind}.metaloop")
    regressor = FewShotRegressor(sinusoid_model).fit(points, np.sin(points[:, 0]))
    regressor.save(tmp_path / "sinusoid.metaloop")
    expected["sinusoid"] = regressor.predict(points)
    command = [sys.executable, "-c", _PREDICT, *MODELS]
    subprocess.run(command, check=True, timeout=100, cwd=tmp_path)
    for kind, values in expected.items():
        assert_array_equal(np.load(tmp_path / f"{kind}.npy"), values, kind)


@pytest.mark.parametrize("keep_support", [True, False])
def test_baselines_survive_a_file(keep_support: bool, tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    classifier = FewShotClassifier(keep_support=keep_support).fit(X, y)
    classifier.save(tmp_path / "c.metaloop")
    loaded = FewShotClassifier.load(tmp_path / "c.metaloop")
    assert loaded.get_params() == {
        "model": None,
        "keep_support": keep_support,
        "value_range": None,
    }
    assert loaded.n_features_in_ == 4
    assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    A, b = load_diabetes(return_X_y=True)
    regressor = FewShotRegressor(keep_support=keep_support).fit(A, b)
    regressor.save(tmp_path / "r.metaloop")
    again = FewShotRegressor.load(tmp_path / "r.metaloop")
    assert_array_equal(again.predict(A), regressor.predict(A))
    by_path = FewShotClassifier(tmp_path / "c.metaloop").fit(9 * X, y)  # scaled by its own support
    assert_array_equal(
        by_path.predict_proba(9 * X), FewShotClassifier().fit(9 * X, y).predict_proba(9 * X)
    )
    if keep_support:
        loaded.partial_fit(X[:5] + 9, [7] * 5)
        assert loaded.classes_.tolist() == [0, 1, 2, 7]
        whole = FewShotClassifier().fit(np.concatenate([X, X[:5] + 9]), [*y, *[7] * 5])
        assert_array_equal(loaded.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("kind", MODELS)
def test_a_loaded_classifier_learns_further_classes(
    kind: str, request: pytest.FixtureRequest, task: dict[str, Any], tmp_path: Path
) -> None:
    model: Model = request.getfixturevalue(kind)
    support, labels = task["support"], task["labels"]
    FewShotClassifier(model).fit(support[:6], labels[:6]).save(tmp_path / "a.metaloop")
    grown = FewShotClassifier.load(tmp_path / "a.metaloop").partial_fit(support[6:], labels[6:])
    whole = FewShotClassifier(model).fit(support, labels)
    assert_array_equal(grown.predict_proba(task["queries"]), whole.predict_proba(task["queries"]))


@pytest.mark.parametrize("kind", ["image_model", "box_model"])
def test_a_classifier_of_a_single_class_survives_a_file(
    kind: str, request: pytest.FixtureRequest, task: dict[str, Any], tmp_path: Path
) -> None:
    estimator = FewShotClassifier(request.getfixturevalue(kind))
    estimator.partial_fit(task["support"][:1], ["ash"]).save(tmp_path / "a.metaloop")
    loaded = FewShotClassifier.load(tmp_path / "a.metaloop")
    assert set(loaded.predict(task["queries"])) == {"ash"}


@pytest.mark.parametrize(
    "labels", [[True, False], [1, 0], [1.0, 0.0], ["b", "a"], ["Ж", ""], [2**40, -5]]
)
def test_labels_survive_a_file_with_their_kind(labels: list[Any], tmp_path: Path) -> None:
    X = np.array([[0.0], [1.0]])
    FewShotClassifier().fit(X, labels).save(tmp_path / "a.metaloop")
    loaded = FewShotClassifier.load(tmp_path / "a.metaloop")
    found = loaded.predict(X).tolist()
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


def test_the_file_holds_tensors_and_json_and_the_support_only_if_kept(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    members = {}
    for keep_support in (True, False):
        path = tmp_path / f"{keep_support}.metaloop"
        estimator = FewShotClassifier(image_model, keep_support=keep_support)
        estimator.fit(task["support"], task["labels"]).save(path)
        members[keep_support] = set(zipfile.ZipFile(path).namelist())
        loaded = FewShotClassifier.load(path)
        assert loaded.keep_support is keep_support
        assert_array_equal(
            loaded.predict_proba(task["queries"]), estimator.predict_proba(task["queries"])
        )
    assert members[False] == {"learner.json", "weights.safetensors", "state.safetensors"}
    assert members[True] == members[False] | {"support.safetensors"}
    with pytest.raises(InputError, match="partial_fit needs the examples of before"):
        loaded.partial_fit(task["support"], task["labels"])


def test_a_black_box_without_its_support_cannot_be_saved(
    box_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    estimator = FewShotClassifier(box_model, keep_support=False)
    estimator.fit(task["support"], task["labels"])
    with pytest.raises(InputError, match="a fitted logistic_regression is saved with its support"):
        estimator.save(tmp_path / "a.metaloop")
    assert not (tmp_path / "a.metaloop").exists()


def test_a_learner_file_is_loaded_unfitted(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.metaloop"
    image_model.save(path)
    loaded = FewShotClassifier.load(path)
    assert isinstance(loaded.model, Model)
    with pytest.raises(NotFittedError):
        loaded.predict(task["queries"])
    by_path = FewShotClassifier(str(path)).fit(task["support"], task["labels"])
    loaded.fit(task["support"], task["labels"])
    assert_array_equal(
        by_path.predict_proba(task["queries"]), loaded.predict_proba(task["queries"])
    )


def test_the_learner_of_an_adapted_file_can_be_fitted_to_something_else(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "adapted.metaloop"
    FewShotClassifier(image_model).fit(task["support"], task["labels"]).save(path)
    fresh = FewShotClassifier(image_model).fit(task["queries"], task["truth"])
    for estimator in (FewShotClassifier(path), FewShotClassifier.load(path)):
        estimator.fit(task["queries"], task["truth"])
        assert_array_equal(
            estimator.predict_proba(task["support"]), fresh.predict_proba(task["support"])
        )
    assert load_model(path).candidate == image_model.candidate


def test_a_model_of_the_other_kind_is_refused(
    image_model: Model, sinusoid_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    x = np.linspace(-5, 5, 4)[:, None]
    sinusoid_model.save(tmp_path / "learner.metaloop")
    FewShotRegressor(sinusoid_model).fit(x, x).save(tmp_path / "adapted.metaloop")
    for name in ("learner", "adapted"):
        path = tmp_path / f"{name}.metaloop"
        with pytest.raises(InputError, match="use FewShotRegressor instead of FewShotClassifier"):
            FewShotClassifier.load(path)
        with pytest.raises(InputError, match="use FewShotRegressor"):
            FewShotClassifier(path).fit(task["support"], task["labels"])
    with pytest.raises(InputError, match="use FewShotClassifier instead of FewShotRegressor"):
        FewShotRegressor(image_model).fit(task["support"], np.zeros(15))


def test_an_existing_file_is_overwritten_only_on_request(tmp_path: Path) -> None:
    estimator = FewShotClassifier().fit([[0.0], [1.0]], [0, 1])
    path = tmp_path / "a.metaloop"
    estimator.save(path)
    with pytest.raises(OutputError, match="already exists"):
        estimator.save(path)
    estimator.save(path, overwrite=True)
    with pytest.raises(OutputError, match="there is no folder"):
        estimator.save(tmp_path / "missing" / "a.metaloop")
    with pytest.raises(ModelFileError, match="there is no model file"):
        FewShotClassifier.load(tmp_path / "b.metaloop")


@pytest.mark.parametrize("damage", ["missing", "wrong shape", "wrong name", "classes", "support"])
def test_a_state_that_does_not_fit_the_learner_is_refused(damage: str, tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    FewShotClassifier().fit(X, y).save(tmp_path / "a.metaloop")
    content = read_model(tmp_path / "a.metaloop")
    assert content.state is not None
    changes: dict[str, dict[str, Any]] = {
        "missing": {"state": {}},
        "wrong shape": {"state": {**content.state, "centroids": torch.zeros(3, 5)}},
        "wrong name": {"state": {"prototypes": torch.zeros(3, 4)}},
        "classes": {"classes": ("a", "b", "c", "d")},
        "support": {"support": {"inputs": torch.zeros(3, 4)}},
    }
    write_model(tmp_path / "b.metaloop", replace(content, **changes[damage]))
    with pytest.raises(ModelFileError, match="does not fit"):
        FewShotClassifier.load(tmp_path / "b.metaloop")


def test_a_model_with_a_net_of_ones_own_is_loaded_with_that_net(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    def own_net() -> nn.Module:
        return nn.Sequential(nn.AvgPool2d(4), nn.Flatten())

    candidate = with_module(image_model.candidate, own_net())
    learner = build_learner(candidate, image_model.input_format, "classification", own_net())
    spec = replace(image_model.spec, num_training_classes=len(image_model.parts["train"]))
    own = learner.init(spec, torch_stream(0, "own"))
    scale = {"head.log_scale": image_model.meta_params["head.log_scale"]}
    model = replace(image_model, learner=learner, candidate=candidate, meta_params=own | scale)
    estimator = FewShotClassifier(model).fit(task["support"], task["labels"])
    estimator.save(tmp_path / "own.metaloop")
    with pytest.raises(MetaloopError, match="net=<that module>"):
        FewShotClassifier.load(tmp_path / "own.metaloop")
    loaded = FewShotClassifier.load(tmp_path / "own.metaloop", net=own_net())
    assert_array_equal(
        loaded.predict_proba(task["queries"]), estimator.predict_proba(task["queries"])
    )
