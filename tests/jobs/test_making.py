"""Generated families are made once for all workers, mapped by each, and equal those in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.core.errors import DataError, OutputError
from metaloop.generators.filtering import Verdict
from metaloop.generators.generate import Made, generate
from metaloop.generators.recipes import NOTHING_GENERATED, parse_recipe
from metaloop.jobs import making
from metaloop.jobs.making import made_family, remove_unfinished
from metaloop.jobs.workplace import prepare
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.merging import merge
from metaloop.tasks.store import ClassInfo, Store

RECIPE = parse_recipe("rotate(90) . mix(0.3)")
PROGRAM = Path(__file__).parent / "program_that_makes_a_family.py"


class EverySecond:
    """Keeps every second class, and counts how often it is asked."""

    def __init__(self, keeps: Callable[[int], bool] = lambda place: place % 2 == 0) -> None:
        self.asked = 0
        self.keeps = keeps

    def __call__(self, source: ClassFamily, made: Made) -> Verdict:
        self.asked += 1
        number = sum(map(len, made.pieces))
        kept = tuple(place for place in range(number) if self.keeps(place))
        return Verdict(kept, too_easy=number - len(kept))


def make(folder: Path, family: ClassFamily, useful: Any = None, **options: Any) -> ClassFamily:
    values = {"facts": ["data"], "others": [], "recipe": RECIPE, "seed": 3, **options}
    return made_family(folder, base=family, useful=useful, **values)


def test_a_made_family_is_byte_for_byte_the_one_in_memory(family: Any, tmp_path: Path) -> None:
    made, expected = make(tmp_path, family), generate(family, RECIPE, 3)
    assert made.digest == expected.digest
    assert made.enlargement is not None and expected.enlargement is not None
    assert made.enlargement.base is family
    assert made.enlargement.left_out == expected.enlargement.left_out
    assert made.input_format == expected.input_format
    assert len(made.parts["train"]) > 2 * len(family.parts["train"])


def test_only_classes_that_the_verdict_keeps_are_there(family: Any, tmp_path: Path) -> None:
    made, every = make(tmp_path, family, EverySecond()), generate(family, RECIPE, 3)
    first = len(family.store.classes)
    assert made.store.classes[first:] == every.store.classes[first::2]
    for index, info in enumerate(made.store.classes):
        (place,) = [i for i, other in enumerate(every.store.classes) if other == info]
        mine = made.store.taken(made.store.examples_of[index])
        assert torch.equal(mine, every.store.taken(every.store.examples_of[place]))
    assert [(item.reason, item.count) for item in made.enlargement.left_out][-1][0] == "too easy"  # type: ignore[union-attr]


def test_who_comes_while_another_makes_the_same_waits_for_it(family: Any, tmp_path: Path) -> None:
    useful = EverySecond()
    with ThreadPoolExecutor(4) as pool:
        families = list(pool.map(lambda _: make(tmp_path, family, useful), range(8)))
    assert useful.asked == 1
    assert len({made.digest for made in families}) == 1


def test_what_decides_a_family_decides_which_one_comes_back(family: Any, tmp_path: Path) -> None:
    useful = EverySecond()
    for options in ({}, {"seed": 4}, {"facts": ["data", "node 7"]}, {}, {"seed": 4}):
        make(tmp_path, family, useful, **options)
    assert useful.asked == 3


def test_a_verdict_outlives_the_examples(family: Any, tmp_path: Path) -> None:
    useful = EverySecond()
    first = make(tmp_path, family, useful)
    make(tmp_path, family, useful, seed=4, most_bytes=1)  # it takes the other's place
    assert len(list(tmp_path.glob("*/inputs.safetensors"))) == 1
    assert useful.asked == 2
    assert make(tmp_path, family, useful).digest == first.digest
    assert useful.asked == 2


def test_if_nothing_is_of_use_the_family_itself_remains_and_nobody_asks_again(
    family: Any, tmp_path: Path
) -> None:
    useful = EverySecond(lambda place: False)
    assert make(tmp_path, family, useful) is family
    assert make(tmp_path, family, useful) is family
    assert useful.asked == 1


def test_classes_of_other_families_come_first_and_the_share_means_the_targets(
    family: Any, make: Any, tmp_path: Path
) -> None:
    from metaloop.tasks.family import class_family  # its name is a fixture's here

    other = class_family(make(seed=5))[0]
    merged = merge(family, [other])
    plain = parse_recipe(NOTHING_GENERATED, ("other",))
    shared = made_family(tmp_path, ["data"], family, [other], plain, 0)
    assert shared.store.digest == merged.store.digest
    assert shared.original is family
    both = made_family(tmp_path, ["data", "more"], family, [other], parse_recipe("rotate(90)"), 0)
    expected = generate(merged, parse_recipe("rotate(90)"), 0)
    assert both.store.digest == expected.store.digest
    assert both.original is family
    useless = EverySecond(lambda place: False)
    alone = made_family(
        tmp_path, ["data", "1"], family, [other], parse_recipe("rotate(90)"), 0, useless
    )
    assert alone.store.digest == merged.store.digest and alone.original is family


def test_what_fails_leaves_nothing_and_says_why(family: Any, tmp_path: Path) -> None:
    def breaks(source: ClassFamily, made: Made) -> Verdict:
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        make(tmp_path, family, breaks)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write generated data"):
        make(tmp_path / "file", family)


def test_what_a_killed_process_left_is_removed(family: Any, tmp_path: Path) -> None:
    made = make(tmp_path, family)
    left = tmp_path / f"{making._UNFINISHED}x"
    left.mkdir()
    (left / "0.safetensors").write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert not left.exists()
    assert make(tmp_path, family).digest == made.digest


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory in /proc")
def test_a_worker_holds_the_data_once_and_what_it_made_not_at_all(tmp_path: Path) -> None:
    """Bytes: while it makes a family at most half as much again as the data, then almost none."""
    inputs = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (60 * 120, 3, 48, 48), dtype=np.uint8)
    )
    infos = tuple(ClassInfo(str(index)) for index in range(60))
    order = np.arange(60)
    parts: Any = {"train": order[:30], "search": order[30:40], "promotion": order[40:50]}
    store = Store(inputs, torch.arange(60).repeat_interleave(120), infos)
    noise = ClassFamily("noise", store, {**parts, "test": order[50:]})
    prepare(tmp_path, noise, noise.spec(5, 1, 5))
    run = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    data, most, held = map(int, run.stdout.split())
    assert data > 100e6
    assert most < 1.5 * data
    assert held < 0.1 * data
