"""What the columns of a table are for: found by name, settled by values, or declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from metaloop.core.errors import DataError, UnknownNameError
from metaloop.tasks.readers.table_files import text_rows
from metaloop.tasks.readers.table_roles import (
    Roles,
    answer_column,
    feature_columns,
    find_roles,
    single_group,
)
from metaloop.tasks.readers.tables import Table, table_of

WORDS, NUMBERS, FRACTIONS = ["a", "b", "c", "d"], [1, 2, 3, 4], [0.5, 1.5, 2.5, 3.5]


def table(**columns: Any) -> Table:
    return table_of(columns)


def roles(found: Table, **declared: Any) -> Roles:
    return find_roles("table 't'", found, declared)


def test_a_label_and_a_text_are_classes_of_texts_whatever_else_there_is() -> None:
    found = roles(table(Utterance=WORDS, length=NUMBERS, Intent=WORDS, split=WORDS, note=WORDS))
    assert (found.kind, found.text, found.label, found.split) == (
        "text", "Utterance", "Intent", "split",
    )  # fmt: skip
    assert found.features == () and found.ignored == ("length", "note")


def test_the_only_text_beside_a_label_needs_no_name() -> None:
    assert roles(table(spoken=WORDS, label=WORDS)).text == "spoken"


def test_a_label_and_numbers_are_classes_of_vectors() -> None:
    found = roles(table(id=NUMBERS, x1=NUMBERS, x2=FRACTIONS, y=NUMBERS, group=WORDS))
    assert (found.kind, found.label, found.group) == ("vectors", "y", "group")
    assert (found.features, found.ignored) == (("x1", "x2"), ("id",))
    assert found.note == "columns: label 'y', group 'group', 2 columns of numbers, not used: 'id'"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (WORDS, "vectors"),  # text is a class
        (FRACTIONS, "groups"),  # a measurement is a target
        ([1, 1, 2, 2], "vectors"),  # classes that lie within groups
        ([1, 2, 1, 2], "groups"),  # numbers that occur in several groups
    ],
)
def test_what_y_is_beside_a_group_is_told_by_its_values(values: list[Any], kind: str) -> None:
    found = roles(table(group=["p", "p", "q", "q"], x=NUMBERS, y=values))
    assert found.kind == kind
    assert (found.label if kind == "vectors" else found.target) == "y"


def test_a_group_and_a_value_of_another_name_are_groups() -> None:
    found = roles(table(user_id=NUMBERS, age=NUMBERS, rating=FRACTIONS))
    assert (found.kind, found.group, found.target) == ("groups", "user_id", "rating")


def test_what_is_declared_comes_before_names() -> None:
    data = table(group=WORDS, label=NUMBERS, y=FRACTIONS, x=NUMBERS, name=WORDS)
    found = roles(data, target="LABEL", ignore=["name", "y"])
    assert (found.kind, found.target, found.features) == ("groups", "label", ("x",))
    assert found.ignored == ("name", "y")
    assert roles(data, label="y", ignore=["name", "label"]).kind == "vectors"


def test_columns_with_nothing_in_them_are_not_used() -> None:
    found = roles(table(x=NUMBERS, y=NUMBERS, z=[None] * 4))
    assert (found.features, found.ignored) == (("x",), ("z",))


@pytest.mark.parametrize(
    ("columns", "declared", "says"),
    [
        ({"x": NUMBERS, "z": NUMBERS}, {}, "columns 'x', 'z' .*expected a label with a text"),
        ({"label": WORDS, "x": NUMBERS, "name": WORDS}, {}, "ignore=name"),
        ({"label": WORDS}, {}, "expected a label with a text"),
        ({"category": WORDS, "y": NUMBERS, "x": NUMBERS}, {}, "both 'category' and 'y'"),
        ({"group": WORDS, "x": NUMBERS, "t": WORDS}, {"target": "t"}, "holds text, and a target"),
        ({"label": WORDS, "x": NUMBERS}, {"text": "x"}, "'x' is to be text, but holds numbers"),
        ({"label": WORDS, "x": NUMBERS}, {"label": "z"}, "no column 'z' for the role 'label'"),
        ({"label": WORDS, "x": NUMBERS}, {"label": "x", "group": "x"}, "two roles"),
        ({"label": WORDS, "x": NUMBERS}, {"label": ["x", "label"]}, "one column is the label"),
    ],
)
def test_a_table_that_is_nothing_known_is_refused_with_its_columns(
    columns: dict[str, Any], declared: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError, match=says) as raised:
        roles(table(**columns), **declared)
    assert "\n" not in str(raised.value)


def test_an_unknown_role_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="label"):
        roles(table(x=NUMBERS), lable="x")


def test_rows_of_texts_that_lack_a_part_are_left_out_and_counted() -> None:
    data = table(text=["a", "", "c", "d"], label=["p", "q", None, "r"], split=WORDS, group=WORDS)
    rows = text_rows("t", data, roles(data))
    assert (rows.texts, rows.labels.tolist()) == (["a", "d"], ["p", "r"])
    assert rows.split is not None and rows.split.tolist() == ["a", "d"]
    assert rows.group is not None and rows.group.tolist() == ["a", "d"]
    assert [(item.what, item.count) for item in rows.left_out] == [
        ("rows without 'text'", 1),
        ("rows without 'label'", 1),
    ]


def test_features_of_inputs_are_found_with_and_without_labels() -> None:
    data = table(id=NUMBERS, x1=NUMBERS, x2=NUMBERS, y=NUMBERS, name=WORDS)
    assert feature_columns(data, 2) == ["x1", "x2"]
    assert feature_columns(data, 4) == ["id", "x1", "x2", "y"]
    assert feature_columns(data, 3, {"ignore": ["x1"]}) == ["id", "x2", "y"]
    with pytest.raises(DataError, match="the model takes 7 numbers, but there are 4 columns"):
        feature_columns(data, 7)


def test_the_answer_of_a_support_is_a_label_or_a_real_target() -> None:
    data = table(x=NUMBERS, y=FRACTIONS, label=WORDS)
    assert (answer_column(data, False), answer_column(data, True)) == ("label", "y")
    assert answer_column(data, True, {"target": "x"}) == "x"
    with pytest.raises(DataError, match="no target among them"):
        answer_column(table(x=NUMBERS), True)
    with pytest.raises(DataError, match="holds text, and a target is a number"):
        answer_column(table(y=WORDS), True)


def test_a_support_of_several_groups_is_refused() -> None:
    data = table(group=WORDS, x=NUMBERS, y=FRACTIONS)
    with pytest.raises(DataError, match="of 4 groups"):
        single_group(data, ["x"])
    single_group(table(group=["p"] * 4, x=NUMBERS), ["x"])
    single_group(data, ["x", "group"])  # the model takes it as a feature


def test_numbers_keep_their_kind() -> None:
    assert [c.dtype for c in table(a=NUMBERS, b=FRACTIONS, c=WORDS).columns.values()] == [
        np.int64, np.float64, object,
    ]  # fmt: skip
