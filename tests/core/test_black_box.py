"""Black boxes: what they see of the inputs, and where their randomness comes from."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier
from threadpoolctl import ThreadpoolController

from metaloop.catalogue.candidates import build_learner
from metaloop.core.black_box import BlackBoxLearner, ProbabilisticClassifier, on_one_thread
from metaloop.core.errors import DivergenceError, GuestError, MetaloopError
from metaloop.core.examples import Examples
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan, Result
from metaloop.engine import evaluation
from metaloop.engine.evaluation import evaluate
from metaloop.learners.logistic_regression import LogisticRegressionLearner
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

EPISODES = 20


@dataclass(frozen=True)
class SmallPerceptron(BlackBoxLearner):
    """A guest whose initial weights and order of examples are random."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    vmappable: ClassVar[bool] = False
    citation: ClassVar[str] = ""

    def make(self, seed: int) -> ProbabilisticClassifier:
        made: ProbabilisticClassifier = MLPClassifier(
            (8,), learning_rate_init=0.05, max_iter=1000, tol=1e-2, random_state=seed
        )
        return made


@dataclass(frozen=True)
class SeedTeller(BlackBoxLearner):
    """A guest that answers by its seed alone."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    vmappable: ClassVar[bool] = False
    citation: ClassVar[str] = ""

    def make(self, seed: int) -> Any:
        return _Teller(seed)


class _Teller:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, inputs: np.ndarray, labels: np.ndarray) -> Any:
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        return np.ones((len(inputs), len(self.classes_)))


def family(useless: float = 0.0, spread: float = 0.5) -> ClassFamily:
    """Returns 24 classes of 8 numbers; with two more columns of noise in units that large."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 8))[labels] + spread * rng.normal(size=(len(labels), 8))
    if useless:
        noise = useless * rng.normal(size=(len(labels), 2))
        vectors = np.concatenate([vectors, noise], axis=1)
    return class_family(read_arrays(vectors, labels, name="vectors"))[0]


def support(seed: int = 0, padding: int = 0) -> Examples:
    inputs = torch.randn(10 + padding, 4, generator=torch_stream(seed, "inputs"))
    labels = torch.arange(5).repeat_interleave(2)
    labels = torch.cat([labels, torch.zeros(padding, dtype=torch.int64)])
    mask = torch.arange(10 + padding) < 10
    inputs[:10] = torch.randn(10, 4, generator=torch_stream(seed, "present"))
    return Examples(inputs, labels, mask, 5, padded=bool(padding))


def seed_of(examples: Examples, rng: torch.Generator | None = None) -> int:
    return int(SeedTeller().adapt({}, examples, rng).guest.seed)


def test_a_guest_has_a_seed_for_each_task_that_its_support_decides() -> None:
    assert seed_of(support()) == seed_of(support()) == seed_of(support(padding=3))
    assert len({seed_of(support(seed)) for seed in range(20)}) == 20
    other = support()
    relabelled = Examples(other.inputs, other.targets.flip(0), other.mask, 5)
    assert seed_of(relabelled) != seed_of(other)
    assert 0 <= seed_of(other) < 2**31


def test_a_given_generator_decides_instead() -> None:
    drawn = [seed_of(support(), torch_stream(seed, "rng")) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_random_guest_scores_the_same_each_time_and_in_any_stacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MLPClassifier without a seed: 0.224, 0.224, 0.220 on one and the same list."""
    vectors = family(spread=1.0)
    spec = vectors.spec(5, 1, 5)

    def result() -> Result:
        learner = SmallPerceptron(view="standardised", input_format=vectors.input_format)
        return evaluate(learner, {}, vectors, "search", spec, EPISODES)[0]

    first = result()
    assert result() == first and first.ci95 > 0
    monkeypatch.setattr(evaluation, "_NUMBERS_AT_ONCE", 1)  # one task at a time
    assert result() == first


@pytest.mark.parametrize("name", ["logistic_regression", "nearest_neighbour", "nearest_centroid"])
def test_useless_columns_in_large_units_are_no_harm_once_standardised(name: str) -> None:
    def accuracy(vectors: ClassFamily, view: str) -> float:
        candidate = Candidate(Choice(name), Choice("raw", {"view": view}), Plan("none"))
        learner = build_learner(candidate, vectors.input_format, "classification")
        spec = vectors.spec(5, 1, 5)
        return evaluate(learner, {}, vectors, "search", spec, EPISODES)[0].value

    clean, spoilt = family(spread=0.3), family(useless=1e4, spread=0.3)
    assert accuracy(clean, "raw") > 0.9
    assert accuracy(spoilt, "raw") < 0.35  # chance is 0.2
    assert accuracy(spoilt, "standardised") > 0.85


@dataclass(frozen=True)
class Scripted(BlackBoxLearner):
    """A guest of real targets that does as it is told."""

    does: str = "mean"

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real", "classes"})
    citation: ClassVar[str] = ""

    def make(self, seed: int) -> Any:
        return _Own() if self.does == "adapts" else _Script(self.does)


class _Script:
    def __init__(self, does: str) -> None:
        self.does = does

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Any:
        if self.does == "refuses":
            raise ValueError("one\nexample\n is not enough")
        self.mean = targets.mean(0)
        if self.does == "scribbles":
            inputs[:], targets[:] = 7, 7
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        outputs = np.tile(self.mean, (len(inputs), 1))
        if self.does == "scribbles":
            inputs[:] = 7
        if self.does == "is no number":
            outputs[0, 0] = np.nan
        return outputs[:-1] if self.does == "loses one" else outputs


class _Own:
    """A guest with habits of its own: it answers how far inputs are from a class's last one."""

    def adapt(self, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> Any:
        return {label: inputs[targets == label][-1] for label in range(num_classes)}

    def predict(self, state: Any, inputs: np.ndarray) -> np.ndarray:
        return np.stack([-((inputs - state[c]) ** 2).sum(1) for c in sorted(state)], axis=1)


def real_support() -> Examples:
    inputs = torch.randn(6, 4, generator=torch_stream(0, "real"))
    return Examples(inputs, inputs[:, :2].clone(), torch.ones(6, dtype=torch.bool))


def test_a_guest_that_changes_its_arrays_changes_nothing() -> None:
    known, honest, scribbler = real_support(), Scripted(), Scripted(does="scribbles")
    before, queries = copy.deepcopy(known), torch.randn(3, 4, generator=torch_stream(1, "q"))
    asked = queries.clone()
    outputs = scribbler.predict({}, scribbler.adapt({}, known), queries)
    assert torch.equal(known.features, before.features)
    assert torch.equal(known.targets, before.targets) and torch.equal(queries, asked)
    assert torch.equal(outputs, honest.predict({}, honest.adapt({}, known), queries))


@pytest.mark.parametrize(
    ("does", "error", "complaint"),
    [
        ("refuses", GuestError, "Scripted failed on 6 examples: one example is not enough"),
        ("is no number", DivergenceError, "not numbers"),
        ("loses one", GuestError, r"expected predictions of shape \(6, 2\), got \(5, 2\)"),
    ],
)
def test_a_guest_that_fails_is_one_line(does: str, error: type, complaint: str) -> None:
    learner, known = Scripted(does=does), real_support()
    with pytest.raises(error, match=complaint):
        learner.predict({}, learner.adapt({}, known), known.inputs)


def test_a_guest_may_have_habits_of_its_own() -> None:
    learner, known = Scripted(does="adapts"), support()
    outputs = learner.predict({}, learner.adapt({}, known), known.inputs)
    assert outputs.shape == (10, 5)
    assert outputs.argmax(1)[1::2].tolist() == [0, 1, 2, 3, 4]


def test_a_view_without_statistics_is_refused() -> None:
    with pytest.raises(MetaloopError, match=r"'unit' needs statistics.*input_format"):
        LogisticRegressionLearner(view="unit")
    assert LogisticRegressionLearner().view == "raw"


def test_guests_are_fitted_on_one_thread_and_threads_come_back() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in ThreadpoolController().info()]

    before = threads()
    with pytest.raises(ZeroDivisionError), on_one_thread():  # noqa: PT012
        assert set(threads()) == {1}
        raise ZeroDivisionError
    assert threads() == before
