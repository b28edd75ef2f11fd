"""Omniglot's original layout, a small imitation and the real one, and its download."""

from __future__ import annotations

import gc
import hashlib
import shutil
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metaloop.core.errors import DataError
from metaloop.tasks.readers import download_omniglot, read
from metaloop.tasks.split import assign_parts

CHARACTERS = {
    "images_background": ["Greek/character01", "Greek/character02", "Latin/character01"],
    "images_evaluation": ["Runes/character01", "Runes/character02"],
}


def drawing(seed: int) -> Image.Image:
    """Ink, which is black, on white paper: 105 x 105, one bit."""
    pixels = np.full((105, 105), 255, np.uint8)
    blocks = np.random.default_rng(seed).integers(0, 2, (5, 5)) * np.uint8(255)
    pixels[15:90, 15:90] = blocks.repeat(15, 0).repeat(15, 1)
    return Image.fromarray(pixels).convert("1")


def small_omniglot(root: Path, *, packed: bool = True, drawers: int = 3) -> Path:
    for half, characters in CHARACTERS.items():
        for number, character in enumerate(characters):
            folder = root / half / character
            folder.mkdir(parents=True)
            for drawer in range(drawers):
                drawing(10 * number + drawer).save(folder / f"{number:04d}_{drawer + 1:02d}.png")
        if packed:
            shutil.make_archive(str(root / half), "zip", root, half)
            shutil.rmtree(root / half)
    return root


def add_lists(root: Path, **lines: list[str]) -> None:
    folder = root / "splits" / "vinyals"
    folder.mkdir(parents=True, exist_ok=True)
    for part, of_part in lines.items():
        (folder / f"{part}.txt").write_text("\n".join(of_part) + "\n")


def turned(*characters: str) -> list[str]:
    return [f"{name}/rot{turn}" for name in characters for turn in ("000", "090", "180", "270")]


def test_without_lists_classes_are_characters_in_alphabets(tmp_path: Path) -> None:
    reading = read(small_omniglot(tmp_path / "omni"))
    assert (reading.name, reading.kind) == ("omni", "Omniglot, original layout")
    assert [(info.name, info.group, info.part) for info in reading.store.classes] == [
        (name, name.partition("/")[0], None) for half in CHARACTERS.values() for name in half
    ]
    assert reading.store.inputs.shape == (15, 1, 28, 28)
    assert reading.store.polarity == "ink"
    assert reading.store.inputs[:, :, 0].max() == 0  # paper is low


def test_folders_and_zips_read_alike(tmp_path: Path) -> None:
    packed = read(small_omniglot(tmp_path / "a"))
    unpacked = read(small_omniglot(tmp_path / "b", packed=False))
    assert packed.store.digest == unpacked.store.digest


def test_lists_make_turned_classes_with_published_parts(tmp_path: Path) -> None:
    root = small_omniglot(tmp_path)
    add_lists(
        root,
        train=turned("Greek/character01", "Runes/character01"),
        val=turned("Greek/character02"),
        test=turned("Latin/character01", "Runes/character02"),
    )
    reading = read(root, strict=True)
    store = reading.store
    assert Counter(info.part for info in store.classes) == {"train": 8, "val": 4, "test": 8}
    info = store.classes[1]
    assert (info.name, info.group) == ("Greek/character01/rot090", "Greek")
    assert info.unit == "Greek/character01"
    upright, quarter = (store.inputs[store.examples_of[i]].numpy() for i in (0, 1))
    for before, after in zip(upright, quarter, strict=True):
        anticlockwise = Image.fromarray(before[0]).rotate(90)
        np.testing.assert_array_equal(after[0], np.asarray(anticlockwise))


def test_characters_outside_of_the_lists_are_left_out(tmp_path: Path) -> None:
    root = small_omniglot(tmp_path)
    add_lists(root, train=turned("Greek/character01"), test=turned("Latin/character01"))
    (item,) = read(root).left_out
    assert (item.reason, item.count) == ("character not in the lists", 3)


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"train": turned("Elvish/character01"), "test": []}, "do not belong to these images"),
        ({"train": ["Greek/character01"], "test": []}, "expected ALPHABET/characterNN/rotRRR"),
        ({"train": turned("Greek/character01")}, r"has no test\.txt"),
        (
            {"train": ["Greek/character01/rot000"], "test": ["Greek/character01/rot000"]},
            "is listed in train and in test",
        ),
        (
            {"train": ["Greek/character01/rot000"], "test": ["Greek/character01/rot090"]},
            "put turns of 'Greek/character01' into different parts",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, lists: dict[str, list[str]], words: str
) -> None:
    root = small_omniglot(tmp_path)
    add_lists(root, **lists)
    with pytest.raises(DataError, match=words):
        read(root)


@pytest.mark.long
def test_real_omniglot_has_the_published_parts(shared_data: Path) -> None:
    folder = shared_data / "omniglot"
    if not folder.is_dir():
        pytest.skip(f"no Omniglot at {folder}")
    reading = read(folder, strict=True)
    store = reading.store
    assert store.inputs.shape == (129_840, 1, 28, 28)
    parts = Counter(info.part for info in store.classes)
    assert parts == {"train": 4112, "val": 688, "test": 1692}
    assert store.polarity == "ink"
    assert store.inputs[:, 0, 0].float().mean() < 5
    units = {
        part: {store.classes[i].unit for i in indices}
        for part, indices in assign_parts(store.classes).items()
    }
    sizes = {part: len(of_part) for part, of_part in units.items()}
    assert sizes == {"train": 1028, "search": 86, "promotion": 86, "test": 423}
    assert len(set.union(*units.values())) == sum(sizes.values())


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server for the folder, on this machine only."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with warnings.catch_warnings():  # requests leaves its connection to the collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def test_download_fetches_once_checks_and_can_be_read(tmp_path: Path) -> None:
    source = small_omniglot(tmp_path / "source")
    checksums = {
        f"{half}.zip": "md5:" + hashlib.md5((source / f"{half}.zip").read_bytes()).hexdigest()
        for half in CHARACTERS
    }
    with served(source) as url:
        folder = download_omniglot(tmp_path / "here", base_url=url, checksums=checksums)
    assert read(folder).store.digest == read(source).store.digest
    gone = "http://127.0.0.1:9/"  # nothing is fetched again
    assert download_omniglot(folder, base_url=gone, checksums=checksums) == folder


def test_download_refuses_a_wrong_checksum_and_leaves_no_file(tmp_path: Path) -> None:
    source = small_omniglot(tmp_path / "source")
    wrong = {f"{half}.zip": "md5:" + "0" * 32 for half in CHARACTERS}
    with served(source) as url, pytest.raises(DataError, match="its checksum differs"):
        download_omniglot(tmp_path / "here", base_url=url, checksums=wrong)
    assert list((tmp_path / "here").iterdir()) == []


def test_download_without_a_network_or_a_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be fetched into") as offline:
        download_omniglot(tmp_path / "here", base_url="http://127.0.0.1:9/")
    with served(tmp_path) as url, pytest.raises(DataError, match="cannot be fetched into") as lost:
        download_omniglot(tmp_path / "here", base_url=url)
    assert "\n" not in str(offline.value) + str(lost.value)


def test_a_single_half_reads_as_a_zip_of_images(tmp_path: Path) -> None:
    root = small_omniglot(tmp_path)
    reading = read(root / "images_background.zip")
    assert [info.name for info in reading.store.classes] == CHARACTERS["images_background"]
