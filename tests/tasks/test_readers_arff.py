"""ARFF files as Weka, OpenML and ASlib write them, and what is said of those that are none."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.errors import DataError
from metaloop.tasks.readers.arff import ArffTable, read_arff
from metaloop.tasks.readers.tables import is_table, read_table

FLOWERS = """% a comment
@RELATION 'two flowers'

@attribute "petal length" NUMERIC
@attribute 'it''s colour'	{red, 'dark blue', "a, b"}
@ATTRIBUTE seen DATE "yyyy-MM-dd"
@attribute note string
@DATA
1.5, 'dark blue', 2020-01-02, 'it\\'s, odd'
% between
?,"a, b",?,'?'
-2e3,red,2020-01-03,plain text , {0.5}
NaN,?,2020-01-03,''
"""


def read(text: str) -> ArffTable:
    return read_arff("x.arff", lambda: io.BufferedReader(io.BytesIO(text.encode())))


def test_quotes_commas_missing_values_dates_and_weights_are_understood() -> None:
    table = read(FLOWERS.replace("'it''s colour'", "'it\\'s colour'"))
    assert table.relation == "two flowers"
    assert len(table) == 4
    assert [(a.name, a.kind) for a in table.attributes] == [
        ("petal length", "number"),
        ("it's colour", "nominal"),
        ("seen", "text"),
        ("note", "text"),
    ]
    np.testing.assert_array_equal(table.columns["petal length"], [1.5, np.nan, -2000.0, np.nan])
    assert table.columns["it's colour"].tolist() == ["dark blue", "a, b", "red", ""]
    assert table.columns["note"].tolist() == ["it's, odd", "?", "plain text", ""]


def test_nominal_columns_are_the_categories_of_a_table(tmp_path: Path) -> None:
    text = "@relation r\n@attribute a {1,2,3}\n@attribute b real\n@data\n1,1\n3,2\n"
    (tmp_path / "t.arff").write_text(text)
    assert read_table(tmp_path / "t.arff").categories == {"a"}


def test_what_a_sparse_row_leaves_out_is_zero_or_the_first_declared_value() -> None:
    table = read("@relation s\n@attribute a real\n@attribute b {no,yes}\n@data\n{}\n{1 yes, 0 2.5}")
    assert table.columns["a"].tolist() == [0.0, 2.5]
    assert table.columns["b"].tolist() == ["no", "yes"]


def test_a_file_without_rows_has_columns_of_length_zero() -> None:
    table = read("@relation s\n@attribute a real\n@data\n")
    assert len(table) == 0 and table.columns["a"].dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1: expected @relation"),
        ("@relation r\n@attribute a real\n1\n", "line 3: expected @relation"),
        ("@relation r\n@attribute a real\n", "no @data line"),
        ("@relation r\n@data\n1\n", "before any @attribute"),
        ("@relation r\n@attribute a real\n@attribute a real\n@data\n", "two columns"),
        ("@relation r\n@attribute a relational\n@data\n", "is of kind 'relational'"),
        ("@relation r\n@attribute a\n@data\n", "needs a name and a kind"),
        ("@relation r\n@attribute a {x,y\n@data\n", "not closed by a brace"),
        ("@relation r\n@attribute a real\n@data\n1,2\n", "line 4: 2 cells, but 1"),
        ("@relation r\n@attribute a real\n@data\none\n", "but has 'one'"),
        ("@relation r\n@attribute a {x}\n@data\ny\n", "'y', which it does not declare"),
        ("@relation r\n@attribute a string\n@data\n'open\n", "a quote is not closed"),
        ("@relation r\n@attribute a real\n@data\n{3 1}\n", "columns 0 to 0"),
        ("@relation r\n@attribute a real\n@data\n{0 1\n", "line 4: a sparse row is not closed"),
        ("@relation r\n@attribute a real\n@data\n\0\n", "a NUL byte"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.arff", "x.ARFF", "x.arff.gz"])
def test_a_file_is_a_table_as_any_other(name: str, tmp_path: Path) -> None:
    content = b"@relation r\n@attribute a real\n@attribute y {p,q}\n@data\n1,p\n?,q\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert is_table(path)
    table = read_table(path)
    np.testing.assert_array_equal(table.columns["a"], [1.0, np.nan])
    assert table.columns["y"].tolist() == ["p", "q"]
    path.write_bytes(path.read_bytes()[:-14])
    with pytest.raises(DataError, match=r"is it whole|cut short"):
        read_table(path)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8), max_size=5
    )
)
def test_any_text_comes_back_from_between_quotes(texts: list[str]) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"

    rows = "\n".join(f"{quoted(text)},1" for text in texts)
    table = read(f"@relation r\n@attribute a string\n@attribute b real\n@data\n{rows}\n")
    assert table.columns["a"].tolist() == texts
