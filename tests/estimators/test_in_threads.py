"""Threads that share models and estimators: every answer is the one a single thread would give."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from torch import nn

from metaloop.catalogue import Model, build_learner, make_candidate
from metaloop.catalogue.candidates import with_module
from metaloop.catalogue.learners import LEARNERS
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.core.spec import TaskSpec
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.modelfile import TrainingRecord

IMAGES = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
SPEC = TaskSpec(3, 2, 5, (1, 16, 16), num_training_classes=7)
RECORD = TrainingRecord(0, "1steps", 1, 1.0, 1.0, "0" * 16, "toy")
THREADS = 8


def drawings(num_classes: int, num_examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy copies of random patterns: uint8 `[n, 16, 16]` and class indices `[n]`."""
    rng = np.random.default_rng(seed)
    patterns = np.kron(rng.integers(0, 160, (num_classes, 1, 4, 4)), np.ones((4, 4), int))
    images = patterns + rng.integers(0, 90, (num_classes, num_examples, 16, 16))
    labels = np.repeat(np.arange(num_classes), num_examples)
    return images.reshape(-1, 16, 16).astype(np.uint8), labels


def _model(candidate: Candidate, module: nn.Module | None = None) -> Model:
    learner = build_learner(candidate, IMAGES, "classification", module)
    return Model(
        learner, learner.init(SPEC, torch_stream(0, "init")), candidate, SPEC, IMAGES, {}, RECORD
    )


def _own_module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


def _models() -> dict[str, Callable[[], Model]]:
    """A way to make a model of every kind: catalogue, programs, joined nets, a user's module."""

    def named(name: str) -> Candidate:
        return make_candidate(name, IMAGES, SPEC)

    members = [{"name": n, "options": {}, "candidate": "x"} for n in ("strided", "mlp")]
    made = {name: lambda n=name: _model(named(n)) for name in LEARNERS}
    made |= {
        f"program {name}": lambda e=entry: _model(on_trunk(named("protonet"), e.source))
        for name, entry in PROGRAMS.items()
        if "def predict(" in entry.source
    }
    made["joined"] = lambda: _model(
        replace(named("protonet"), net=Choice("joined", {"members": members}))
    )
    for name in ("maml", "protonet"):
        made[f"own module, {name}"] = lambda n=name: _model(
            with_module(named(n), _own_module()), _own_module()
        )
    return made


MODELS = {name: cache(make) for name, make in _models().items()}


@dataclass(frozen=True, eq=False)
class _Work:
    """One thing to ask of a model: with which support, of which queries."""

    model: Model
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
    """Three tasks on one model."""
    made = []
    for seed in range(3):
        images, labels = drawings(3 + seed, 4, seed=seed)
        shown = np.arange(len(labels)) % 4 < 2
        fitted = FewShotClassifier(model).fit(images[shown], labels[shown])
        made.append(_Work(model, fitted, images[shown], labels[shown], images[~shown]))
    return made


def _mixed_in_threads(names: list[str], each: int) -> None:
    work = [item for name in names for item in _work(MODELS[name]())]
    actions = [action for item in work for action in (item.fitting, item.predicting)]
    serial = [action() for action in actions]
    start = threading.Barrier(THREADS)

    def run(thread: int) -> int:
        order = np.random.default_rng(thread).integers(0, len(actions), each)
        start.wait(timeout=60)
        return sum(not np.array_equal(actions[i](), serial[i]) for i in order)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(run, range(THREADS))) == [0] * THREADS


@pytest.mark.parametrize("name", ["maml", "own module, maml", "joined"])
def test_mixed_fits_and_predictions_in_threads_equal_the_serial_answers(name: str) -> None:
    _mixed_in_threads([name], 4)


@pytest.mark.long
def test_so_do_those_of_all_kinds_of_learners_together() -> None:
    assert {"maml", "logistic_regression", "joined"} < set(MODELS) and len(MODELS) > len(LEARNERS)
    _mixed_in_threads(list(MODELS), 200)


def test_a_prediction_during_fits_is_of_one_state_never_of_a_mixture(image_model: Model) -> None:
    images, labels = drawings(6, 6, seed=1)
    names = np.array(["ash", "birch", "cedar", "date palm", "elm", "fir"])[labels]
    few, queries = labels < 2, images[::3]
    states = [
        FewShotClassifier(image_model).fit(images[few], names[few]),
        FewShotClassifier(image_model).fit(images, names),
    ]
    expected = [state.predict(queries).tolist() for state in states]
    assert expected[0] != expected[1]
    shared = FewShotClassifier(image_model).fit(images[few], names[few])
    done = threading.Event()

    def ask() -> list[list[str]]:
        found = []
        while not done.is_set():
            found.append(shared.predict(queries).tolist())
        return found

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]
        for _ in range(15):
            shared.partial_fit(images[~few], names[~few])
            shared.fit(images[few], names[few])
        done.set()
        answers = [answer for future in asked for answer in future.result(timeout=60)]
    assert answers and all(answer in expected for answer in answers)


@pytest.mark.parametrize("regression", [False, True])
def test_examples_that_threads_add_at_the_same_time_are_all_learned(regression: bool) -> None:
    X = np.random.default_rng(0).random((32, 3))
    y = X[:, 0] if regression else np.arange(32) % 8
    make = FewShotRegressor if regression else FewShotClassifier
    shared, start = make(), threading.Barrier(THREADS)

    def add(thread: int) -> None:
        start.wait(timeout=60)
        for row in range(thread, 32, THREADS):
            shared.partial_fit(X[row : row + 1], y[row : row + 1])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(add, range(THREADS)))
    learned = shared.task_.support.inputs.numpy()
    assert_array_equal(np.sort(learned, axis=0), np.sort(X.astype(np.float32), axis=0))


def test_cross_validation_in_threads_gives_the_scores_of_one_thread(image_maml: Model) -> None:
    images, labels = drawings(3, 8, seed=2)
    estimator = FewShotClassifier(image_maml)
    alone = cross_val_score(estimator, images, labels, cv=4)
    with joblib.parallel_backend("threading"):
        together = cross_val_score(estimator, images, labels, cv=4, n_jobs=4)
    assert_array_equal(together, alone)


@pytest.mark.parametrize("name", ["protonet", "joined", "own module, maml", "nearest_neighbour"])
def test_a_fitted_estimator_that_was_used_can_be_sent_to_another_process(name: str) -> None:
    work = _work(MODELS[name]())[0]
    expected = work.predicting()
    sent = pickle.loads(pickle.dumps(work.fitted))
    assert_array_equal(sent.predict_proba(work.queries), expected)
