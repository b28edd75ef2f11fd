"""Folders and zips of text files, one folder per class: what is read, left out and said."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from metaloop.core.errors import DataError
from metaloop.tasks.readers import holds_images, read
from metaloop.tasks.store import Reading

TEXTS = {
    "pay/1.txt": b"pay the bill\r\nnow\n",
    "pay/2.txt": "größe – 5 €".encode("cp1252"),
    "pay/3.txt": b" \n",
    "pay/4.txt": b"a\0b",
    "play/1.txt": "שיר 🎵".encode("utf-16"),
    "play/2.text": "\ufeffplay a song".encode(),
    "play/cover.png": b"no text",
    "README.txt": b"what this is",
}


def _written(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def _zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _by_class(reading: Reading) -> dict[str, set[str]]:
    store = reading.store
    return {
        info.name: set(store.take(torch.from_numpy(rows)))
        for info, rows in zip(store.classes, store.examples_of, strict=True)
    }


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_a_text_of_its_folder_whatever_its_encoding(tmp_path: Path, packed: bool) -> None:
    path = _zipped(tmp_path / "t.zip", TEXTS) if packed else _written(tmp_path / "t", TEXTS)
    reading = read(path)
    assert _by_class(reading) == {
        "pay": {"pay the bill\nnow", "größe – 5 €"},
        "play": {"שיר 🎵", "play a song"},
    }
    said = {item.reason: item.what for item in reading.left_out}
    assert said["empty"] == "pay/3.txt" and said["no text: bytes that no text has"] == "pay/4.txt"
    assert said["text outside of any class folder"] == "README.txt"
    assert said["not a text"] == "play/cover.png"
    assert [note for note in reading.notes if "Latin-1" in note and "pay/2.txt" in note]
    assert not holds_images(path)


@pytest.mark.parametrize(
    ("place", "is_now"),
    [(30 + 10, b"\xff\xff\xff"), (28, b"\xff\xff"), (0, b"PQ")],
    ids=["packed bytes", "a length that leads beyond the end", "no header"],
)
def test_a_zip_with_a_damaged_text_is_refused_in_a_line(
    tmp_path: Path, place: int, is_now: bytes
) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"pay{number // 2}/{number}.txt", f"pay the bill {number} now")
    content = bytearray(path.read_bytes())
    head = content.rindex(b"PK\3\4")  # of the last text: 30 bytes, the name, then what is packed
    place += head
    content[place : place + len(is_now)] = is_now
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or not a zip \(.+\); copy") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_parts_and_domains_of_folders_are_those_of_images(tmp_path: Path) -> None:
    files = {
        f"{part}/bank/{word}/{n}.txt": f"{word} {n}".encode()
        for part, words in (("train", ("pay", "owe")), ("test", ("lend", "save")))
        for word in words
        for n in range(2)
    }
    classes = read(_written(tmp_path / "t", files)).store.classes
    assert {info.name: info.part for info in classes} == {
        "owe": "train",
        "pay": "train",
        "lend": "test",
        "save": "test",
    }


def test_captions_beside_images_make_no_folder_of_texts(tmp_path: Path) -> None:
    files = {f"{n}/{n}.{end}": b"x" for n in range(3) for end in ("txt", "jpg")}
    assert holds_images(_written(tmp_path, files))


def test_a_folder_without_a_usable_text_is_refused_in_a_line(tmp_path: Path) -> None:
    empty = _written(tmp_path, {"a/1.txt": b"", "b/1.txt": b"\n"})
    with pytest.raises(DataError, match=r"no text can be used.*a/1.txt, b/1.txt \(empty\)"):
        read(empty)
    with pytest.raises(DataError, match="are for images"):
        read(empty, image_size=28)
