"""CIFAR in its original layouts, made small; and pickles of which nothing may be run."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.errors import DataError
from metaloop.tasks.readers import cifar_files, read

NAMES = ["cat", "dog", "ship"]


def _pixels(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, 3072), dtype=np.uint8)


def _binary_ten(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, number in (("data_batch_1", 9), ("data_batch_2", 6), ("test_batch", 6)):
        labels = np.arange(number, dtype=np.uint8)[:, None] % 3
        np.hstack([labels, _pixels(number, number)]).tofile(folder / f"{name}.bin")
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def _python_ten(folder: Path, protocol: int = 2) -> Path:
    folder.mkdir(parents=True)
    for name, number in (("data_batch_1", 9), ("data_batch_2", 6), ("test_batch", 6)):
        content = {
            b"batch_label": b"a batch",
            b"labels": [i % 3 for i in range(number)],
            b"data": _pixels(number, number),
            b"filenames": [b"a.png"] * number,
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol))
    meta = {b"num_cases_per_batch": 9, b"label_names": [n.encode() for n in NAMES]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol))
    return folder


def _hundred(folder: Path, binary: bool) -> Path:
    folder.mkdir(parents=True)
    coarse = ["animals", "things"]
    for name, number in (("train", 9), ("test", 6)):
        fine = np.arange(number) % 3
        of = (fine == 2).astype(int)
        if binary:
            labels = np.stack([of, fine], 1).astype(np.uint8)
            np.hstack([labels, _pixels(number)]).tofile(folder / f"{name}.bin")
            continue
        content = {"fine_labels": fine.tolist(), "coarse_labels": of.tolist()}
        (folder / name).write_bytes(pickle.dumps({**content, "data": _pixels(number)}, 4))
    if binary:
        (folder / "fine_label_names.txt").write_text("\n".join(NAMES))
        (folder / "coarse_label_names.txt").write_text("\n".join(coarse))
    else:
        meta = {"fine_label_names": NAMES, "coarse_label_names": coarse}
        (folder / "meta").write_bytes(pickle.dumps(meta, 4))
    return folder


def test_both_layouts_of_cifar_10_are_read_as_the_same_images(tmp_path: Path) -> None:
    binary = read(_binary_ten(tmp_path / "cifar-10-batches-bin"))
    python = read(_python_ten(tmp_path / "cifar-10-batches-py"))
    assert [one.name for one in binary.store.classes] == NAMES
    assert (binary.store.inputs == python.store.inputs).all()
    assert binary.store.targets.tolist() == python.store.targets.tolist()
    assert binary.example_parts is not None
    assert binary.example_parts.tolist() == ["train"] * 15 + ["test"] * 6
    assert binary.store.inputs.shape == (21, 3, 32, 32)


def test_red_comes_first_and_rows_run_from_the_top(tmp_path: Path) -> None:
    folder = _binary_ten(tmp_path / "here")
    record = np.zeros((3, 3073), np.uint8)
    record[:, 0] = [0, 1, 2]
    record[:, 1 : 1 + 32] = 200  # red of the first row
    record.tofile(folder / "test_batch.bin")
    image = read(folder).store.inputs[-1]
    assert image[0, 0].unique().tolist() == [200]
    assert image[0, 1:].max() == image[1:].max() == 0


def test_the_folder_around_the_published_one_is_understood(tmp_path: Path) -> None:
    _binary_ten(tmp_path / "cifar-10-batches-bin")
    assert len(read(tmp_path).store) == 21


@pytest.mark.parametrize("binary", [True, False])
def test_coarse_classes_of_cifar_100_are_the_groups(tmp_path: Path, binary: bool) -> None:
    reading = read(_hundred(tmp_path / "set", binary))
    groups = {one.name: one.group for one in reading.store.classes}
    assert groups == {"cat": "animals", "dog": "animals", "ship": "things"}
    assert reading.example_parts is not None
    assert (reading.example_parts == "test").sum() == 6


def _packed(folder: Path, ending: str = ".tar.gz") -> Path:
    path = folder.parent / f"published{ending}"
    with tarfile.open(path, "w:gz" if ending != ".tar" else "w") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar"])
def test_the_published_archive_is_read_as_its_folder_is(tmp_path: Path, ending: str) -> None:
    for made, name in (
        (_binary_ten, "cifar-10-batches-bin"),
        (_python_ten, "cifar-10-batches-py"),
        (partial(_hundred, binary=True), "cifar-100-binary"),
        (partial(_hundred, binary=False), "cifar-100-python"),
    ):
        folder = made(tmp_path / name)
        before = sorted(tmp_path.rglob("*"))
        of_folder, of_archive = read(folder), read(_packed(folder, ending))
        (tmp_path / f"published{ending}").unlink()
        assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked
        assert of_archive.kind == of_folder.kind
        assert of_archive.store.classes == of_folder.store.classes
        assert (of_archive.store.inputs == of_folder.store.inputs).all()
        assert of_archive.example_parts is not None and of_folder.example_parts is not None
        assert of_archive.example_parts.tolist() == of_folder.example_parts.tolist()


def _link(archive: tarfile.TarFile, kind: bytes) -> None:
    member = tarfile.TarInfo("cifar-10-batches-py/data_batch_9")
    member.type, member.linkname = kind, "/etc/passwd"
    archive.addfile(member)


def _plain(archive: tarfile.TarFile, name: str, size: int = 5) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, io.BytesIO(bytes(size)))


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (partial(_link, kind=tarfile.SYMTYPE), "a link"),
        (partial(_link, kind=tarfile.LNKTYPE), "a link"),
        (partial(_link, kind=tarfile.CHRTYPE), "which CIFAR has not"),
        (partial(_plain, name="cifar-10-batches-py/../../data_batch_9"), "a path that leads"),
        (partial(_plain, name="/etc/data_batch_9"), "a path that leads"),
        (partial(_plain, name="elsewhere/data_batch_9"), "which CIFAR has not"),
        (partial(_plain, name="cifar-10-batches-py/test_batch"), "a file that comes twice"),
        (partial(_plain, name="cifar-10-batches-py/zeros", size=3 << 20), "of 3 MB; that is more"),
    ],
)
def test_an_archive_that_is_not_as_published_is_refused(
    add: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar_files, "MOST_BYTES", 1 << 20)
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(_python_ten(tmp_path / "cifar-10-batches-py"), "cifar-10-batches-py")
        add(archive)
    shutil.rmtree(tmp_path / "cifar-10-batches-py")
    with pytest.raises(DataError, match=told) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("in_a_header", [False, True])
def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_fills_the_memory(
    in_a_header: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar_files, "MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        _plain(archive, "cifar-10-batches-py/data_batch_1")
        if in_a_header:  # a long name of which every reader of headers makes a text
            member = tarfile.TarInfo("cifar-10-batches-py/name")
            member.type, member.size = tarfile.GNUTYPE_LONGNAME, 3 << 20
            archive.addfile(member, io.BytesIO(b"a" * (3 << 20)))
        for number in range(0 if in_a_header else 5):
            _plain(archive, f"cifar-10-batches-py/data_batch_{number + 2}", size=500_000)
    assert path.stat().st_size < 50_000
    with pytest.raises(DataError, match="unpacks to more than 1 MB; that is more than CIFAR has"):
        read(path)


@settings(max_examples=40)
@given(cut=st.integers(0, 60_000), noise=st.binary(max_size=8))
def test_a_damaged_archive_is_told_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    path = _packed(_binary_ten(tmp_path_factory.mktemp("cut") / "cifar-10-batches-bin"))
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + noise)
    if path.read_bytes().startswith(whole):
        return
    with pytest.raises(DataError, match=r"^[^\n]*$"):
        read(path)


def test_another_archive_is_no_kind_of_data(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        _plain(archive, "photographs/cat/1.png")
    (tmp_path / "none.tar.gz").write_bytes(b"\x1f\x8b no gzip")
    for name in ("other.tar.gz", "none.tar.gz"):
        with pytest.raises(DataError, match="is not a kind of data that is supported"):
            read(tmp_path / name)


class _Hostile:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "it ran"
    folder = _python_ten(tmp_path / "cifar")
    hostile = {"labels": [0], "data": _Hostile(os.mkdir, str(mark))}
    (folder / "data_batch_1").write_bytes(pickle.dumps(hostile, protocol))
    with pytest.raises(DataError, match="a pickle can run code: nothing of it was run"):
        read(folder)
    assert not mark.exists()


@given(cut=st.integers(0, 3000), noise=st.binary(max_size=8))
def test_a_damaged_pickle_is_told_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    folder = _python_ten(tmp_path_factory.mktemp("damaged") / "cifar")
    path = folder / "data_batch_1"
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + noise)
    if path.read_bytes().startswith(whole):
        return
    with pytest.raises(DataError, match=r"^[^\n]*$"):
        read(folder)


def test_a_batch_that_is_cut_short_is_told(tmp_path: Path) -> None:
    folder = _binary_ten(tmp_path / "cifar")
    (folder / "test_batch.bin").write_bytes(b"\0" * 4000)
    with pytest.raises(DataError, match="no number of records of 3,073"):
        read(folder)


def test_labels_without_a_name_are_told(tmp_path: Path) -> None:
    folder = _binary_ten(tmp_path / "cifar")
    (folder / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match="2 class names"):
        read(folder)


def test_folders_of_train_and_test_say_the_part_of_every_image(tmp_path: Path) -> None:
    from PIL import Image

    images = iter(_pixels(10).reshape(10, 32, 32, 3))
    for part, number in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(number):
                Image.fromarray(next(images)).save(tmp_path / part / name / f"{i}.png")
    parts = read(tmp_path).example_parts
    assert parts is not None
    assert sorted(parts.tolist()) == ["test"] * 4 + ["train"] * 6


def test_a_split_by_examples_of_an_npz_is_kept_beside_its_classes(tmp_path: Path) -> None:
    split = ["train", "train", "test", "train", "train", "test"]
    images = _pixels(6).reshape(6, 32, 32, 3)
    np.savez(tmp_path / "set.npz", X=images, y=[0, 0, 0, 1, 1, 1], split=split)
    parts = read(tmp_path / "set.npz").example_parts
    assert parts is not None and parts.tolist() == split
