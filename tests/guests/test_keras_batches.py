"""Batches that Keras trains on, as the examples of a few-shot classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.core.errors import InputError
from metaloop.guests.keras import as_arrays
from metaloop.tasks.store import Reading


class Endless:
    """What says of itself that it has no last batch."""

    num_batches = None

    def __iter__(self) -> Any:
        raise AssertionError("it would never end")


@pytest.fixture(scope="module")
def trained(images: Reading) -> Any:
    return ml.train(images, "protonet", net="mlp", budget="3steps")


def patterns(each: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 12, 12, 1]`, floats of 0 to 255 as Keras reads them, of three classes."""
    rng = np.random.default_rng(0)
    drawn, labels = rng.integers(0, 255, (3, 12, 12, 1)), np.arange(3 * each) % 3
    noise = np.random.default_rng(seed).normal(0, 10, (len(labels), 12, 12, 1))
    return np.clip(drawn[labels] + noise, 0, 255).astype(np.float32), labels


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_classifier_learns_from_a_pydataset_and_predicts_one(
    keras: Any, trained: Any, one_hot: bool
) -> None:
    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
            super().__init__()
            self.X, self.y = X, np.eye(3)[y] if one_hot else y

        def __len__(self) -> int:
            return -(-len(self.X) // 4)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            rows = slice(4 * index, 4 * index + 4)
            return self.X[rows], self.y[rows]

    known, queries = Batches(*patterns(each=5)), Batches(*patterns(each=3, seed=2))
    classifier = trained.model.fit(*as_arrays(known))
    X, y = as_arrays(queries)
    assert X.shape == (9, 12, 12, 1) and y.tolist() == [0, 1, 2] * 3
    assert classifier.score(X, y) == 1.0
    for inputs, _ in queries:  # as a Keras program asks
        assert classifier.predict(inputs).shape == (len(inputs),)


def test_batch_by_batch_is_the_same_as_all_at_once(trained: Any) -> None:
    X, y = patterns(each=4)
    batches = [(X[start : start + 3], y[start : start + 3]) for start in range(0, 12, 3)]
    whole, grown = trained.model.fit(*as_arrays(batches)), trained.model
    for inputs, labels in batches:
        grown.partial_fit(inputs, labels)
    assert np.array_equal(grown.predict_proba(X), whole.predict_proba(X))


def test_tensors_columns_weights_and_single_examples_are_taken() -> None:
    batches = [(torch.ones(2, 3, requires_grad=True), torch.tensor([[1], [0]]), np.ones(2))]
    X, y = as_arrays(batches)
    assert (X.shape, y.tolist()) == ((2, 3), [1, 0])
    X, y = as_arrays(iter([(np.zeros((4, 4)), np.int64(2)), (np.ones((4, 4)), np.int64(1))]))
    assert (X.shape, y.tolist()) == ((2, 4, 4), [2, 1])


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (3, "expected a tf.data.Dataset"),
        (Endless(), "never ends; leave .repeat"),
        ([], "has no batches"),
        ([np.zeros((2, 3))], "batch 0 is a ndarray; expected"),
        ([(np.zeros((2, 3)),)], "batch 0 is a tuple of 1; expected"),
        ([({"image": np.zeros((2, 3))}, [0, 1])], "batch 0 has a dict of several"),
        ([(np.zeros((2, 3)), [0, 1, 1])], r"inputs \[2, 3\] and labels \[3\]"),
        ([(np.zeros((1, 3)), [0]), (np.zeros((1, 4)), [0])], r"shapes \(3,\) and \(4,\)"),
        ([(np.zeros((2, 3)), np.full((2, 2), 0.5))], r"labels are \[2, 2\]; expected one for each"),
    ],
)
def test_what_is_no_data_set_of_examples_is_one_line(dataset: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        as_arrays(dataset)
    assert "\n" not in str(told.value)
