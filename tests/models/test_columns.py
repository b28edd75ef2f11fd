"""A model knows the columns of its table by name: their order means nothing, their absence much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.errors import DataError, MetaloopError
from metaloop.loop.others import _check_other
from metaloop.models import Model, load_model
from metaloop.tasks.readers.table_roles import feature_columns, same_columns
from metaloop.tasks.readers.tables import table_of

Frame = dict[str, Any]


def classes(seed: int = 0) -> Frame:
    """12 classes of flowers in three numbers of very different scales."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 3)) * (1.0, 30.0, 900.0)
    rows = centres.repeat(6, 0) + rng.normal(size=(72, 3)) * (0.2, 5.0, 200.0)
    names = np.repeat([f"kind {number}" for number in range(12)], 6)
    return {"stem": rows[:, 0], "leaf": rows[:, 1], "bloom": rows[:, 2], "label": names}


def groups(seed: int = 0) -> Frame:
    """16 groups, each a linear function of two numbers."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(16), 8)
    x = rng.normal(size=(len(group), 2)) * (1.0, 100.0)
    slopes = rng.normal(size=(16, 2)) / (1.0, 100.0)
    names = [f"shop {g}" for g in group]
    return {"group": names, "size": x[:, 0], "age": x[:, 1], "y": (slopes[group] * x).sum(1)}


def turned_around(frame: Frame) -> Frame:
    return {name: frame[name] for name in reversed(frame)}


def trained(frame: Frame, **task: int) -> Model:
    return ml.train(frame, "ridge", net="raw", budget="3steps", progress=False, **task).trained


@pytest.fixture(scope="module")
def of_classes() -> Model:
    return trained(classes(), ways=2, queries=3)


@pytest.fixture(scope="module")
def of_groups() -> Model:
    return trained(groups(), shots=3, queries=3)


@pytest.mark.parametrize("kind", ["classes", "groups"])
def test_columns_in_another_order_are_the_same_data(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(f"of_{kind}")
    frame = {"classes": classes, "groups": groups}[kind]()
    figures = ml.evaluate(model, frame, episodes=20, progress=False)
    other = ml.evaluate(model, turned_around(frame), episodes=20, progress=False)
    assert figures.value == other.value and figures.protocol == other.protocol
    assert figures.recognised == other.recognised
    beside = {"classes": {"log_loss", "calibration"}, "groups": {"mae", "r2"}}
    assert set(figures.metrics) == beside[kind] and figures.metrics == other.metrics
    assert ml.Figures.from_json(figures.to_json()) == figures


def test_the_names_are_in_the_file(of_classes: Model, tmp_path: Path) -> None:
    of_classes.save(tmp_path / "m.metaloop")
    assert load_model(tmp_path / "m.metaloop").input_format.columns == ("stem", "leaf", "bloom")


def test_a_column_that_is_missing_or_too_many_is_named(of_classes: Model, of_groups: Model) -> None:
    for model, frame in ((of_classes, classes()), (of_groups, groups())):
        gone = list(frame)[2]
        less = {name: column for name, column in frame.items() if name != gone}
        with pytest.raises(
            DataError, match=f"no column '{gone}', which the model was trained with"
        ):
            ml.evaluate(model, less, progress=False)
        with pytest.raises(DataError, match="no numbers in column '" + gone):
            ml.evaluate(model, less | {gone: [""] * len(frame[gone])}, progress=False)
        more = frame | {"height": frame[gone]}
        with pytest.raises(DataError, match="the column 'height', which the model was not trained"):
            ml.evaluate(model, more, progress=False)
        ignored = ml.evaluate(model, more, columns={"ignore": "height"}, episodes=5, progress=False)
        assert ignored.episodes == 5


def test_what_has_no_names_is_taken_in_its_order(of_classes: Model) -> None:
    frame = classes()
    nameless = replace(of_classes, input_format=replace(of_classes.input_format, columns=()))
    told = ml.evaluate(of_classes, frame, episodes=20, progress=False)
    assert ml.evaluate(nameless, frame, episodes=20, progress=False).value == told.value


def test_inputs_of_predict_may_have_labels_and_numbers_beside() -> None:
    frame = table_of({"id": [1, 2], "b": [1.0, 2.0], "A": [3.0, 4.0], "y": [0, 1], "t": ["x", "y"]})
    assert feature_columns(frame, 2, None, ("a", "b")) == ["A", "b"]
    with pytest.raises(DataError, match="the column 'b', which the model was not"):
        feature_columns(frame, 1, None, ("a",))
    assert feature_columns(frame, 1, {"ignore": ["b"]}, ("a",)) == ["A"]


def test_two_columns_are_not_one_in_other_cases() -> None:
    frame = table_of({"a": [1.0], "A": [2.0]})
    assert same_columns("t", frame, ["a", "A"], ["A", "a"]) == ("A", "a")
    with pytest.raises(DataError, match="no column 'b'"):
        same_columns("t", frame, ["a", "A"], ["A", "b"])


def test_further_data_have_the_columns_of_the_target() -> None:
    target = open_data(classes()).family
    names = target.input_format.columns
    other = open_data(turned_around(classes(1)), features=names)
    assert other.family.input_format.columns == names
    mean = open_data(classes(1)).family.input_format.mean
    assert other.family.input_format.mean == mean


def test_groups_of_other_data_are_refused_with_a_reason() -> None:
    one, other = open_data(groups()), open_data(groups(1), DataOptions(split_seed=1))
    with pytest.raises(MetaloopError, match="what real targets mean, and their scale"):
        _check_other(other, one)
