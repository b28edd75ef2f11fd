"""Zips of images: the same content as the folder, nothing on disk, nothing unsafe."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metaloop.core.errors import DataError
from metaloop.tasks.readers import read
from metaloop.tasks.readers import zip_archive as module


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 10)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zip_of(path: Path, *names: str, **others: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for seed, name in enumerate(names):
            archive.writestr(name, png(seed))
        for name, content in others.items():
            archive.writestr(name, content)
    return path


GOOD = ("a/1.png", "a/2.png", "g/b/1.png", "g/b/2.png")


def test_a_zip_reads_like_its_folder_and_writes_nothing(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "letters.zip", *GOOD)
    before = sorted(tmp_path.iterdir())
    reading = read(packed)
    assert sorted(tmp_path.iterdir()) == before
    assert reading.name == "letters"
    assert reading.kind == "zip of images, one folder per class"
    shutil.unpack_archive(packed, tmp_path / "unpacked")
    assert read(tmp_path / "unpacked").store.digest == reading.store.digest


def test_one_common_top_folder_is_stripped(tmp_path: Path) -> None:
    wrapped = zip_of(tmp_path / "a.zip", *(f"my data/{name}" for name in GOOD))
    assert [info.name for info in read(wrapped).store.classes] == ["a", "g/b"]
    split = zip_of(
        tmp_path / "b.zip",
        *(f"top/{part}/{name}" for part in ("train",) for name in GOOD),
        "top/test/c/1.png",
        "top/test/c/2.png",
    )
    assert {info.part for info in read(split).store.classes} == {"train", "test"}


def test_names_written_by_windows_are_understood(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "a.zip", "x\\a\\1.png", "x\\a\\2.png", "x\\b\\1.png", "x\\b\\2.png")
    assert [info.name for info in read(packed).store.classes] == ["a", "b"]


def test_system_files_are_ignored_and_nested_archives_counted(tmp_path: Path) -> None:
    packed = zip_of(
        tmp_path / "a.zip",
        *GOOD,
        **{"__MACOSX/a/._1.png": b"x", "a/.DS_Store": b"x", "notes.md": b"x", "more.zip": b"x"},
    )
    assert [(item.what, item.reason) for item in read(packed).left_out] == [
        ("notes.md", "not an image"),
        ("more.zip", "archive inside of the zip"),
    ]


def test_a_folder_that_holds_one_zip_and_a_readme_is_read_as_the_zip(tmp_path: Path) -> None:
    zip_of(tmp_path / "a.zip", *GOOD)
    (tmp_path / "README.md").write_text("about")
    assert read(tmp_path).kind == "zip of images, one folder per class"


@pytest.mark.parametrize("name", ["../a/1.png", "a/../../1.png", "/etc/1.png", "C:\\a\\1.png"])
def test_paths_that_leave_the_zip_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="points outside of it"):
        read(zip_of(tmp_path / "a.zip", *GOOD, name))


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "a.zip", *GOOD)
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged or not a zip"):
        read(packed)


def test_a_damaged_member_is_one_unreadable_image(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "a.zip", *GOOD, "a/3.png")
    content = bytearray(packed.read_bytes())
    content[content.index(b"a/1.png") + 40] ^= 255
    packed.write_bytes(content)
    (item,) = read(packed).left_out
    assert (item.what, item.reason) == ("a/1.png", "unreadable image")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "a.zip", *GOOD)
    content = bytearray(packed.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # flags of the first central record
    packed.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        read(packed)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "a.zip", *GOOD)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/bomb.png", bytes(4 << 20))
    with pytest.raises(DataError, match="taken for a zip bomb"):
        read(packed)


def test_absurd_sizes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zip_of(tmp_path / "a.zip", *GOOD)
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 300)
    with pytest.raises(DataError, match="unpacks to"):
        read(packed)
    monkeypatch.setattr(module, "MAX_MEMBER_BYTES", 100)
    with pytest.raises(DataError, match="holds a file of"):
        read(packed)


def test_a_zip_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 images lie directly in it"):
        read(zip_of(tmp_path / "a.zip", "1.png", "2.png"))
    with pytest.raises(DataError, match="no images found"):
        read(zip_of(tmp_path / "b.zip"))
    (tmp_path / "c.zip").write_bytes(b"")
    with pytest.raises(DataError, match="damaged or not a zip"):
        read(tmp_path / "c.zip")


def test_bytes_flipped_at_random_never_escape_as_another_exception(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    messages = []
    whole = zip_of(tmp_path / "a.zip", *GOOD).read_bytes()
    for _ in range(150):
        content = bytearray(whole)
        for position in rng.integers(0, len(content), 5):
            content[position] = rng.integers(256)
        (tmp_path / "b.zip").write_bytes(content)
        try:
            read(tmp_path / "b.zip")
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)
