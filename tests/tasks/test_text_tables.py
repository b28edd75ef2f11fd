"""Tables of texts that are not as they should be: told, left out, or refused in a line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from metaloop.core.errors import DataError
from metaloop.tasks.readers import read, table_csv
from metaloop.tasks.readers.table_files import MOST_CHARACTERS
from metaloop.tasks.store import Reading

ROWS = [("pay the bill", "pay"), ("pay it now", "pay"), ("play a song", "play"), ("sing", "play")]


def _csv(folder: Path, rows: list[tuple[str, str]], encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    lines = ["text,label", *(f'"{text}","{label}"' for text, label in rows)]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_letters_survive_every_encoding_and_a_guess_is_said(tmp_path: Path, encoding: str) -> None:
    rows = [*ROWS, ("größe – 5 €", "pay")]
    reading = read(_csv(tmp_path, rows, encoding))
    assert set(reading.store.take(_all(reading))) == {text for text, _ in rows}
    guessed = [note for note in reading.notes if "Latin-1" in note]
    assert len(guessed) == (encoding == "cp1252")


@pytest.mark.parametrize("ending", [".jsonl", ".json"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_objects_are_read_in_utf_16_too(tmp_path: Path, ending: str, encoding: str) -> None:
    rows = [{"text": text, "label": label} for text, label in [*ROWS, ("größe – 5 €", "pay")]]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    content = lines if ending == ".jsonl" else json.dumps(rows, ensure_ascii=False)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path = tmp_path / f"t{ending}"
    path.write_bytes((mark + content).encode(encoding))
    reading = read(path)
    assert set(reading.store.take(_all(reading))) == {row["text"] for row in rows}


def test_a_nul_byte_in_a_text_is_refused_with_its_row(tmp_path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in [*ROWS, ("\0 pay", "pay")]]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=f"row {len(rows)}: a NUL byte") as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_a_text_with_two_labels_is_told_and_kept(tmp_path: Path) -> None:
    reading = read(_csv(tmp_path, [*ROWS, ("pay the bill", "play")]))
    assert len(reading.store) == 5
    assert reading.notes[1] == (
        "1 text has different labels in different rows, such as 'pay the bill': 'pay' and 'play'"
    )
    assert len(read(_csv(tmp_path, [*ROWS, ROWS[0]])).notes) == 1  # twice the same is no quarrel


def test_rows_of_several_labels_are_refused_and_a_bar_in_a_name_is_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 5 rows have several labels.*'pay\|play'"):
        read(_csv(tmp_path, [*ROWS, ("pay and play", "pay|play")]))
    barred = [(text, f"{label}|{label}s") for text, label in ROWS]
    assert [c.name for c in read(_csv(tmp_path, barred)).store.classes] == [
        "pay|pays",
        "play|plays",
    ]
    lists = tmp_path / "t.jsonl"
    rows = [{"text": text, "label": [label, "x"]} for text, label in ROWS]
    lists.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match="4 of 4 rows have several labels"):
        read(lists)


@pytest.mark.parametrize("joined", ["pay|urgent", "urgent | play", "pay;urgent", "pay|", "[1, 2]"])
def test_a_label_that_holds_another_one_is_refused(tmp_path: Path, joined: str) -> None:
    with pytest.raises(DataError, match="1 of 5 rows have several labels"):
        read(_csv(tmp_path, [*ROWS, ("pay at once", joined)]))


def test_lists_of_numbers_are_several_labels(tmp_path: Path) -> None:
    lists = tmp_path / "t.jsonl"
    rows = [{"text": text, "label": [len(text), 7]} for text, _ in ROWS]
    lists.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match="4 of 4 rows have several labels"):
        read(lists)


@pytest.mark.parametrize("names", [("news|sport", "news|weather"), ("pay", "pay, urgent")])
def test_labels_that_share_a_part_of_the_name_are_told(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    called = dict(zip(("pay", "play"), names, strict=True))
    reading = read(_csv(tmp_path, [(text, called[label]) for text, label in ROWS]))
    assert [c.name for c in reading.store.classes] == sorted(names)
    assert "a part of the name with others, such as" in reading.notes[1]


def test_texts_that_are_all_empty_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'text' is empty in every row"):
        read(_csv(tmp_path, [(" ", label) for _, label in ROWS]))


def test_a_file_in_a_cell_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"text": text, "label": label} for text, label in ROWS]
    rows.append({"text": "x" * (MOST_CHARACTERS + 1), "label": "pay"})
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    reading = read(path)
    assert len(reading.store) == 4
    assert [(item.count, item.what) for item in reading.left_out] == [(1, "row 5")]
    assert "1,000,000 characters" in reading.left_out[0].reason


def test_a_long_cell_of_csv_is_left_out_and_counted_too(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    rows = [*ROWS, ("x" * 200_000, "pay"), ("x" * (MOST_CHARACTERS + 1), "pay")]
    reading = read(_csv(tmp_path, rows))
    assert len(reading.store) == 5
    assert [(item.count, item.what) for item in reading.left_out] == [(1, "row 6")]
    assert csv.field_size_limit() == before


def test_a_cell_that_memory_may_not_hold_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_csv, "_MOST_IN_CELL", 200_000)
    with pytest.raises(DataError, match="line 6: a cell of more than 200,000 characters; is a"):
        read(_csv(tmp_path, [*ROWS, ("x" * 300_000, "pay")]))


@pytest.mark.long
def test_100_mb_in_a_cell_of_csv_are_left_out(tmp_path: Path) -> None:
    reading = read(_csv(tmp_path, [*ROWS, ("x" * 100_000_000, "pay")]))
    assert len(reading.store) == 4
    assert [item.what for item in reading.left_out] == ["row 5"]


def test_a_second_text_stands_behind_the_first_and_domains_are_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{text},{label},also {text},{label}s" for text, label in ROWS]
    path.write_text("text,label,text_pair,about\n" + "\n".join(rows), encoding="utf-8")
    reading = read(path, columns={"domain": "about"})
    assert reading.store.take(_all(reading))[0] == "pay the bill [SEP] also pay the bill"
    assert "pair 'text_pair'" in reading.notes[0]
    assert [c.group for c in reading.store.classes] == ["pays", "plays"]


def test_emoji_and_letters_from_right_to_left_stay_as_they_are(tmp_path: Path) -> None:
    rows = [(f"🎉 مرحبا {text}", f"تصنيف {label} 🎉") for text, label in ROWS]
    reading = read(_csv(tmp_path, rows))
    assert [c.name for c in reading.store.classes] == ["تصنيف pay 🎉", "تصنيف play 🎉"]
    assert reading.store.take(_all(reading))[0] == "🎉 مرحبا pay the bill"


def _all(reading: Reading) -> torch.Tensor:
    return torch.arange(len(reading.store))
