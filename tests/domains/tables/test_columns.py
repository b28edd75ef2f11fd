"""What columns are told to be, and what is refused: one table for each thing that users send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.errors import DataError, MetaloopError, UnknownNameError
from metaloop.domains.tables.cells import days_of, order_of_dates
from metaloop.domains.tables.dealing import are_copies
from metaloop.domains.tables.encoding import encode, fit_encoding
from metaloop.domains.tables.frame import (
    MISSING,
    UNSEEN,
    Column,
    Frame,
    read_frame,
    row_hashes,
    write_frame,
)
from metaloop.domains.tables.leaks import leaking
from metaloop.domains.tables.task import TableTask, table_task
from metaloop.domains.tables.understanding import framed, understand
from metaloop.tasks.readers.tables import Table, table_of

ROWS = 40


def table(**columns: Any) -> Table:
    """A table of these columns, with a number that is of use and two classes to be told."""
    rng = np.random.default_rng(0)
    usual = {"x": rng.normal(size=ROWS), "y": ["yes", "no"] * (ROWS // 2)}
    return table_of({**usual, **columns}, "t")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1.5, 2.5] * 20, "number"),
        (["1", "?", "3", "-"] * 10, "number"),
        (["NA", "null", "7.5", ""] * 10, "number"),
        (["12"] * 38 + ["unknown", "13"], "number"),
        (["red", "green", "-", "blue"] * 10, "category"),
        (["007", "008"] * 20, "category"),
        (["2021-03-04", "2020-01-31"] * 20, "date"),
        (["31.12.2020", "01.02.2021"] * 20, "date"),
        (["12/31/2020", "02/01/2021"] * 20, "date"),
        (["2021-03-04T10:30:00.000000000", "2021-03-05 11:00"] * 20, "date"),
        ([f"the cat number {i} sat on the mat" for i in range(ROWS)], "text"),
    ],
)
def test_a_column_is_told_by_its_cells(cells: list[Any], kind: str) -> None:
    found = understand("t", table(c=cells), ["y"])
    assert {column.name: column.kind for column in found.frame.schema}["c"] == kind


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (list(range(ROWS)), "numbers the rows"),
        (list(range(1, ROWS + 1)), "numbers the rows"),
        ([f"k{i}" for i in range(ROWS)], "another word in every row"),
        (["same"] * ROWS, "the same in every row"),
        (["?"] * ROWS, "empty"),
    ],
)
def test_columns_of_no_use_are_told_and_left_out(cells: list[Any], why: str) -> None:
    found = understand("t", table(c=cells), ["y"])
    assert why in found.dropped["c"]
    assert [column.name for column in found.frame.schema] == ["x"]


def test_an_identifier_is_one_though_a_few_rows_lack_it() -> None:
    numbers: list[Any] = list(range(1, ROWS + 1))
    keys: list[Any] = [7 * i % 1001 for i in range(3, ROWS + 3)]
    words = [f"k{i}" for i in range(ROWS)]
    for column in (numbers, keys, words):
        column[5] = column[17] = None
    found = understand("t", table(n=numbers, key=keys, w=words, other=keys), ["y"])
    assert found.dropped["n"] == found.dropped["key"] == "numbers the rows"
    assert "another word in every row" in found.dropped["w"]
    assert [column.name for column in found.frame.schema] == ["x", "other"]
    words[20:] = [None] * 20  # what half of the rows lack names them not
    kept = understand("t", table(w=words, n=[*numbers[:30], 4, 7, *numbers[32:]]), ["y"])
    assert [column.name for column in kept.frame.schema] == ["x", "w", "n"]


def declared(*names: str, **columns: Any) -> Table:
    """A table that declares these columns to be categories."""
    return replace(table(**columns), categories=frozenset(names))


def test_a_column_that_is_declared_to_be_of_categories_is_one() -> None:
    numbers, words = [3, 1, 2, 1] * 10, ["none", "?", "", "2021-01-01"] * 10
    data = declared("c", "w", c=numbers, w=words, n=numbers)
    schema = {column.name: column for column in understand("t", data, ["y"]).frame.schema}
    assert [schema[name].kind for name in "cwn"] == ["category", "category", "number"]
    assert schema["c"].words == ("1", "2", "3")
    assert schema["w"].words == ("2021-01-01", "?", "none")  # nothing is what is empty


def test_a_declared_category_is_known_again_however_a_file_writes_it() -> None:
    data = declared("c", "w", c=["1.0", "2.5"] * 20, w=["none", "some"] * 20)
    known = understand("t", data, ["y"]).frame
    new = table_of({"x": [0.5] * 4, "c": [1.0, 2.5, 3.0, np.nan], "w": ["none", "", "x", "?"]})
    found = framed("new", new, known.schema)
    assert found.values["c"].tolist() == [0, 1, UNSEEN, MISSING]
    assert found.values["w"].tolist() == [0, MISSING, UNSEEN, MISSING]
    again = framed("new", data, known.schema)
    assert all(np.array_equal(again.values[name], known.values[name]) for name in "cw")


def test_a_declared_target_is_of_classes_whatever_they_are_called() -> None:
    codes = [str(7 * (i % 25)) for i in range(4 * ROWS)]
    columns = {"x": np.random.default_rng(0).normal(size=4 * ROWS), "z": codes}
    plain = table_of(columns, "t")
    assert task(plain, "z").target.objective == "regression"
    found = task(replace(plain, categories=frozenset("z")), "z")
    assert found.classes[:3] == (0, 7, 14) and len(found.classes) == 25
    assert any("'z' is declared to be of categories: classification" in n for n in found.notes)
    asked = task(replace(plain, categories=frozenset("z")), "z", objective="regression")
    assert asked.target.objective == "regression"


def test_a_declared_class_may_be_called_none() -> None:
    data = declared("y", y=["none", "mild"] * 20)
    found = task(data, test=table_of({"x": [0.5, 1.5, 2.5], "y": ["none", "mild", ""]}, "new"))
    assert found.classes == ("mild", "none") and len(found.known) == ROWS
    assert found.target.values[found.test].tolist() == [1, 0]


def test_years_count_up_and_are_no_numbers_of_the_rows() -> None:
    columns = {"year": list(range(1980, 1980 + ROWS)), "run id": list(range(7, 7 + ROWS))}
    found = understand("t", table(**columns), ["y"])
    assert [column.name for column in found.frame.schema] == ["x", "year"]
    assert found.dropped == {"run id": "numbers the rows"}


def test_a_column_of_words_that_holds_many_numbers_is_told() -> None:
    found = understand("t", table(c=["1", "2", "low", "n.d.", "high", "few", "3", "4"] * 5), ["y"])
    assert found.frame.schema[1].kind == "category"
    assert found.notes == ("'c': numbers and words such as 'few': all are words",)


def test_numbers_that_are_infinite_count_as_missing_and_are_told() -> None:
    found = understand("t", table(c=[1.0, np.inf, 2.0, 3.0] * 10), ["y"])
    assert np.isnan(found.frame.values["c"]).sum() == 10
    assert found.notes == ("'c': 10 infinite numbers count as missing",)


def test_new_rows_may_come_in_any_order_with_further_columns_and_unseen_words() -> None:
    known = understand("t", table(c=["a", "b"] * 20), ["y"])
    new = table_of({"more": [1, 2], "c": ["z", "a"], "x": ["-", "2.5"]}, "new")
    found = framed("new", new, known.frame.schema)
    assert found.values["c"].tolist() == [UNSEEN, 0]
    assert np.isnan(found.values["x"][0]) and found.values["x"][1] == 2.5
    with pytest.raises(DataError, match="lacks 1 column that the model was trained with: 'x'"):
        framed("new", table_of({"c": ["a"]}, "new"), known.frame.schema)


@pytest.mark.parametrize("way", ["trees", "scaled"])
def test_an_encoding_is_fitted_to_its_rows_and_to_no_others(way: Any) -> None:
    frame = understand("t", table(c=["a", "b", "c", "-"] * 10, d=[f"2021-01-0{i % 9 + 1}"
        for i in range(ROWS)]), ["y"]).frame  # fmt: skip
    known = frame.take(np.arange(30))
    fitted = fit_encoding(known, way, 0)
    far = frame.with_values("x", np.where(np.arange(ROWS) < 30, frame.values["x"], 1e300))
    seen = encode(far, fitted, way)
    assert np.array_equal(seen[:30], encode(known, fitted, way), equal_nan=True)
    assert not np.isinf(seen).any()
    assert way == "trees" or np.isfinite(seen).all()


@pytest.mark.parametrize("way", ["trees", "scaled"])
def test_texts_of_three_terms_have_three_directions_and_no_rounding_for_others(way: Any) -> None:
    words = np.array([["alpha", "beta", "gamma"][i % 3] for i in range(ROWS)])
    texts = np.array([f"{a} {b}" for a, b in zip(words, np.roll(words, 3), strict=True)], object)
    texts[::5] = "alpha beta gamma"
    frame = Frame((Column("t", "text"),), {"t": texts})
    fitted = fit_encoding(frame, way, 0)
    assert encode(frame, fitted, way).shape == (ROWS, 3)
    strange = frame.with_values("t", np.array(["", "delta"], object))
    seen = encode(strange, fitted, way)
    np.testing.assert_allclose(seen[1], seen[0], atol=1e-6)


def test_a_frame_goes_through_files_unchanged(tmp_path: Any) -> None:
    texts = [f"däs ist der Text {i} von allen vieren" for i in range(ROWS)]
    frame = understand("t", table(c=["a", "b"] * 20, t=texts), ["y"]).frame
    write_frame(frame, tmp_path)
    back = read_frame(frame.schema, tmp_path)
    for name, values in frame.values.items():
        assert np.array_equal(back.values[name], values)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_rows_have_equal_hashes_where_they_are_equal(values: list[int]) -> None:
    column = np.array(values, float)
    frame = Frame((Column("a", "number"), Column("b", "number")), {"a": column, "b": column % 2})
    hashes = row_hashes(frame)
    same = column[:, None] == column[None, :]
    assert np.array_equal(hashes[:, None] == hashes[None, :], same)


@given(st.dates())
def test_a_date_is_read_in_the_order_that_was_found(date: Any) -> None:
    if 1000 <= date.year < 2200:
        for order, written in (("ymd", f"{date:%Y-%m-%d}"), ("dmy", f"{date:%d.%m.%Y}")):
            days = days_of(written, order)
            assert days is not None and np.datetime64(int(days), "D") == np.datetime64(date)
    assert order_of_dates(["12.5", "13.5"]) is None


def task(data: Table, target: str = "y", **asked: Any) -> TableTask:
    return table_task(data, target, **asked)


def test_parts_have_all_classes_and_equal_rows_and_groups_stay_together() -> None:
    same = [float(max(0, i - 10)) for i in range(ROWS)]  # ten copies of a row
    found = task(table_of({"x": same, "y": ["a"] * 30 + ["b"] * 10}, "t"))
    values = found.frame.values["x"]
    assert not set(values[found.known]) & set(values[found.test])
    assert set(found.target.values[found.test]) == {0, 1}
    grouped = task(table(g=[f"g{i % 8}" for i in range(ROWS)]), groups="g")
    assert not set(grouped.blocks[grouped.known]) & set(grouped.blocks[grouped.test])
    assert "g" not in [column.name for column in grouped.frame.schema]


def in_one_part(found: TableTask, keys: Any) -> bool:
    keys = np.asarray(keys)
    return len(found.test) > 0 and not set(keys[found.known]) & set(keys[found.test])


def test_a_class_that_is_kept_to_learn_from_is_kept_with_its_whole_group() -> None:
    groups = [f"g{i // 8}" for i in range(ROWS)]
    y = ["A" if i == 8 else "ab"[i % 2] for i in range(ROWS)]
    for seed in range(6):
        found = task(table(g=groups, y=y), groups="g", split_seed=seed)
        assert in_one_part(found, groups) and 8 in found.known and len(found.test) == 8
        assert "classes of which no row is in test, for groups are kept whole: 'A'" in found.notes


def test_a_class_that_is_kept_to_learn_from_is_kept_with_all_equal_rows() -> None:
    x = [float(i // 2) for i in range(30)] + [float(i) for i in range(20, 40)]
    y = ["A" if i in (4, 5) else "ab"[i // 2 % 2] for i in range(50)]  # copies have one target
    for seed in range(20):
        found = task(table_of({"x": x, "y": y}, "t"), split_seed=seed)
        assert in_one_part(found, x) and 4 in found.known and 5 in found.known


def test_equal_rows_of_several_groups_keep_these_together_or_it_is_said() -> None:
    groups = np.array([f"g{i // 4:02}" for i in range(ROWS)])
    x = np.arange(ROWS, dtype=float) + 0.5
    x[4], x[20] = x[0], x[16]  # of g01 and g00, of g05 and g04
    for seed in range(6):
        found = task(table(g=groups, x=x), groups="g", split_seed=seed)
        assert in_one_part(found, groups) and in_one_part(found, x)
    assert not any("equal rows" in note for note in found.notes)
    x[4::4] = x[0]  # every group has it
    found = task(table(g=groups, x=x), groups="g")
    assert in_one_part(found, groups)
    assert any(note.startswith("so many groups of 'g' have equal rows") for note in found.notes)


def test_where_every_group_has_a_class_of_its_own_nothing_can_be_sealed() -> None:
    groups = [f"g{i % 4}" for i in range(ROWS)]
    with pytest.raises(DataError, match=r"no rows can be sealed as test.*give --test FILE"):
        task(table(g=groups, y=[f"class of {g}" for g in groups]), groups="g")
    mixed = ["a" if g in ("g0", "g1") else f"class of {g}" for g in groups]
    for seed in range(6):
        found = task(table(g=groups, y=mixed), groups="g", split_seed=seed)
        assert in_one_part(found, groups) and len(set(found.target.values[found.known])) == 3


@pytest.mark.parametrize("rows", [10, 13, 19])
def test_of_few_rows_with_a_number_a_fifth_is_sealed_as_well(rows: int) -> None:
    found = task(table_of({"x": np.arange(rows) / 7, "y": np.arange(rows) ** 0.5}, "t"))
    assert rows // 5 <= len(found.test) <= rows // 5 + 1


def test_where_most_rows_are_equal_to_another_they_are_dealt_one_by_one() -> None:
    words = ["OR"[i % 2] for i in range(ROWS)]
    found = task(table_of({"city": words, "y": ["a", "a", "b", "b"] * 10}, "t"))
    assert set(found.frame.values["city"][found.known]) == set(found.frame.values["city"])
    assert len(found.test) == ROWS // 5 and len(np.unique(found.blocks)) == ROWS


@pytest.mark.parametrize(
    ("contents", "targets", "copies"),
    [
        ([1, 1, 2, 2, 3, 4, 5, 6], [0, 0, 1, 1, 0, 1, 0, 1], True),  # as a copy has it
        ([1, 1, 2, 2, 3, 4, 5, 6], [0, 1, 1, 1, 0, 1, 0, 1], False),  # the same, observed again
        ([1, 1, 2, 2, 3, 4, 5, 6], [0.5, 0.5, 0.7, 0.8, 1, 2, 3, 4], False),
        ([1, 1, 1, 1, 2, 2, 2, 2], [0, 0, 0, 0, 1, 1, 1, 1], False),  # few kinds of rows
        ([1, 2, 3, 4], [0, 0, 1, 1], True),  # there are none
        ([*range(40), *range(40), *range(80, 90)], [*[0] * 40, 1, *[0] * 49], True),  # one slip
    ],
)
def test_rows_may_be_copies_where_equal_ones_have_one_target(
    contents: list[int], targets: list[float], copies: bool
) -> None:
    assert are_copies(np.array(contents, np.uint64), np.array(targets)) == copies


def test_what_was_observed_again_is_dealt_row_by_row() -> None:
    x = [float(i // 2) for i in range(30)] + [float(i) for i in range(20, 40)]
    found = task(table_of({"x": x, "y": ["ab"[i % 2] for i in range(50)]}, "t"))
    assert len(np.unique(found.blocks)) == 50
    copied = task(table_of({"x": x, "y": ["ab"[i // 2 % 2] for i in range(50)]}, "t"))
    assert len(np.unique(copied.blocks)) == 35


@pytest.mark.parametrize(
    ("column", "objective"),
    [
        (["b", "a"] * 20, "classification"),
        ([0, 1, 2, 3] * 10, "classification"),
        ([0.5, 1.5] * 20, "regression"),
        (list(range(0, 2 * ROWS, 2)), "regression"),
    ],
)
def test_the_objective_follows_from_the_target(column: list[Any], objective: str) -> None:
    assert task(table(y=column)).target.objective == objective


def test_an_infinite_class_is_a_class_by_its_word() -> None:
    found = table_task(table(z=["1", "2", "inf", "1"] * 10), "z")
    assert found.classes == ("1", "2", "inf")


def test_a_few_words_do_not_make_classes_of_a_number_that_is_measured() -> None:
    cells = [str(i / 8) for i in range(ROWS)]
    cells[3] = cells[7] = "n.d."
    found = task(table(y=cells))
    assert found.target.objective == "regression" and len(found.known) + len(found.test) == ROWS - 2
    assert "2 rows whose 'y' is no number are left out: 'n.d.'" in found.notes
    assert task(table(y=["1", "2", "3", "many"] * 10)).classes == ("1", "2", "3", "many")


@pytest.mark.parametrize("y", [["yes", "", "?", "no"], [0.5, np.nan, np.nan, 1.5]])
def test_rows_of_a_test_file_without_a_target_are_left_out_and_told(y: list[Any]) -> None:
    data = table() if y[0] == "yes" else table(y=np.arange(ROWS) / 8)
    found = task(data, test=table_of({"x": [1.0, 2.0, 3.0, 4.0], "y": y}, "new"))
    assert found.frame.values["x"][found.test].tolist() == [1.0, 4.0]
    assert "2 rows of the test file without 'y' are left out" in found.notes
    with pytest.raises(DataError, match="test file 'new': the target 'y' is missing in every row"):
        task(data, test=table_of({"x": [1.0, 2.0], "y": y[1:3]}, "new"))
    wrong = ["maybe", "yes"] if y[0] == "yes" else ["soon", "1.5"]
    with pytest.raises(DataError, match=wrong[0]):
        task(data, test=table_of({"x": [1.0, 2.0], "y": wrong}, "new"))


def test_classes_of_hardly_any_rows_are_told() -> None:
    found = task(table(y=["a"] * 20 + ["b"] * 17 + ["c", "c", "d"]))
    assert "2 classes have fewer than 3 rows and are hardly learned: 'c', 'd'" in found.notes


def test_the_objective_can_be_said() -> None:
    assert task(table(y=[0, 1, 2, 3] * 10), objective="regression").classes == ()
    assert task(table(y=[0.5, 1.5] * 20), objective="classification").classes == ("0.5", "1.5")


@pytest.mark.parametrize(
    ("data", "asked", "said"),
    [
        (table(y=["one"] * ROWS), {}, "'one' in every row"),
        (table(y=["?"] * ROWS), {}, "missing in every row"),
        (table(y=[f"n{i}" for i in range(ROWS)]), {}, "has one row"),
        (table(y=[0.5, np.inf] * 20), {}, "infinite in 20 rows"),
        (table(y=["1.5", "x"] * 20), {"objective": "regression"}, "holds 'x'"),
        (table(), {"objective": "ranking"}, "no objective of a table is called 'ranking'"),
        (table(), {"groups": "z"}, "no column of table 't'"),
        (table(g=["a", "b"] * 20), {"groups": "g"}, "2 groups"),
        (table_of({"x": [1.0] * 4, "y": [0, 1] * 2}, "t"), {}, "10 are the fewest"),
        (table(x=[3] * ROWS), {}, "no column to learn from"),
        (
            table_of({"t": [f"the cat {i} sat on the mat" for i in range(ROWS)],
                      "y": [0, 1] * 20}, "t"), {}, "all columns are texts",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_in_one_line(
    data: Table, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(MetaloopError) as error:
        task(data, **asked)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_wrong_target_names_near_matches() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'price'"):
        task(table(price=[1.5, 2.5] * 20), "prise")


@pytest.mark.long
def test_ten_thousand_columns_are_read_and_twice_as_many_refused() -> None:
    columns = {f"c{i}": np.arange(ROWS) % (i % 7 + 2) for i in range(10_000)}
    assert len(task(table(**columns)).frame.schema) == 10_001
    with pytest.raises(DataError, match="20,000 are the most"):
        understand("t", table(**{f"c{i}": [0, 1] * 20 for i in range(20_001)}), ["y"])


def test_a_copy_of_the_target_and_a_row_number_that_tells_it_are_pointed_out() -> None:
    rows = 200
    rng = np.random.default_rng(0)
    y = np.array(["a"] * 100 + ["b"] * 100)
    found = task(table_of({"x": rng.normal(size=rows), "copy": (y == "a") * 1.5, "id": range(rows),
                           "y": y}, "t"))  # fmt: skip
    said = " ".join(leak.told("--ignore it") for leak in leaking(found, 0))
    assert "'copy' alone tells 'y'" in said and "row number 'id' tells 'y'" in said
    assert said.count("--ignore it") == 1  # the number is left out anyhow
    one = replace(found, target=replace(found.target, values=np.zeros(rows, np.int64)))
    assert leaking(one, 0) == []  # of 2,000 rows that were looked at all may be of one class
    shuffled = task(table_of({"x": rng.normal(size=rows), "id": range(rows),
                              "y": rng.permutation(y)}, "t"))  # fmt: skip
    assert leaking(shuffled, 0) == []
