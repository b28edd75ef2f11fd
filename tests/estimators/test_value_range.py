"""Black and white in images: decided when an estimator is fitted, then kept by it and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from metaloop.core.errors import InputError
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.models import Model

Scale = Callable[[np.ndarray], np.ndarray]


def _counts(bits: int, dtype: Any) -> Scale:
    return lambda pixels: np.rint(pixels / 255 * (2**bits - 1)).astype(dtype)


SCALES: dict[str, tuple[Scale, Any, tuple[int, int]]] = {
    "floats to 255": (lambda pixels: pixels.astype(np.float32), None, (0, 255)),
    "doubles to 255": (lambda pixels: pixels.astype(float), None, (0, 255)),
    "floats to 1": (lambda pixels: pixels / 255.0, None, (0, 1)),
    "signed floats": (lambda pixels: pixels / 127.5 - 1, None, (-1, 1)),
    "signed integers": (lambda pixels: pixels.astype(np.int16), None, (0, 255)),
    "10 bits": (_counts(10, np.uint16), (0, 1023), (0, 1023)),
    "12 bits": (_counts(12, np.int32), [0, 4095], (0, 4095)),
    "12 bits, floats": (_counts(12, np.float32), np.array([0, 4095]), (0, 4095)),
}


def _dark(task: dict[str, Any]) -> np.ndarray:
    """The support, under-exposed: its extremes are not those of the queries."""
    return np.asarray(task["support"] // 2)


@pytest.mark.parametrize("kind", SCALES)
def test_a_dark_support_and_bright_queries_give_the_answers_of_bytes(
    kind: str, image_model: Model, task: dict[str, Any]
) -> None:
    scale, declared, decided = SCALES[kind]
    expected = FewShotClassifier(image_model).fit(_dark(task), task["labels"])
    estimator = FewShotClassifier(image_model, value_range=declared)
    estimator.fit(scale(_dark(task)), task["labels"])
    assert estimator.value_range_ == decided
    probabilities = estimator.predict_proba(scale(task["queries"]))
    assert_array_equal(probabilities, expected.predict_proba(task["queries"]))
    assert estimator.value_range_ == decided


@pytest.mark.parametrize("kind", ["signed floats", "10 bits"])
def test_a_query_is_read_as_fitted_whatever_is_beside_it(
    kind: str, image_model: Model, task: dict[str, Any]
) -> None:
    scale, declared, _ = SCALES[kind]
    estimator = FewShotClassifier(image_model, value_range=declared)
    estimator.fit(scale(_dark(task)), task["labels"])
    dim, queries = scale(task["queries"][:1] // 9), scale(task["queries"])
    alone = estimator.predict_proba(dim)
    among = estimator.predict_proba(np.concatenate([queries, dim]))[-1:]
    np.testing.assert_allclose(alone, among, atol=1e-6)


@pytest.mark.parametrize("kind", SCALES)
def test_the_range_is_kept_in_the_file_and_by_what_is_added_later(
    kind: str, image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    scale, declared, decided = SCALES[kind]
    dark, labels, queries = scale(_dark(task)), task["labels"], scale(task["queries"])
    estimator = FewShotClassifier(image_model, value_range=declared).fit(dark, labels)
    estimator.save(tmp_path / "a.metaloop")
    loaded = FewShotClassifier.load(tmp_path / "a.metaloop")
    assert loaded.value_range_ == decided
    assert_array_equal(loaded.predict_proba(queries), estimator.predict_proba(queries))
    loaded.partial_fit(queries[:3], task["truth"][:3])  # bright: it changes nothing
    assert loaded.value_range_ == decided
    loaded.save(tmp_path / "b.metaloop")
    again = FewShotClassifier.load(tmp_path / "b.metaloop", value_range=decided)
    assert_array_equal(again.predict_proba(queries), loaded.predict_proba(queries))
    with pytest.raises(InputError, match=r"was fitted with value_range=.* leave it away"):
        FewShotClassifier.load(tmp_path / "b.metaloop", value_range=(0.0, 77.0))


def test_a_fit_decides_anew_and_a_failed_one_keeps_what_was_decided(
    image_model: Model, task: dict[str, Any]
) -> None:
    estimator = FewShotClassifier(image_model).fit(task["support"] / 255.0, task["labels"])
    with pytest.raises(InputError, match="in no known range"):
        estimator.fit(task["support"] * 9.0, task["labels"])
    assert estimator.value_range_ == (0, 1)
    estimator.fit(task["support"], task["labels"])
    assert estimator.value_range_ == (0, 255)


def test_counts_of_12_bits_are_refused_undeclared_as_arrays_and_as_files(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    counts = _counts(12, np.uint16)(task["support"])
    paths = [tmp_path / f"{i}.png" for i in range(len(counts))]
    for path, image in zip(paths, counts, strict=True):
        Image.fromarray(image).save(path)
    pictures = [Image.fromarray(image) for image in counts]
    encoded = [path.read_bytes() for path in paths]
    for X in (counts, paths, pictures, encoded):
        with pytest.raises(InputError, match=r"from \d+ to 4\d\d\d.*value_range=\(0, 4095\)"):
            FewShotClassifier(image_model).fit(X, task["labels"])
    expected = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    for X in (counts, paths, pictures, encoded):
        estimator = FewShotClassifier(image_model, value_range=(0, 4095)).fit(X, task["labels"])
        for queries in (counts, paths, pictures, encoded):
            assert_array_equal(
                estimator.predict_proba(queries), expected.predict_proba(task["support"])
            )


def test_bytes_are_refused_where_a_support_had_more_bits(
    image_model: Model, task: dict[str, Any]
) -> None:
    wide = FewShotClassifier(image_model).fit(
        task["support"].astype(np.uint16) * 257, task["labels"]
    )
    assert wide.value_range_ == (0, 65535)
    with pytest.raises(InputError, match=r"pixels were in 0\.\.65535 .* these are bytes"):
        wide.predict(task["queries"])


def test_files_of_8_and_of_16_bits_are_each_read_by_their_kind(
    image_model: Model, task: dict[str, Any]
) -> None:
    narrow = [Image.fromarray(image) for image in task["queries"]]
    wide = [Image.fromarray(image.astype(np.uint16) * 257) for image in task["queries"]]
    for support in (task["support"], list(map(Image.fromarray, task["support"]))):
        estimator = FewShotClassifier(image_model).fit(support, task["labels"])
        assert estimator.value_range_ == (0, 255)
        assert_array_equal(estimator.predict_proba(wide), estimator.predict_proba(narrow))


def test_vectors_have_no_value_range(sinusoid_model: Model) -> None:
    x = np.linspace(-5, 5, 6)[:, None]
    for estimator in (
        FewShotClassifier(value_range=(0, 1)),
        FewShotRegressor(sinusoid_model, value_range=(0, 1)),
    ):
        with pytest.raises(InputError, match="takes no images; leave it away"):
            estimator.fit(x, [0, 1] * 3)
    with pytest.raises(InputError, match=r"a pair of numbers.*'0\.\.1'"):
        FewShotClassifier(value_range="0..1").fit(x, [0, 1] * 3)  # type: ignore[arg-type]
