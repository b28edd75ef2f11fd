"""Tables are read cell for cell, whatever wrote them; what cannot be read is one line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.errors import DataError
from metaloop.tasks.readers import table_columns, table_csv
from metaloop.tasks.readers.table_columns import Columns, numbers_in_values
from metaloop.tasks.readers.tables import Table, is_table, read_table, table_of

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    """A file with that content, packed if its name says so."""
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def columns(table: Table) -> dict[str, list[object]]:
    return {name: values.tolist() for name, values in table.columns.items()}


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\n1,2.5,x\n3,4,y\n",
        "a,b,c\r\n1,2.5,x\r\n3,4,y",
        "\ufeffa,b,c\n1,2.5,x\n3,4,y\n",
        '\n"a", b ,c\n\n1,2.5,x\n3,4,"y"\n',
        "a;b;c\n1;2,5;x\n3;4;y\n",
        "a\tb\tc\n1\t2.5\tx\n3\t4\ty\n",
        "a,b,c\n1,2.5,x\n3,4,y\n".encode("utf-16"),
    ],
    ids=["plain", "windows", "marked", "quoted", "semicolons", "tabs", "utf-16"],
)
def test_a_csv_is_read_whatever_program_wrote_it(tmp_path: Path, content: str | bytes) -> None:
    for name in ("t.csv", "t.csv.gz"):
        table = read_table(written(tmp_path, content, name))
        assert columns(table) == {"a": [1, 3], "b": [2.5, 4.0], "c": ["x", "y"]}
        assert (table.name, len(table)) == ("t", 2)
        assert [values.dtype for values in table.columns.values()] == [np.int64, np.float64, object]


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json", "t.jsonl.gz", "t.json.gz"])
def test_objects_are_rows_and_their_keys_columns(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [
        {"a": 1, "b": 2.5, "c": "x"},
        {"a": 3, "c": "1", "d": True},
        {"a": 4, "b": None, "c": None, "d": False, "e": [1]},
    ]
    whole = json.dumps(rows)
    lines = "\n".join(map(json.dumps, rows))
    table = read_table(written(tmp_path, whole if ".json." in f"{name}." else lines, name))
    assert list(table.columns) == ["a", "b", "c", "d", "e"]
    assert table.columns["a"].tolist() == [1, 3, 4]
    np.testing.assert_array_equal(table.columns["b"], [2.5, np.nan, np.nan])
    np.testing.assert_array_equal(table.columns["d"], [np.nan, 1, 0])
    assert table.columns["c"].tolist() == ["x", "1", ""]
    assert table.columns["e"].tolist() == ["", "", "[1]"]
    assert table.missing("c").tolist() == [False, False, True]
    assert table.missing("b").tolist() == [False, True, True]


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_text_that_the_csv_module_writes_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: Sequence[Sequence[str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "more"], *rows, ["x", "x"]])
    table = read_table(path)
    assert [list(pair) for pair in zip(*columns(table).values(), strict=True)] == [
        *map(list, rows),
        ["x", "x"],
    ]


@given(numbers=st.lists(st.floats(allow_infinity=False) | st.none(), min_size=1, max_size=6))
def test_numbers_are_the_same_from_csv_jsonl_and_memory(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float | None]
) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    cells = ["x,", *(f"{'' if n is None else repr(n)}," for n in numbers)]
    cells[0] = "x,y"
    of_csv = read_table(written(folder, "\n".join(f"{c}" for c in cells)))
    lines = [json.dumps({"x": number}) for number in numbers]
    of_json = read_table(written(folder, "\n".join(lines), "t.jsonl"))
    of_memory = table_of({"x": np.array([np.nan if n is None else n for n in numbers])})
    for table in (of_csv, of_json):
        np.testing.assert_array_equal(table.columns["x"], of_memory.columns["x"])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["007", "1"], ["007", "1"]),
        (["1_000", "2"], ["1_000", "2"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["none", "some"], ["none", "some"]),
        (["-0", "+3"], [0, 3]),
        (["0", "0.5"], [0.0, 0.5]),
        (["1e3", ".5"], [1000.0, 0.5]),
        (["9223372036854775807", "1"], [9223372036854775807, 1]),
    ],
)
def test_what_is_a_number_is_what_a_person_would_take_for_one(
    tmp_path: Path, cells: list[str], expected: list[object]
) -> None:
    table = read_table(written(tmp_path, "x,y\n" + "".join(f"{cell},a\n" for cell in cells)))
    assert table.columns["x"].tolist() == expected


@pytest.mark.parametrize(
    "word", ["", "NA", "n/a", "NaN", "null", "None", "?", "-", "--", ".", "nil", "missing"]
)
def test_words_for_nothing_are_missing_where_the_others_are_numbers(
    tmp_path: Path, word: str
) -> None:
    table = read_table(written(tmp_path, f"x,y\n1,a\n{word},b\n"))
    np.testing.assert_array_equal(table.columns["x"], [1, np.nan])
    commas = read_table(written(tmp_path, f"x;y\n1,5;a\n{word};b\n"))
    np.testing.assert_array_equal(commas.columns["x"], [1.5, np.nan])


def test_a_word_among_decimal_commas_does_not_hide_that_the_others_are_numbers(
    tmp_path: Path,
) -> None:
    table = read_table(written(tmp_path, "x;y;z\n1,5;a,5;1,5\nunknown;b;b\n-2,25;2,5;c\n"))
    assert table.columns["x"].tolist() == ["1.5", "unknown", "-2.25"]
    assert table.columns["y"].tolist() == ["a,5", "b", "2,5"]  # words mostly: as they are
    assert table.columns["z"].tolist() == ["1,5", "b", "c"]


def test_a_header_that_comes_again_is_left_out_and_told(tmp_path: Path) -> None:
    once = "a,b,c\n1,2.5,x\n"
    table = read_table(written(tmp_path, f"{once}3,4,y\n\ufeff{once}"))
    assert columns(table) == {"a": [1, 3, 1], "b": [2.5, 4, 2.5], "c": ["x", "y", "x"]}
    assert table.notes == ("line 4 repeats the header and is left out",)
    many = read_table(written(tmp_path, once * 4))
    assert len(many) == 4
    assert many.notes == ("3 lines repeat the header and are left out, the first is 3",)
    assert read_table(written(tmp_path, "word\nword\nx\n")).columns["word"].tolist() == [
        "word",
        "x",
    ]


def test_a_column_that_turns_to_text_late_is_text_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_csv, "CHUNK_CELLS", 4)
    rows = ["1.50,1", "NA,2", "2,3", ",4", "x,5.5"]
    table = read_table(written(tmp_path, "a,b\n" + "\n".join(rows)))
    assert table.columns["a"].tolist() == ["1.50", "NA", "2", "", "x"]
    assert table.columns["b"].tolist() == [1, 2, 3, 4, 5.5]


def test_columns_that_begin_late_are_missing_before() -> None:
    grown = Columns()
    grown.add({"a": [1]}, 1, numbers_in_values)
    grown.add({"a": [2], "b": ["x"], "c": [0.5]}, 1, numbers_in_values)
    grown.add({"b": ["x"]}, 1, numbers_in_values)
    found = grown.arrays()
    np.testing.assert_array_equal(found["a"], [1, 2, np.nan])
    np.testing.assert_array_equal(found["c"], [np.nan, 0.5, np.nan])
    assert found["b"].tolist() == ["", "x", "x"] and not grown.late - {"b"}
    assert found["b"][1] is found["b"][2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,b\n", r"no rows \(columns: a, b\)"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 cells, but the header has 2"),
        ('a,b\n1,"2\n"\n1\n', "line 4: 1 cells"),
        ("5.1,3.5,x\n4.9,3.0,y\n", "a header is expected, but the first line holds the number 5.1"),
        ("5,3,x\n4,3,y\n", "a header is expected"),
        ("a,b,a\n1,2,3\n", "2 columns are called 'a'"),
        ("a,,c\n1,2,3\n", "column 2 of 3 has no name"),
        ("a,b\n1,\0\n", "line 2: a NUL byte"),
        (b"a,b\n1,\x81\x8d\n", "is not UTF-8"),
        ('a,b\n1,"2\n', "line 2: the file ends inside of a quoted cell"),
        ('a,b\n1,"2"3\n', "line 2: .* written twice"),
    ],
)
def test_a_csv_that_cannot_be_read_is_one_line(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    with pytest.raises(DataError, match=says) as raised:
        read_table(written(tmp_path, content))
    assert "\n" not in str(raised.value) and "t.csv" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.jsonl", "", "has no rows"),
        ("t.jsonl", '{"a": 1}\n\n{"a": \n', "line 3: no JSON"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "line 2: expected an object {...}, got a list"),
        ("t.jsonl", b'{"a": "\xff"}\n', "is not UTF-8"),
        ("t.jsonl", '{"a": ' + "[" * 100_000, "nested too deeply"),
        ("t.json", '{"a": 1}', "holds an object; expected a list"),
        ("t.json", '{"a": 1}\n{"a": 2}', "ends in .jsonl"),
        ("t.json", "[1]", "object 1: expected an object {...}, got a number"),
        ("t.csv.gz", None, "is no gzip file"),
        ("t.txt", "a", "expected one of .csv"),
        ("t.parquet", "a", "parquet|Parquet"),
    ],
)
def test_other_tables_that_cannot_be_read_are_one_line(
    tmp_path: Path, name: str, content: str | bytes | None, says: str
) -> None:
    path = written(tmp_path, content or "", name)
    if content is None:
        path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match=says) as raised:
        read_table(path)
    assert "\n" not in str(raised.value)


def test_a_packed_file_that_is_cut_short_is_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n" + "1,2\n" * 1000, "t.csv.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cut short"):
        read_table(path)


def test_numbered_columns_and_an_index_without_a_name_are_a_header(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, ",0,1,label\n0,1,2,a\n1,3,4,b\n"))
    assert list(table.columns) == ["", "0", "1", "label"]


def test_halves_of_characters_become_question_marks(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '{"a": "\\ud800é"}', "t.jsonl"))
    assert table.columns["a"].tolist() == ["?é"]


def test_endings_of_tables_are_known_in_any_case() -> None:
    assert all(map(is_table, ("a.csv", "a.CSV.GZ", "b.parquet", Path("x/y.jsonl"))))
    assert not any(map(is_table, ("a.npz", "csv", "a.gz", "a.txt.gz")))


def test_a_dictionary_of_columns_is_a_table() -> None:
    table = table_of(
        {
            "whole": [1, 2],
            "text": ["a", None],
            "real": np.array([1, 2], np.float32),
            3: np.array([True, False]),
            "bytes": np.array([b"x", b"y"]),
            "day": np.array(["2020-01-01", "NaT"], "datetime64[D]"),
        },
        "mine",
    )
    assert columns(table) == {
        "whole": [1, 2],
        "text": ["a", ""],
        "real": [1.0, 2.0],
        "3": [1, 0],
        "bytes": ["x", "y"],
        "day": ["2020-01-01", ""],
    }


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"a": [1], "b": [1, 2]}, "different lengths: a 1, b 2"),
        ({"a": [[1, 2]]}, r"column 'a' must be \[n\]"),
        ({"a": []}, "has no rows"),
        ({}, "has no rows"),
        ({"a": [1], 0: [1], "0": [1]}, "several columns are called '0'"),
        ({"a": np.array([1j])}, "complex"),
        (np.zeros((2, 2)), "expected a pandas or polars DataFrame"),
    ],
)
def test_what_is_no_table_is_refused(frame: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        table_of(frame)


def _same_frames() -> dict[str, object]:
    """One table in each of the libraries that are installed."""
    data = {"n": [1, 2], "x": [0.5, None], "t": ["a", None], "b": [True, False]}
    frames: dict[str, object] = {}
    for library in ("pandas", "polars", "pyarrow"):
        module = pytest.importorskip(library, reason=f"{library} is not installed")
        frames[library] = module.table(data) if library == "pyarrow" else module.DataFrame(data)
    return frames


def test_frames_of_all_libraries_are_the_same_table() -> None:
    for library, frame in _same_frames().items():
        table = table_of(frame)
        assert list(table.columns) == ["n", "x", "t", "b"], library
        assert table.columns["n"].tolist() == [1, 2]
        np.testing.assert_array_equal(table.columns["x"], [0.5, np.nan])
        assert table.columns["t"].tolist() == ["a", ""]
        assert table.columns["b"].tolist() == [1, 0]


def test_columns_of_a_data_frame_may_be_categories_nullable_and_numbered() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({0: [1, None], 1: ["a", "b"], 2: [3.0, 4.0]})
    frame[0] = frame[0].astype("Int64")
    frame[1] = frame[1].astype("category")
    table = table_of(frame)
    assert list(table.columns) == ["0", "1", "2"]
    np.testing.assert_array_equal(table.columns["0"], [1, np.nan])
    assert table.columns["1"].tolist() == ["a", "b"]


def test_what_a_frame_declares_to_be_categories_is_known_of_its_table(tmp_path: Path) -> None:
    pandas, polars, pyarrow, parquet = (
        pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow", "pyarrow.parquet")
    )
    data = {"n": [2, 1, 2], "c": [3, 1, 3], "w": ["b", "a", "b"]}
    frame = pandas.DataFrame(data).astype({"c": "category", "w": "category"})
    arrow = pyarrow.table(data)
    for place, name in ((1, "c"), (2, "w")):
        arrow = arrow.set_column(place, name, arrow.column(name).dictionary_encode())
    parquet.write_table(arrow, tmp_path / "t.parquet")
    lazy = polars.DataFrame(data).with_columns(
        polars.col("c").cast(polars.String).cast(polars.Enum(["1", "3"])),
        polars.col("w").cast(polars.Categorical),
    )
    for table in map(table_of, (frame, arrow, lazy)):
        assert table.categories == {"c", "w"}
        assert [str(value) for value in table.columns["c"]] == ["3", "1", "3"]
        assert table.columns["w"].tolist() == ["b", "a", "b"]
    assert read_table(tmp_path / "t.parquet").categories == {"c", "w"}
    assert table_of(data).categories == frozenset()


def test_a_lazy_frame_is_asked_to_collect() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    with pytest.raises(DataError, match="collect"):
        table_of(polars.LazyFrame({"a": [1]}))


def test_parquet_is_read_as_the_frame_that_was_written(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    written_table = pyarrow.table(
        {
            "n": [1, None],
            "x": pyarrow.array([0.5, None], pyarrow.float32()),
            "t": pyarrow.array(["a", None]).dictionary_encode(),
            "d": pyarrow.array([1, 2]).cast(pyarrow.decimal128(22, 2)),
            "l": [[1], None],
        }
    )
    path = tmp_path / "t.parquet"
    parquet.write_table(written_table, path)
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("t.parquet", "t.parquet.gz"):
        table = read_table(tmp_path / name)
        np.testing.assert_array_equal(table.columns["n"], [1, np.nan])
        np.testing.assert_array_equal(table.columns["x"], [0.5, np.nan])
        assert table.columns["t"].tolist() == ["a", ""]
        assert table.columns["d"].tolist() == [1.0, 2.0]
        assert table.columns["l"].tolist() == ["[1]", ""]


def test_parquet_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"metaloop\[parquet\]"):
        read_table(written(tmp_path, "", "t.parquet"))


def test_equal_texts_are_one_object_and_chunks_are_bounded() -> None:
    column = table_columns.text_column(["a" + "b", "ab", "".join(["a", "b"])])
    assert column[0] is column[1] is column[2]
