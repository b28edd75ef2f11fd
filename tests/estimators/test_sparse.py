"""Sparse inputs: the answers of dense ones, in memory that does not grow with the queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline

from metaloop.core.errors import InputError
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.estimators.sparse import SparseRows
from metaloop.models import Model

KINDS = [
    scipy.sparse.csr_matrix,
    scipy.sparse.csr_array,
    scipy.sparse.csc_array,
    scipy.sparse.coo_matrix,
    scipy.sparse.lil_matrix,
]


def _vectors(number: int = 12, width: int = 7) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random((number, width)) * (rng.random((number, width)) < 0.4)


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_rows_give_the_answers_of_dense_ones(kind: Any) -> None:
    X, y = _vectors(), np.arange(12) % 3
    dense = FewShotClassifier().fit(X, y)
    sparse = FewShotClassifier().fit(kind(X), y)
    assert_array_equal(sparse.predict_proba(kind(X)), dense.predict_proba(X))
    assert_array_equal(sparse.predict(X), dense.predict(kind(X)))
    sparse.partial_fit(kind(X[:2]), [9, 9])
    assert_array_equal(sparse.predict(X), dense.partial_fit(X[:2], [9, 9]).predict(X))
    regressor = FewShotRegressor().fit(kind(X), X[:, 0])
    assert_array_equal(regressor.predict(X), FewShotRegressor().fit(X, X[:, 0]).predict(kind(X)))


def test_a_models_learner_takes_sparse_rows(sinusoid_model: Model) -> None:
    x = np.linspace(-5, 5, 6)[:, None]
    dense = FewShotRegressor(sinusoid_model).fit(x, x[:, 0])
    sparse = FewShotRegressor(sinusoid_model).fit(scipy.sparse.csr_matrix(x), x[:, 0])
    assert_array_equal(sparse.predict(scipy.sparse.csr_matrix(x)), dense.predict(x))


def test_texts_are_told_apart_behind_a_vectoriser() -> None:
    texts = ["a cat", "a dog", "cat cat", "dog dog"]
    pipeline = make_pipeline(TfidfVectorizer(), FewShotClassifier()).fit(texts, [0, 1, 0, 1])
    assert pipeline.predict(["cat", "dog and dog"]).tolist() == [0, 1]


def test_many_queries_are_dense_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = _vectors(700), np.arange(700) % 3
    sizes: list[int] = []
    dense = SparseRows.__getitem__

    def watched(self: SparseRows, rows: slice) -> Any:
        found = dense(self, rows)
        sizes.append(len(found))
        return found

    estimator = FewShotClassifier().fit(X[:9], y[:9])
    monkeypatch.setattr(SparseRows, "__getitem__", watched)
    assert_allclose(estimator.predict_proba(scipy.sparse.csr_matrix(X)), estimator.predict_proba(X))
    assert max(sizes) <= 256 and sum(sizes) == 700


def test_what_cannot_be_made_dense_is_refused_with_the_remedy() -> None:
    texts = [f"text {number}" for number in range(300)]
    wide = HashingVectorizer(n_features=2**20).fit_transform(texts)
    with pytest.raises(
        InputError, match=r"300 examples of 1,048,576 features would take 1\.2 GiB.*"
    ):
        FewShotClassifier().fit(wide, np.arange(300) % 2)


def test_sparse_images_and_unknown_numbers_are_refused(image_model: Model) -> None:
    X = scipy.sparse.csr_matrix(_vectors())
    with pytest.raises(InputError, match=r"a sparse matrix \[12, 7\], but the model takes images"):
        FewShotClassifier(image_model).fit(X, np.arange(12) % 3)
    X.data[3] = np.nan
    with pytest.raises(InputError, match="NaN") as caught:
        FewShotClassifier().fit(X, np.arange(12) % 3)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="features"):
        FewShotClassifier().fit(_vectors(), np.arange(12) % 3).predict(X[:, :3])
