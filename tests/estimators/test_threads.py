"""Threads that share models and estimators: every answer is the one a single thread would give."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from torch import nn

from metaloop.catalogue import build_learner, make_candidate
from metaloop.catalogue.candidates import plain_candidates, with_module
from metaloop.catalogue.learners import EVOLVED, learners_for
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.core.spec import TaskSpec
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.modelfile import TrainingRecord
from metaloop.models import Model

IMAGES = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
SPEC = TaskSpec(3, 2, 5, (1, 16, 16), num_training_classes=7)
RECORD = TrainingRecord(0, "1steps", 1, 1.0, 1.0, "0" * 16, "toy")
LOSS = "def inner_loss(p, y):\n    return mean(mean(square(subtract(p, y)), axis=1), axis=0)\n"
THREADS = 8
QUICK = [
    "maml",
    "evolved_gradient with a loss",
    "own module, maml",
    "joined",
    "logistic_regression, unit",
    "program ridge",
]


def _drawings(num_classes: int, num_examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy copies of random patterns: uint8 `[n, 16, 16]` and class indices `[n]`."""
    rng = np.random.default_rng(seed)
    patterns = np.kron(rng.integers(0, 2, (num_classes, 1, 4, 4)) * 160 + 20, np.ones((4, 4), int))
    images = patterns + rng.integers(-20, 75, (num_classes, num_examples, 16, 16))
    labels = np.repeat(np.arange(num_classes), num_examples)
    return images.clip(0, 255).astype(np.uint8).reshape(-1, 16, 16), labels


def _model(candidate: Candidate, module: nn.Module | None = None) -> Model:
    """An untrained model, small enough to be asked thousands of times."""
    learner = build_learner(candidate, IMAGES, "classification", module)
    return Model(
        learner, learner.init(SPEC, torch_stream(0, "init")), candidate, SPEC, IMAGES, {}, RECORD
    )


def _own_module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


def _ways() -> dict[str, Callable[[], Model]]:
    """A way to make a model of every kind: catalogue, views, programs, joined nets, own modules."""

    def named(name: str) -> Candidate:
        return make_candidate(name, IMAGES, SPEC)

    made: dict[str, Callable[[], Model]] = {
        name: lambda name=name: _model(named(name)) for name in learners_for("classes")
    }
    for plain in plain_candidates(SPEC):
        view = str(plain.net.options.get("view", "raw"))
        made[f"{plain.learner.name}, {view}"] = lambda plain=plain: _model(plain)
    for name, entry in PROGRAMS.items():
        if "predict" in entry.source:
            made[f"program {name}"] = lambda source=entry.source: _model(
                on_trunk(named("protonet"), source)
            )
    made[f"{EVOLVED} with a loss"] = lambda: _model(replace(named(EVOLVED), program=LOSS))
    members = [{"name": n, "options": {}, "candidate": "x"} for n in ("strided", "mlp")]
    made["joined"] = lambda: _model(
        replace(named("protonet"), net=Choice("joined", {"members": members}))
    )
    for name in ("maml", "protonet"):
        made[f"own module, {name}"] = lambda name=name: _model(
            with_module(named(name), _own_module()), _own_module()
        )
    return made


MODELS = {name: cache(way) for name, way in _ways().items()}


@dataclass(frozen=True, eq=False)
class _Work:
    """What is asked of a model: to learn a support, and what it makes of queries."""

    fitted: FewShotClassifier
    support: Any
    labels: Any
    queries: Any

    def fitting(self) -> np.ndarray:
        new = clone(self.fitted).fit(self.support, self.labels)
        return np.asarray(new.predict_proba(self.queries))

    def predicting(self) -> np.ndarray:
        return np.asarray(self.fitted.predict_proba(self.queries))


def _work(model: Model) -> list[_Work]:
    """Three tasks, of 3 to 5 classes, on one model."""
    made = []
    for seed in range(3):
        images, labels = _drawings(3 + seed, 4, seed=seed)
        shown = np.arange(len(labels)) % 4 < 2
        fitted = FewShotClassifier(model).fit(images[shown], labels[shown])
        made.append(_Work(fitted, images[shown], labels[shown], images[~shown]))
    return made


def _in_threads(work: Callable[[int], Any]) -> list[Any]:
    """What the work gives in each of 8 threads that start together."""
    start = threading.Barrier(THREADS)

    def together(thread: int) -> Any:
        start.wait(timeout=60)
        return work(thread)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(together, range(THREADS)))


def _check_mixed(names: list[str], each: int) -> None:
    """Asserts that so many fits and predictions in each thread equal those of one thread."""
    work = [item for name in names for item in _work(MODELS[name]())]
    actions = [action for item in work for action in (item.fitting, item.predicting)]
    serial = [action() for action in actions]

    def run(thread: int) -> list[int]:
        order = np.random.default_rng(thread).integers(0, len(actions), each).tolist()
        return [i for i in order if not np.array_equal(actions[i](), serial[i])]

    assert _in_threads(run) == [[]] * THREADS


def test_mixed_fits_and_predictions_in_threads_equal_the_serial_answers() -> None:
    _check_mixed(QUICK, 5)


@pytest.mark.long
def test_so_do_two_hundred_in_each_thread_of_all_kinds_of_learners_together() -> None:
    assert set(learners_for("classes")) < set(MODELS)
    _check_mixed(list(MODELS), 200)


def test_whatever_is_asked_while_an_estimator_learns_is_answered_by_what_it_was(
    image_maml: Model,
) -> None:
    """Asked again at each step of learning: in no moment is there a mixture."""
    images, labels = _drawings(6, 4, seed=1)
    names = np.array(["ash", "birch", "cedar", "date palm", "elm", "fir"])[labels]
    few, queries = labels >= 4, images[::3]
    answers: list[list[str]] = []
    shared: FewShotClassifier | None = None

    class Asked(FewShotClassifier):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if shared is not None and name != "__dict__":
                answers.append(FewShotClassifier.predict(shared, queries).tolist())

    estimator = Asked(image_maml).fit(images[few], names[few])
    before = estimator.predict(queries).tolist()
    shared = estimator
    estimator.partial_fit(images[~few], names[~few])
    assert answers and all(answer == before for answer in answers)
    answers.clear()
    after = estimator.predict(queries).tolist()
    assert after != before
    estimator.fit(images[few], names[few])
    assert answers and all(answer == after for answer in answers)
    assert estimator.predict(queries).tolist() == before


def test_a_prediction_beside_fits_is_of_one_state(image_model: Model) -> None:
    images, labels = _drawings(6, 6, seed=1)
    few, queries = labels >= 4, images[::3]
    states = [
        FewShotClassifier(image_model).fit(images[few], labels[few]),
        FewShotClassifier(image_model).fit(images, labels),
    ]
    expected = [state.predict(queries).tolist() for state in states]
    assert expected[0] != expected[1]
    shared = FewShotClassifier(image_model).fit(images[few], labels[few])
    done = threading.Event()

    def ask() -> list[list[int]]:
        found = [shared.predict(queries).tolist()]
        while not done.is_set():
            found.append(shared.predict(queries).tolist())
        return found

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]
        try:
            for _ in range(8):
                shared.partial_fit(images[~few], labels[~few])
                shared.fit(images[few], labels[few])
        finally:
            done.set()
        answers = [answer for future in asked for answer in future.result(timeout=60)]
    assert all(answer in expected for answer in answers)


@pytest.mark.parametrize("regression", [False, True])
def test_examples_that_threads_add_at_the_same_time_are_all_learned(regression: bool) -> None:
    X = np.random.default_rng(0).random((32, 3))
    y = X[:, 0] if regression else np.arange(32) % 8
    shared = FewShotRegressor() if regression else FewShotClassifier()

    def add(thread: int) -> None:
        for row in range(thread, 32, THREADS):
            shared.partial_fit(X[row : row + 1], y[row : row + 1])

    _in_threads(add)
    assert shared.task_.support is not None
    learned = shared.task_.support.inputs.numpy()
    assert_array_equal(np.sort(learned, axis=0), np.sort(X.astype(np.float32), axis=0))


def test_a_fit_needs_no_second_try_and_parameters_set_meanwhile_stay_set() -> None:
    fits: list[str] = []

    class Overtaken(FewShotClassifier):
        def _learn(self, X: Any, labels: Any, before: Any) -> None:
            fits.append("fit")
            super()._learn(X, labels, before)
            if len(fits) == 1:  # what other threads do while this one learns
                estimator.partial_fit([[5.0]], [5])
                estimator.set_params(keep_support=False)

    estimator = Overtaken()
    estimator.fit([[0.0], [1.0]], [0, 1])
    assert fits == ["fit"] * 2  # its own, and that of `partial_fit`
    assert estimator.classes_.tolist() == [0, 1]
    assert estimator.keep_support is False


def test_cross_validation_in_threads_gives_the_scores_of_one_thread(image_maml: Model) -> None:
    images, labels = _drawings(3, 8, seed=2)
    estimator = FewShotClassifier(image_maml)
    alone = cross_val_score(estimator, images, labels, cv=4)
    with joblib.parallel_backend("threading"):
        together = cross_val_score(estimator, images, labels, cv=4, n_jobs=4)
    assert_array_equal(together, alone)


def test_pictures_that_are_not_yet_read_may_be_shared(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    estimator = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    noise = np.random.default_rng(0).integers(0, 256, (4, 300, 300)).astype(np.uint8)
    files = []
    for image in noise:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        files.append(file.getvalue())
    expected = estimator.predict_proba(files)
    for _ in range(3):
        pictures = [Image.open(io.BytesIO(content)) for content in files]
        for found in _in_threads(lambda _, pictures=pictures: estimator.predict_proba(pictures)):
            assert_array_equal(found, expected)
