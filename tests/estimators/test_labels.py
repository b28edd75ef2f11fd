"""Labels of every common kind come back as they were given; what is no label is one line."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from metaloop.core.errors import InputError
from metaloop.estimators import FewShotClassifier
from metaloop.estimators.labels import read_labels

X = np.array([[0.0], [9.0], [1.0]])


class _Missing:
    """What a data frame writes for a label that is not known."""

    def __repr__(self) -> str:
        return "<NA>"


_Missing.__name__ = "NAType"


class _Column:
    """A column of a data frame as scikit-learn sees it: NumPy makes an array of it."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self._values, dtype=object)


KINDS: dict[str, Any] = {
    "text": ["b", "a", "c"],
    "text array": np.array(["b", "a", "c"]),
    "long text": np.array(["b" * 300, "Ж", ""]),
    "objects": np.array(["b", "a", "c"], dtype=object),
    "strings of numpy": np.array(["b", "a", "c"], dtype=np.dtypes.StringDType()),
    "column": _Column(["b", "a", "c"]),
    "bytes": [b"b", b"a", b"c"],
    "bytes array": np.array([b"b", b"a", b"c"]),
    "truth values": [True, False, True],
    "truth array": np.array([True, False, True]),
    "truth objects": np.array([True, False, True], dtype=object),
    "integers": [3, -1, 10],
    "unsigned": np.array([3, 1, 200], np.uint8),
    "large": [2**40, -5, 0],
    "whole floats": [1.0, 0.0, 2.0],
    "half floats": np.array([1.0, 0.0, 2.0], np.float16),
    "integers of NumPy": [np.int64(3), np.int64(1), np.int64(2)],
    "number objects": np.array([3, 1, 2], dtype=object),
    "dates": np.array(["2024-03-01", "2024-01-01", "2025-01-01"], dtype="datetime64[D]"),
    "durations": np.array([3, 1, 2], dtype="timedelta64[h]"),
    "a column of a matrix": np.array([["b"], ["a"], ["c"]]),
    "tuple": ("b", "a", "c"),
}


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind_come_back_as_they_were(kind: str) -> None:
    given = KINDS[kind]
    expected = np.asarray(given).ravel()
    estimator = FewShotClassifier().fit(X, given)
    found = estimator.predict(X)
    assert found.tolist() == expected.tolist()
    assert [type(label) for label in found.tolist()] == [type(one) for one in expected.tolist()]
    assert estimator.classes_.tolist() == sorted(set(expected.tolist()))
    assert estimator.score(X, given) == 1  # scikit-learn's metrics know fewer kinds
    estimator.partial_fit(X[:1] - 1, expected[:1])
    assert estimator.predict(X).tolist() == expected.tolist()


def test_categories_are_their_labels() -> None:
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["b", "a", "c"], index=[7, 1, 4], dtype="category")
    unsorted = pandas.Categorical(["b", "a", "c"], categories=["c", "b", "a", "unused"])
    for given in (names, names.astype("string"), names.astype(object), unsorted):
        assert FewShotClassifier().fit(X, given).predict(X).tolist() == ["b", "a", "c"]
    with pytest.raises(InputError, match="is missing"):
        FewShotClassifier().fit(X, pandas.Categorical(["b", None, "c"]))
    with pytest.raises(InputError, match=r"is missing|NaN"):
        FewShotClassifier().fit(X, pandas.Series([1, None, 2], dtype="Int64"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", None, "b"], r"y\[1\] is missing \(None\); every example needs a label"),
        (["a", "b", float("nan")], r"y\[2\] is missing \(nan\)"),
        (np.array(["a", np.nan, "b"], dtype=object), r"y\[1\] is missing \(nan\)"),
        (np.array([1, _Missing(), 2], dtype=object), r"y\[1\] is missing \(<NA>\)"),
        ([0.0, np.nan, 1.0], "y contains NaN"),
        ([0.0, np.inf, 1.0], "y contains NaN or infinity"),
        (
            np.array(["2024-01-01", "NaT", "2024-01-02"], dtype="datetime64[D]"),
            r"y\[1\] is missing",
        ),
        (np.array(["a", None], np.dtypes.StringDType(na_object=None)), r"y\[1\] is missing"),
        ([0.5, 1.5, 2.5], "continuous, such as 0.5; .*FewShotRegressor"),
        (["a", 1, 2], "all text or all numbers"),
        (["a", b"b", "c"], "one kind.*got bytes and text"),
        ([1j, 2j, 3j], "Complex data not supported"),
        ([["a"], ["b", "c"], []], "inhomogeneous|one label for each example"),
        (np.array([{"a": 1}, {"a": 2}, {}], dtype=object), "y holds a dict"),
        ((label for label in "abc"), "read only once"),
        (None, "y is None"),
        ("abc", "y should be a 1d array"),
    ],
)
def test_what_is_no_label_is_refused_in_one_line(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        FewShotClassifier().fit(X, labels)
    assert "\n" not in str(caught.value)


def test_labels_added_later_are_of_the_kind_of_before() -> None:
    for first, later, message in [
        ([b"a", b"b", b"c"], ["a"], "labels were bytes before and are text now"),
        (["a", "b", "c"], [1], "labels were text before and are numbers now"),
        ([1, 2, 3], [b"a"], "labels were numbers before and are bytes now"),
    ]:
        estimator = FewShotClassifier().fit(X, first)
        with pytest.raises(InputError, match=message):
            estimator.partial_fit(X[:1], later)
        assert estimator.predict(X).tolist() == first


def test_scores_are_weighted_and_ask_for_labels_of_the_same_kind() -> None:
    estimator = FewShotClassifier().fit(X, ["a", "b", "c"])
    assert estimator.score(X, ["a", "b", "b"]) == pytest.approx(2 / 3)
    assert estimator.score(X, ["a", "b", "b"], sample_weight=[1, 1, 2]) == 0.5
    with pytest.raises(InputError, match="labels were text before and are numbers now"):
        estimator.score(X, [0, 1, 2])
    with pytest.raises(InputError, match="inconsistent numbers of samples"):
        estimator.score(X, ["a", "b"])


def test_labels_that_a_file_cannot_hold_are_refused_when_it_is_saved(tmp_path: Path) -> None:
    dates = np.array(["2024-03-01", "2024-01-01", "2025-01-01"], dtype="datetime64[D]")
    for labels in ([b"a", b"b", b"c"], dates):
        fitted = FewShotClassifier().fit(X, labels)
        with pytest.raises(InputError, match="labels in a file are text, numbers or truth values"):
            fitted.save(tmp_path / "a.metaloop")
    assert not (tmp_path / "a.metaloop").exists()


def test_dates_of_python_are_sorted_like_any_other_labels() -> None:
    days = np.array([datetime.date(2024, 1, 1 + day) for day in (2, 0, 1)], dtype=object)
    assert_array_equal(FewShotClassifier().fit(X, days).predict(X), days)


def test_labels_are_read_without_changing_what_was_given() -> None:
    given = np.array(["b", "a"], dtype=object)
    read = read_labels(given)
    assert read.dtype.kind == "U" and given.dtype == object and read.tolist() == given.tolist()
