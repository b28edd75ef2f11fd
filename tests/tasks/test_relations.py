"""Relations in FewRel's layout: what a sentence becomes, and what is left out or refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.core.errors import DataError
from metaloop.tasks.readers import read

WORDS = ["Ada", "Lovelace", "was", "born", "in", "London", "."]
GOOD = {"tokens": WORDS, "h": ["ada", "Q1", [[0, 1], [4]]], "t": ["london", "Q2", [[5]]]}


def _written(folder: Path, content: Any, name: str = "relations.json") -> Path:
    path = folder / name
    data = json.dumps(content, ensure_ascii=False).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["relations.json", "relations.json.gz"])
def test_first_mentions_are_marked_in_the_text(tmp_path: Path, name: str) -> None:
    turned = {**GOOD, "h": GOOD["t"], "t": GOOD["h"]}
    path = _written(tmp_path, {"born in": [GOOD, GOOD], "has child": [turned, turned]}, name)
    reading = read(path)
    texts = reading.store.take(torch.tensor([0, 2]))
    assert texts == (
        "<e1>Ada Lovelace</e1> was born in <e2>London</e2> .",
        "<e2>Ada Lovelace</e2> was born in <e1>London</e1> .",
    )
    assert [c.name for c in reading.store.classes] == ["born in", "has child"]
    assert "<e1>head</e1>" in reading.notes[0] and not reading.left_out


def test_a_sentence_of_two_relations_is_told_and_kept(tmp_path: Path) -> None:
    reading = read(_written(tmp_path, {"born in": [GOOD, GOOD], "lived in": [GOOD, GOOD]}))
    assert len(reading.store) == 4
    assert "1 text has different labels in different relations" in reading.notes[1]


def test_an_entity_within_the_other_keeps_both_marks(tmp_path: Path) -> None:
    nested = {**GOOD, "t": ["ada", "Q1", [[0]]]}
    text, *_ = read(_written(tmp_path, {"a": [nested] * 2, "b": [GOOD] * 2})).store.take(
        torch.tensor([0])
    )
    assert text == "<e1><e2>Ada</e2> Lovelace</e1> was born in London ."


@pytest.mark.parametrize(
    "broken",
    [
        {}, {**GOOD, "tokens": None}, {**GOOD, "tokens": [1]}, {**GOOD, "h": ["x", "y", []]},
        {**GOOD, "t": ["x", "y", [[99]]]}, {**GOOD, "t": ["x", "y", [[True]]]}, {**GOOD, "t": 3},
        {**GOOD, "t": ["x", "y", [["a"]]]}, "text",
    ],
)  # fmt: skip
def test_a_sentence_without_two_entities_is_left_out_and_counted(
    tmp_path: Path, broken: Any
) -> None:
    path = _written(tmp_path, {"a": [GOOD, GOOD, broken], "b": [GOOD, GOOD]})
    reading = read(path)
    assert len(reading.store) == 4
    assert [(item.count, item.what) for item in reading.left_out] == [(1, "sentence 3 of a")]


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = _written(tmp_path, {"a": [GOOD, GOOD], "b": [GOOD, GOOD]})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged or cut short"):
        read(path)
    path = _written(tmp_path, {"a": [GOOD, GOOD], "b": 3})
    with pytest.raises(DataError, match="'b' is no list of sentences"):
        read(path)
    with pytest.raises(DataError, match="are named of tables"):
        read(path, columns={"label": "x"})
