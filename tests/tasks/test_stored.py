"""A store gives what it was built from, looks at no example, and is told when it is not whole."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import metaloop as ml
from metaloop.catalogue import DataOptions, open_data
from metaloop.catalogue.storing import checked_store, stored
from metaloop.core import large
from metaloop.core.columns import Segments, chosen, take, whole
from metaloop.core.errors import DataError, OutputError
from metaloop.core.mapping import map_file
from metaloop.tasks import fingerprints, measuring
from metaloop.tasks.readers import npz

AS_IS = DataOptions()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve classes of photographs: two that are copies, and copies from class to class."""
    root = tmp_path_factory.mktemp("stores") / "photos"
    rng = np.random.default_rng(0)
    for name in range(12):
        (root / f"class{name:02d}").mkdir(parents=True)
        for example in range(6):
            small = rng.integers(0, 255, (4, 4, 3), np.uint8)
            image = Image.fromarray(small).resize((20, 20), Image.Resampling.BICUBIC)
            image.save(root / f"class{name:02d}" / f"{example}.png")
    for name, of in ((3, 4), (5, 6), (8, 1)):  # the same picture, and one a grey level off
        image = Image.open(root / f"class{of:02d}" / "0.png")
        image.save(root / f"class{name:02d}" / "again.png")
        Image.fromarray(np.maximum(np.asarray(image), 1) - 1).save(
            root / f"class{name:02d}" / "near.png"
        )
    (root / "class00" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return root


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(160, 5)) * [1, 10, 0.1, 0, 3]
    X[17] = X[120]
    path = tmp_path_factory.mktemp("stores") / "vectors.npz"
    np.savez(path, X=X, y=np.repeat(np.arange(16), 10))
    return path


@pytest.mark.parametrize("kind", ["folder", "vectors"])
def test_a_store_is_what_it_was_built_from(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, file = request.getfixturevalue(kind), tmp_path / "data.store"
    stored(str(source), AS_IS, file)
    something_left_out = False
    for seed in range(5):
        options = replace(AS_IS, split_seed=seed)
        original, again = open_data(source, options), open_data(file, options)
        assert again.family.digest == original.family.digest
        assert again.left_out == original.left_out
        something_left_out |= bool(again.left_out)
        assert (again.kind, again.notes) == (original.kind, original.notes)
        assert again.family.name == original.family.name
        assert again.family.input_format == original.family.input_format
        ours, theirs = again.family.as_classes, original.family.as_classes
        assert ours is not None and theirs is not None
        assert ours.store.classes == theirs.store.classes
        assert all(np.array_equal(ours.parts[part], theirs.parts[part]) for part in ours.parts)
        assert torch.equal(whole(ours.store.inputs), whole(theirs.store.inputs))  # type: ignore[arg-type]
        spec = ours.spec(2, 1)
        lists = [
            each.sample("search", spec, 4, np.random.default_rng(0)).list_hash
            for each in (ours, theirs)
        ]
        assert lists[0] == lists[1]
    assert something_left_out
    with pytest.raises(OutputError, match="already exists"):
        stored(str(source), AS_IS, file)
    with pytest.raises(DataError, match="is a store already"):
        stored(str(file), AS_IS, tmp_path / "other")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder", "vectors"])
def test_training_and_evaluation_are_those_of_the_original(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, file = request.getfixturevalue(kind), tmp_path / "data.store"
    stored(str(source), AS_IS, file)
    found = []
    for number, data in enumerate((source, file)):
        trained = ml.train(data, "protonet", budget="3steps", ways=2, queries=3, progress=False)
        figures = ml.evaluate(trained, file if number else source, episodes=20, progress=False)
        found.append((trained.trained.meta_params, figures.to_json()))
    (mine, expected), (other, again) = found
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert again == expected and again["recognised"] is not None


def test_what_is_large_is_read_piece_by_piece_and_stays_the_same(
    folder: Path, vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [open_data(source) for source in (folder, vectors)]
    for module in (large, fingerprints, measuring, npz):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", 100)
    monkeypatch.setattr(large, "AT_ONCE", 2000)
    for source, original in zip((folder, vectors), small, strict=True):
        again = open_data(source)
        assert again.family.digest == original.family.digest
        assert again.left_out == original.left_out
        ours, theirs = again.family.input_format, original.family.input_format
        assert ours.mean == pytest.approx(theirs.mean, rel=1e-5)
        assert ours.deviation == pytest.approx(theirs.deviation, rel=1e-5)
    assert isinstance(large.room((200,)), np.memmap) and isinstance(large.room((9,)), np.ndarray)


@given(rows=st.lists(st.integers(0, 19), max_size=30), cut=st.integers(1, 19))
def test_rows_of_a_large_column_are_those_of_a_small_one(rows: list[int], cut: int) -> None:
    values, wanted = torch.arange(60.0).view(20, 3), torch.tensor(rows, dtype=torch.int64)
    column = Segments((values[:cut], values[cut:]))
    most, large.MOST_IN_MEMORY = large.MOST_IN_MEMORY, 0
    try:
        for given_column in (values, column):
            for asked in (wanted, wanted.sort().values, wanted.unique()):
                found = whole(chosen(given_column, asked))
                assert torch.equal(found, values[asked])  # type: ignore[arg-type]
    finally:
        large.MOST_IN_MEMORY = most


def test_rows_that_are_asked_for_are_fetched(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(str(vectors), AS_IS, tmp_path / "data.store")
    inputs = map_file(tmp_path / "data.store")["inputs"]
    rows = torch.tensor([[3, 159], [0, 3]])
    expected = take(inputs, rows)
    monkeypatch.setattr(large, "MOST_IN_MEMORY", 0)
    assert torch.equal(take(inputs, rows), expected)  # type: ignore[arg-type]
    address = inputs.data_ptr() // 4096 * 4096
    assert large._libc().madvise(address, inputs.nbytes, 3) == 0  # the kernel takes such a range


def test_a_few_runs_of_a_large_tensor_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MOST_IN_MEMORY", 100)
    values = torch.arange(300.0).view(100, 3)
    kept = large.rows_of(values, torch.cat([torch.arange(0, 40), torch.arange(41, 100)]))
    assert [len(piece) for piece in kept] == [40, 59]
    assert kept[1].data_ptr() == values[41:].data_ptr()


def test_a_writer_that_is_killed_leaves_nothing_to_be_read(vectors: Path, tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os.fsync = lambda _: os._exit(9)  # type: ignore[assignment]
        stored(str(vectors), AS_IS, tmp_path / "data.store")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with pytest.raises(DataError, match="does not exist"):
        open_data(tmp_path / "data.store")
    stored(str(vectors), AS_IS, tmp_path / "data.store")
    assert open_data(tmp_path / "data.store").family.digest == open_data(vectors).family.digest


def test_what_is_no_whole_store_is_told_in_one_line(vectors: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.store"
    stored(str(vectors), AS_IS, file)
    content = file.read_bytes()
    cases = {
        content[:-7]: "ends too early",
        content + b"more": "is too long",
        content.replace(b'"version": "1"', b'"version": "9"', 1): "has version 9",
        content.replace(b'"classes":', b'"glasses":', 1): "is damaged",
        b"something else": "not a kind of data",
    }
    for number, (changed, told) in enumerate(cases.items()):
        other = tmp_path / f"{number}.store"
        other.write_bytes(changed)
        with pytest.raises(DataError, match=told) as caught:
            open_data(other)
        assert "\n" not in str(caught.value)


def test_examples_that_were_changed_are_found_by_looking_at_all(
    vectors: Path, tmp_path: Path
) -> None:
    file = tmp_path / "data.store"
    stored(str(vectors), AS_IS, file)
    checked_store(str(file))
    row = map_file(file)["inputs"][3]
    content = bytearray(file.read_bytes())
    content[content.index(row.numpy().tobytes()) + 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="changed after it was written"):
        checked_store(str(file))


def test_nothing_that_is_written_to_a_tensor_reaches_the_file(
    vectors: Path, tmp_path: Path
) -> None:
    file = tmp_path / "data.store"
    stored(str(vectors), AS_IS, file)
    before = file.read_bytes()
    map_file(file)["inputs"][:] = 0
    assert file.read_bytes() == before


def test_a_source_that_has_changed_is_told(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.store"
    stored(str(folder), AS_IS, file)
    assert not any("has changed since" in note for note in open_data(file).notes)
    (folder / "class02" / "new.png").write_bytes((folder / "class02" / "0.png").read_bytes())
    try:
        assert any("has changed since" in note for note in open_data(file).notes)
    finally:
        (folder / "class02" / "new.png").unlink()


def test_a_store_is_not_read_in_another_way_than_it_was(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.store"
    stored(str(folder), replace(AS_IS, image_size=12), file)
    assert open_data(file, replace(AS_IS, image_size=12)).family.input_format.shape == (3, 12, 12)
    with pytest.raises(DataError, match="built with image size 12, 16 is asked for"):
        open_data(file, replace(AS_IS, image_size=16))
    with pytest.raises(DataError, match="none for backbones"):
        open_data(file, replace(AS_IS, backbone="lite0"))
    assert open_data(file, replace(AS_IS, backbone="auto")).family.views == ("",)


def test_texts_and_functions_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    lines = [f"words of class {n} and {m},c{n}\n" for n in range(12) for m in range(3)]
    table.write_text("text,label\n" + "".join(lines))
    with pytest.raises(DataError, match="has texts; a store"):
        stored(str(table), AS_IS, tmp_path / "data.store")
    with pytest.raises(DataError, match="nothing to store"):
        stored("sinusoid", AS_IS, tmp_path / "data.store")
    assert not (tmp_path / "data.store").exists()
