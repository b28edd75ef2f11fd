"""Kinds of files that real folders hold: read, or refused with the remedy, never lost silently."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metaloop.core.errors import DataError
from metaloop.tasks.readers import decode_image, images, list_images, read, read_arrays
from metaloop.tasks.store import Reading

HEIC_HEAD = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(300)


def pixels(kind: int, example: int = 0, size: int = 12) -> np.ndarray:
    """A grey image with a bright bar whose place tells the kind."""
    image = np.random.default_rng(100 * kind + example).integers(0, 60, (size, size))
    image[kind % size] = 250
    return image.astype(np.uint8)


def folder_of(root: Path, kinds: int = 3, examples: int = 3) -> Path:
    for kind in range(kinds):
        (root / f"kind{kind}").mkdir(parents=True)
        for example in range(examples):
            Image.fromarray(pixels(kind, example)).save(root / f"kind{kind}" / f"{example}.png")
    return root


def sizes(reading: Reading) -> dict[str, int]:
    counts = [len(examples) for examples in reading.store.examples_of]
    return dict(zip([info.name for info in reading.store.classes], counts, strict=True))


@pytest.fixture
def no_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "heif_opener", lambda: False)


@pytest.mark.usefixtures("no_heif")
def test_heic_that_nothing_opens_is_refused_with_the_remedy_and_counted(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data")
    for path in (root / "kind0").iterdir():
        path.unlink()
        path.with_suffix(".HEIC").write_bytes(HEIC_HEAD)
    (root / "kind1" / "renamed.jpg").write_bytes(HEIC_HEAD)
    with pytest.raises(
        DataError, match=r"4 of 10 images.*kind0/0\.HEIC.*pip install 'metaloop\[heic\]'"
    ):
        read(root)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    with pytest.raises(DataError, match="4 of 10 images"):
        read(packed)
    with pytest.raises(DataError, match="needs pillow-heif"):
        decode_image(root / "kind0" / "0.HEIC", (1, 8, 8))
    assert list_images(root / "kind0")[0].name == "0.HEIC"


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    images.heif_opener.cache_clear()
    root = folder_of(tmp_path / "data")
    expected = read(root).store
    for path in sorted((root / "kind1").iterdir()):
        with Image.open(path) as image:
            file = pillow_heif.from_pillow(image.convert("RGB").resize((64, 64)))
        path.unlink()
        file.save(path.with_suffix(".heic"), quality=-1)
    found = read(root).store
    assert [info.name for info in found.classes] == [info.name for info in expected.classes]
    difference = found.inputs.float() - expected.inputs.float()
    assert difference.abs().max() < 60


def test_damaged_heic_is_an_unreadable_image(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    root = folder_of(tmp_path)
    (root / "kind0" / "9.heic").write_bytes(HEIC_HEAD)
    (item,) = read(root).left_out
    assert (item.what, item.reason) == ("kind0/9.heic", "unreadable image")


def test_images_without_an_ending_are_known_by_their_content(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data")
    expected = read(folder).store.digest
    names = ["plain", "photo.jpg?w=200", "photo.com_2384"]
    for kind in folder.iterdir():
        for path, name in zip(sorted(kind.iterdir()), names, strict=True):
            path.rename(kind / f"{path.stem}{name}")
        (kind / "notes.txt").write_text("no image")
        shutil.copy(kind / "0plain", kind / "0plain.bak")
        (kind / "raw.dng").write_bytes(b"II*\0" + bytes(40))
    reading = read(folder)
    assert reading.store.digest == expected
    assert [(item.reason, item.count) for item in reading.left_out] == [("not an image", 9)]
    assert read(shutil.make_archive(str(tmp_path / "a"), "zip", folder)).store.digest == expected
    assert list_images(folder / "kind0" / "0plain") == [folder / "kind0" / "0plain"]


def test_every_page_of_a_tiff_is_an_example_but_reduced_copies_are_not(tmp_path: Path) -> None:
    for kind in range(2):
        (tmp_path / f"kind{kind}").mkdir()
        stack = [Image.fromarray(pixels(kind, page)) for page in range(3)]
        stack[0].save(tmp_path / f"kind{kind}" / "s.tif", save_all=True, append_images=stack[1:])
        copy = stack[0].resize((6, 6))
        copy.encoderinfo = {"tiffinfo": {254: 1}}  # NewSubfileType: a reduced copy
        stack[0].save(tmp_path / f"kind{kind}" / "one.tif", save_all=True, append_images=[copy])
    reading = read(tmp_path, image_size=12, polarity="as_is")
    assert sizes(reading) == {"kind0": 4, "kind1": 4}
    stored = {image.tobytes() for image in reading.store.inputs[:, 0].numpy()}
    expected = {pixels(kind, page).tobytes() for kind in range(2) for page in range(3)}
    assert stored == expected
    assert reading.notes == ("2 files have several pages: each of 6 is an example",)


def test_of_an_animation_the_first_frame_is_read_and_this_is_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path)
    frames = [Image.fromarray(pixels(kind)) for kind in range(3)]
    frames[0].save(root / "kind0" / "9.gif", save_all=True, append_images=frames[1:])
    reading = read(root, image_size=12)
    assert sizes(reading) == {"kind0": 4, "kind1": 3, "kind2": 3}
    np.testing.assert_array_equal(reading.store.inputs[3, 0].numpy(), pixels(0))
    assert "only the first frame is read" in reading.notes[0]


def twelve_bits(root: Path, factor: int = 16) -> Path:
    for kind in range(2):
        (root / f"kind{kind}").mkdir(parents=True)
        for example in range(2):
            values = pixels(kind, example).astype(np.uint16) * factor
            Image.fromarray(values).save(root / f"kind{kind}" / f"{example}.tif")
    return root


def test_twelve_bits_in_sixteen_are_refused_until_a_range_is_declared(tmp_path: Path) -> None:
    root = twelve_bits(tmp_path)
    with pytest.raises(DataError, match=r"from \d+ to 4000.*--value-range 0\.\.4095 for 12 bits"):
        read(root)
    stored = read(root, image_size=12, value_range=(0.0, 4095.0)).store
    expected = np.rint(pixels(0, 1).astype(float) * 16 * 255 / 4095).astype(np.uint8)
    np.testing.assert_array_equal(stored.inputs[1, 0].numpy(), expected)
    single = decode_image(root / "kind0" / "1.tif", (1, 12, 12), value_range=(0.0, 4095.0))
    np.testing.assert_array_equal(single[0], expected)


def test_files_and_arrays_of_the_same_numbers_are_read_alike(tmp_path: Path) -> None:
    root = twelve_bits(tmp_path)
    values = np.stack([pixels(kind, i).astype(np.uint16) * 16 for kind in (0, 1) for i in (0, 1)])
    y = ["kind0", "kind0", "kind1", "kind1"]
    with pytest.raises(DataError, match=r"--value-range 0\.\.4095"):
        read_arrays(values, y)
    for value_range in ((0.0, 4095.0), (0.0, 65535.0)):
        arrays = read_arrays(values, y, image_size=12, value_range=value_range).store
        files = read(root, image_size=12, value_range=value_range).store
        np.testing.assert_array_equal(arrays.inputs.numpy(), files.inputs.numpy())


def test_sixteen_bits_that_are_used_need_no_range(tmp_path: Path) -> None:
    stored = read(twelve_bits(tmp_path, 257), image_size=12).store
    np.testing.assert_array_equal(stored.inputs[0, 0].numpy(), pixels(0, 0))


def test_a_dark_image_of_floats_is_scaled_as_the_whole_set(tmp_path: Path) -> None:
    for kind, brightest in ((0, 0.5), (1, 200.0)):
        (tmp_path / f"kind{kind}").mkdir()
        for i in range(2):
            image = np.full((12, 12), brightest * (1 - i / 2), np.float32)
            Image.fromarray(image).save(tmp_path / f"kind{kind}" / f"{i}.tif")
    brightest = read(tmp_path).store.inputs.flatten(1).amax(1).tolist()
    assert brightest == [0, 0, 200, 100]


def test_arrays_one_for_each_example_are_read_as_an_npz_of_them(tmp_path: Path) -> None:
    for kind in range(3):
        (tmp_path / "images" / f"kind{kind}").mkdir(parents=True)
        (tmp_path / "vectors" / f"kind{kind}").mkdir(parents=True)
        for example in range(2):
            array = pixels(kind, example)
            np.save(tmp_path / "images" / f"kind{kind}" / f"{example}.npy", array)
            np.save(tmp_path / "vectors" / f"kind{kind}" / f"{example}.npy", array[:2].ravel() / 9)
    reading = read(tmp_path / "images", image_size=12)
    assert reading.kind == "folder of arrays, one folder per class, images"
    np.testing.assert_array_equal(reading.store.inputs[3, 0].numpy(), pixels(1, 1))
    assert read(tmp_path / "vectors").store.inputs.shape == (6, 24)
    np.save(tmp_path / "images" / "kind0" / "9.npy", pixels(0, size=15))
    assert sizes(read(tmp_path / "images")) == {"kind0": 3, "kind1": 2, "kind2": 2}
    np.save(tmp_path / "vectors" / "kind0" / "9.npy", np.ones(5))
    with pytest.raises(DataError, match="expected vectors of one length"):
        read(tmp_path / "vectors")


def test_damaged_arrays_and_pickles_are_left_out_and_arrays_beside_images_too(
    tmp_path: Path,
) -> None:
    for kind in range(2):
        (tmp_path / f"kind{kind}").mkdir()
        for example in range(2):
            np.save(tmp_path / f"kind{kind}" / f"{example}.npy", pixels(kind, example))
    (tmp_path / "kind0" / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.save(tmp_path / "kind0" / "objects.npy", np.array([{}]), allow_pickle=True)
    assert [(item.reason, item.count) for item in read(tmp_path).left_out] == [
        ("unreadable image", 2)
    ]
    root = folder_of(tmp_path / "mixed")
    np.save(root / "kind0" / "mask.npy", pixels(0))
    (item,) = read(root).left_out
    assert (item.what, item.reason) == ("kind0/mask.npy", "array beside images")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    root = folder_of(tmp_path)
    os.mkfifo(root / "kind0" / "pipe.png")
    (root / "kind1" / "broken.png").symlink_to(root / "nowhere.png")
    (root / "kind1" / "circle.png").symlink_to(root / "kind1" / "circle.png")
    (root / "kind2" / "again").symlink_to(root)
    (root / "kind2" / "empty.png").write_bytes(b"")
    reading = read(root)
    assert sizes(reading) == {"kind0": 3, "kind1": 3, "kind2": 3}
    reasons = {item.reason: item.count for item in reading.left_out}
    assert reasons == {
        "no regular file: a pipe, a device or a broken link": 3,
        "unreadable image": 1,
    }
    for refused in (decode_image, list_images):
        arguments = ((1, 8, 8),) if refused is decode_image else ()
        with pytest.raises(DataError, match="no regular file"):
            refused(root / "kind0" / "pipe.png", *arguments)  # type: ignore[operator]
    with pytest.raises(DataError, match="it is empty"):
        decode_image(root / "kind2" / "empty.png", (1, 8, 8))
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(DataError, match="not a kind of data"):
        read(tmp_path / "pipe.npz")


def test_a_class_folder_without_images_is_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data")
    (root / "empty").mkdir()
    (root / "words").mkdir()
    (root / "words" / "a.psd").write_bytes(b"8BPS")
    reasons = {item.reason: item.what for item in read(root).left_out}
    assert reasons["folder without images"] == "empty, words"
    packed = read(shutil.make_archive(str(tmp_path / "a"), "zip", root))
    assert {item.reason: item.what for item in packed.left_out} == reasons


def test_thumbnails_of_the_system_are_ignored_and_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data")
    buffer = io.BytesIO()
    Image.fromarray(pixels(0)).save(buffer, "JPEG")
    for name in ("kind0/@eaDir/0.png/T_M.jpg", "kind1/.thumbnails/a.jpg", "__MACOSX/kind0/x.jpg"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(buffer.getvalue())
    for reading in (read(root), read(shutil.make_archive(str(tmp_path / "a"), "zip", root))):
        assert sizes(reading) == {"kind0": 3, "kind1": 3, "kind2": 3}
        assert reading.left_out == ()
        assert reading.notes == (
            "3 files and folders of the system are ignored: .thumbnails, @eaDir, __MACOSX",
        )


def test_a_depth_is_refused_where_there_are_no_folders(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((4, 2)), y=[0, 0, 1, 1])
    with pytest.raises(DataError, match="--classes-at 1 is for folders of images"):
        read(tmp_path / "a.npz", classes_at=1)
    with pytest.raises(DataError, match="1 to 32; got 0"):
        read(tmp_path, classes_at=0)
