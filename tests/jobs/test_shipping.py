"""Families for workers: equal before and after, mapped, whole or not there, damage is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.core.errors import DataError, MetaloopError, OutputError
from metaloop.core.inputs import InputFormat
from metaloop.core.records import PARTS
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.tasks.family import ClassFamily, Enlargement, TaskFamily, class_family, episode_list
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import ClassInfo, Reading, Store
from metaloop.tasks.synthetic_tables import SyntheticTables


def make_family(kind: str = "image", num_classes: int = 24, size: int = 6) -> ClassFamily:
    rng = np.random.default_rng(0)
    shape = (3, 8, 8) if kind == "image" else (5,)
    numbers = rng.integers(0, 256, (num_classes * size, *shape))
    inputs = torch.from_numpy(numbers.astype(np.uint8 if kind == "image" else np.float32))
    targets = torch.from_numpy(rng.permutation(np.repeat(np.arange(num_classes), size)))
    classes = tuple(ClassInfo(f"Ж {k}", group=f"g{k % 3}") for k in range(num_classes))
    return class_family(Reading("toy", "a test", Store(inputs, targets, classes, "ink")))[0]


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_a_shipped_family_gives_the_same_episodes(tmp_path: Path, kind: str) -> None:
    family = make_family(kind)
    shipped = load_shipped(ship_family(family, tmp_path / "data"))
    assert isinstance(shipped, ClassFamily)
    assert (shipped.name, shipped.digest) == (family.name, family.digest)
    assert shipped.input_format == family.input_format
    assert shipped.store.classes == family.store.classes
    assert shipped.store.polarity == family.store.polarity
    torch.testing.assert_close(shipped.store.inputs, family.store.inputs, rtol=0, atol=0)
    spec = family.spec(2, 1, 2)
    assert shipped.spec(2, 1, 2) == spec
    for part in PARTS:
        ours, theirs = (episode_list(f, part, spec, 20) for f in (family, shipped))
        assert ours.list_hash == theirs.list_hash
        one = ours.gather(family.input_format).query.inputs
        other = theirs.gather(shipped.input_format).query.inputs
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_examples_are_mapped_from_the_file_and_aligned(tmp_path: Path, size: int) -> None:
    path = ship_family(make_family(size=size), tmp_path / "data")
    family = load_shipped(path)
    assert isinstance(family, ClassFamily)
    address = family.store.inputs.data_ptr()
    assert address % 64 == 0
    mapped = [
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if int(line.split("-")[0], 16) <= address < int(line.split()[0].split("-")[1], 16)
    ]
    assert mapped == [str((path / "inputs.safetensors").resolve())]


def test_a_format_that_was_given_stays(tmp_path: Path) -> None:
    family = make_family("vector")
    given = InputFormat("vector", (5,), (0.1,) * 5, (3.0,) * 5)
    other = ClassFamily(family.name, family.store, family.parts, given)
    assert other.digest == family.digest
    assert load_shipped(ship_family(other, tmp_path / "data")).input_format == given


def test_inputs_in_any_memory_order_are_shipped(tmp_path: Path) -> None:
    family = make_family()
    last = family.store.inputs.to(memory_format=torch.channels_last)
    store = Store(last, family.store.targets, family.store.classes, family.store.polarity)
    turned = ClassFamily(family.name, store, family.parts)
    assert load_shipped(ship_family(turned, tmp_path / "data")).digest == family.digest


@pytest.mark.parametrize("family", [SinusoidFamily("waves"), SyntheticTables("small")])
def test_what_is_drawn_is_shipped_by_name(tmp_path: Path, family: TaskFamily) -> None:
    shipped = load_shipped(ship_family(family, tmp_path / "data"))
    assert shipped == family
    spec = family.spec(3, 5, 5)
    ours, theirs = (episode_list(f, "search", spec, 20) for f in (family, shipped))
    assert ours.list_hash == theirs.list_hash


def test_a_family_is_written_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = ship_family(make_family(), tmp_path / "data")
    before = (path / "inputs.safetensors").stat().st_mtime_ns
    assert ship_family(make_family(), tmp_path / "data") == path
    assert (path / "inputs.safetensors").stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [path]


def test_another_family_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = ship_family(make_family(), tmp_path / "data")
    mapped = load_shipped(path)
    other = make_family("vector")
    assert load_shipped(ship_family(other, path)).digest == other.digest
    assert isinstance(mapped, ClassFamily)  # whoever has the old one goes on
    torch.testing.assert_close(mapped.store.inputs, make_family().store.inputs, rtol=0, atol=0)


def test_what_a_worker_writes_stays_with_it(tmp_path: Path) -> None:
    path = ship_family(make_family(), tmp_path / "data")
    one, other = load_shipped(path), load_shipped(path)
    assert isinstance(one, ClassFamily) and isinstance(other, ClassFamily)
    one.store.inputs.zero_()
    assert int(other.store.inputs.max()) > 0
    assert load_shipped(path).digest == make_family().digest


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write the data for workers in") as caught:
        ship_family(make_family(), tmp_path / "file" / "data")
    assert "\n" not in str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def rename_field(path: Path) -> None:
    path.write_text(path.read_text().replace('"polarity"', '"polarities"'))


def raise_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("inputs.safetensors", cut),
        ("inputs.safetensors", flip),
        ("inputs.safetensors", Path.unlink),
        ("index.safetensors", cut),
        ("index.safetensors", flip),
        ("family.json", cut),
        ("family.json", rename_field),
        ("family.json", raise_version),
        ("family.json", Path.unlink),
    ],
)
def test_damage_is_refused_in_one_line(tmp_path: Path, name: str, damage: Any) -> None:
    path = ship_family(make_family(), tmp_path / "data")
    damage(path / name)
    with pytest.raises(DataError, match=r"cannot be read .*remove that folder$") as caught:
        load_shipped(path)
    assert "\n" not in str(caught.value)


def test_a_family_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    class Unknown(TaskFamily):
        digest = input_format = spec = sample = to = None  # type: ignore[assignment]

    with pytest.raises(MetaloopError, match="class Unknown cannot be given to worker processes"):
        ship_family(Unknown(), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_family_with_generated_classes_is_refused(tmp_path: Path) -> None:
    family = make_family()
    enlarged = replace(family, enlargement=Enlargement(family, 0.5))
    with pytest.raises(ValueError, match="generated classes"):
        ship_family(enlarged, tmp_path / "data")
