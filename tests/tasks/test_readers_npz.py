"""npz files: arrays under any usual name, packed encoded images, never a pickle."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metaloop.core.errors import DataError
from metaloop.tasks.readers import decode_image, read
from metaloop.tasks.readers import zip_archive as limits

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 28, 28)).astype(np.uint8)
Y = np.array([0, 0, 1, 1, 2, 2, 3, 3])


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def packed_images() -> dict[str, Any]:
    """Eight colour images as JPEG bytes, one after another."""
    encoded = []
    for _ in range(8):
        buffer = io.BytesIO()
        pixels = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
        encoded.append(buffer.getvalue())
    offsets = np.cumsum([0] + [len(data) for data in encoded])
    return {"jpeg": np.frombuffer(b"".join(encoded), np.uint8), "offsets": offsets, "label": Y}


@pytest.mark.parametrize(
    "names", [("X", "y"), ("x", "Y"), ("images", "labels"), ("data", "target"), ("Image", "Label")]
)
def test_usual_names_are_understood(tmp_path: Path, names: tuple[str, str]) -> None:
    reading = read(save(tmp_path / "set.npz", **{names[0]: IMAGES, names[1]: Y}))
    assert (reading.name, reading.kind) == ("set", "npz of arrays, images")
    np.testing.assert_array_equal(reading.store.inputs[:, 0].numpy(), IMAGES)
    assert reading.store.targets.tolist() == Y.tolist()


def test_flat_rows_are_vectors(tmp_path: Path) -> None:
    reading = read(save(tmp_path / "a.npz", X=IMAGES.reshape(8, -1), y=Y))
    assert reading.kind == "npz of arrays, vectors"
    assert reading.store.inputs.shape == (8, 784)


def test_split_groups_and_class_names_are_used(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        X=IMAGES,
        y=Y,
        class_split=np.array(["train", "train", "val", "test"]),
        group=np.repeat(["g", "g", "h", "h"], 2),
        class_names=np.array(["a", "b", "c", "d"]),
    )
    assert [(info.name, info.group, info.part) for info in read(path).store.classes] == [
        ("a", "g", "train"),
        ("b", "g", "train"),
        ("c", "h", "val"),
        ("d", "h", "test"),
    ]


def test_packed_images_decode_like_single_files(tmp_path: Path) -> None:
    arrays = packed_images()
    reading = read(save(tmp_path / "a.npz", **arrays, class_name=np.array(list("abcd"))))
    assert reading.kind == "npz of encoded images"
    assert reading.store.inputs.shape == (8, 3, 32, 32)
    start, end = arrays["offsets"][2:4]
    alone = decode_image(arrays["jpeg"][start:end].tobytes(), (3, 32, 32))
    np.testing.assert_array_equal(reading.store.inputs[2].numpy(), alone)
    assert [info.name for info in reading.store.classes] == list("abcd")


def test_damaged_packed_images_are_left_out(tmp_path: Path) -> None:
    arrays = packed_images()
    arrays["label"] = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    arrays["jpeg"] = arrays["jpeg"].copy()
    arrays["jpeg"][arrays["offsets"][1] : arrays["offsets"][1] + 50] = 0
    reading = read(save(tmp_path / "a.npz", **arrays))
    assert reading.store.targets.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert [(item.what, item.reason) for item in reading.left_out] == [
        ("image 1", "unreadable image")
    ]


def test_a_folder_that_holds_one_npz_and_notes_is_read_as_the_npz(tmp_path: Path) -> None:
    save(tmp_path / "only.npz", X=IMAGES, y=Y)
    for note in ("README.md", "LICENSE", ".hidden"):
        (tmp_path / note).write_text("about")
    assert read(tmp_path).name == "only"
    save(tmp_path / "second.npz", X=IMAGES, y=Y)
    with pytest.raises(DataError, match="no images found"):
        read(tmp_path)


def _objects() -> dict[str, Any]:
    labels = np.empty(8, object)
    labels[:] = [{"a": 1}] * 8
    return {"X": IMAGES, "y": labels}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": IMAGES}, r"has no labels \(y\).*found X"),
        ({"y": Y}, r"has no examples \(X\).*found y"),
        ({"a": Y, "b": Y}, r"has no examples \(X\): expected X and y .*found a, b"),
        ({}, "found nothing"),
        ({"X": IMAGES, "y": Y[:5]}, "X has 8 examples but y has 5 labels"),
        (_objects(), "array 'y' holds Python objects, which are never loaded"),
        ({"X": IMAGES * np.nan, "y": Y}, "8 of 8 rows of X hold NaN"),
        ({**packed_images(), "offsets": np.arange(5)}, r"with int offsets \[9\] for 8 labels"),
        ({**packed_images(), "offsets": np.arange(9) * 10**6}, "offsets must rise from 0"),
        ({**packed_images(), "jpeg": np.zeros(9 * 10**5, np.uint8)}, "none of its 8 images can"),
    ],
)
def test_refusals_are_one_helpful_line(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(save(tmp_path / "a.npz", **arrays))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.npz", X=IMAGES, y=Y).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-100])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "raw.npz", "w") as archive:
        archive.writestr("X", b"not an array")
        archive.writestr("y", b"not an array")
    for name in ("cut", "text", "empty", "raw"):
        with pytest.raises(DataError, match=r"damaged or no npz|is not an array"):
            read(tmp_path / f"{name}.npz")


def test_absurd_sizes_are_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.npz", X=IMAGES, y=Y)
    monkeypatch.setattr(limits, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to"):
        read(path)


def test_bytes_flipped_at_random_never_escape_as_another_exception(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    messages = []
    small = save(tmp_path / "a.npz", X=IMAGES[:, :6, :6], y=Y, group=Y // 2)
    whole = small.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        for position in rng.integers(0, len(content), 3):
            content[position] = rng.integers(256)
        (tmp_path / "b.npz").write_bytes(content)
        try:
            read(tmp_path / "b.npz")
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)
