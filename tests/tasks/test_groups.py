"""Groups with real targets: read, split, sampled, standardised and known again like classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.families import DataOptions, class_parts, examples_seen, open_data
from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.records import PARTS
from metaloop.engine.evaluation import possible_gain
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.tasks.family import episode_list
from metaloop.tasks.groups import GroupFamily


def frame(
    sizes: Sequence[int] = (9,) * 16, scale: float = 1.0, seed: int = 0, name: str = "g"
) -> dict[str, Any]:
    """Groups of a quadratic function each, in columns."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    slope, bend = rng.normal(size=(2, len(sizes)))
    x = rng.normal(size=(len(groups), 2)).astype(np.float32)
    y = slope[groups] * x[:, 0] + bend[groups] * x[:, 1] ** 2
    names = [f"{name}{group}" for group in groups]
    return {"group": names, "x1": x[:, 0], "x2": x[:, 1], "y": 1000 + scale * y}


def family_of(data: dict[str, Any]) -> GroupFamily:
    family = open_data(data).family
    assert isinstance(family, GroupFamily)
    return family


def test_parts_share_no_group_and_every_group_is_in_one() -> None:
    family = family_of(frame())
    members = np.concatenate([family.parts[part] for part in PARTS])
    assert sorted(members.tolist()) == list(range(16))
    assert [len(family.parts[part]) for part in PARTS] == [4, 4, 4, 4]


def test_a_published_split_stays() -> None:
    data = frame()
    data["split"] = ["test" if int(group[1:]) < 5 else "train" for group in data["group"]]
    family = family_of(data)
    assert {family.store.classes[g].name for g in family.parts["test"]} == {
        f"g{n}" for n in range(5)
    }


def test_an_episode_is_rows_of_one_group_none_twice() -> None:
    family = family_of(frame())
    spec = family.spec(5, 4, 3)
    assert (spec.ways, spec.objective, spec.target_shape) == (0, "regression", (1,))
    episodes = episode_list(family, "test", spec, 40)
    targets = family.store.targets.numpy()
    for support, query, unit in zip(
        episodes.support.examples, episodes.query.examples, episodes.units[:, 0], strict=True
    ):
        rows = [*support.tolist(), *query.tolist()]
        assert len(set(rows)) == 7 and set(targets[rows].tolist()) == {int(unit)}
        assert unit in family.parts["test"]


def test_small_groups_have_masked_queries_and_those_with_too_few_rows_take_no_part() -> None:
    family = family_of(frame(sizes=(3, 6) * 8))
    episodes = episode_list(family, "train", family.spec(5, 2, 10), 60)
    present = episodes.query.mask.sum(axis=1)
    assert set(present.tolist()) == {1, 4} and episodes.support.mask.all()
    small = {i for i, rows in enumerate(family.store.examples_of) if len(rows) == 3}
    larger = episode_list(family, "train", family.spec(5, 4, 10), 60)
    assert not small & set(larger.units.ravel().tolist())
    with pytest.raises(EpisodeError, match="lower --shots to 5"):
        family.spec(5, 6, 1)


def test_targets_are_standardised_by_train_alone_and_told_in_their_own_units() -> None:
    family = family_of(frame(scale=50.0))
    fmt = family.input_format
    train = np.isin(family.store.targets.numpy(), family.parts["train"])
    assert family.store.values is not None
    values = family.store.values.numpy()[train]
    assert fmt.target_mean == pytest.approx([values.mean()])
    assert fmt.target_deviation == pytest.approx([values.std()])
    episodes = episode_list(family, "search", family.spec(5, 4, 4), 20)
    given = episodes.gather(fmt).query.targets
    raw = episodes.real_targets(episodes.query)
    torch.testing.assert_close(fmt.raw_targets(given), raw, rtol=1e-6, atol=1e-4)
    assert given.dtype == torch.float32 and raw.dtype == torch.float64
    asked = episode_list(family, "search", family.spec(5, 4, 4), 100)
    assert possible_gain(family, family.spec(5, 4, 4)) == pytest.approx(
        float(asked.real_targets(asked.query).var(correction=0)), rel=1e-6
    )


def test_the_same_group_twice_is_one_and_a_shared_row_is_none_of_it() -> None:
    data = frame()
    copied = {name: [*values, *values[:9]] for name, values in data.items()}
    copied["group"][-9:] = ["copy"] * 9
    opened = open_data(copied)
    assert isinstance(opened.family, GroupFamily)
    assert len(opened.family.store.classes) == 16
    assert [(item.reason, item.count) for item in opened.left_out] == [("copy of another group", 1)]
    shared = {name: [*values, values[0]] for name, values in data.items()}
    shared["group"][-1] = "g15"
    opened = open_data(shared)
    assert opened.left_out == () and isinstance(opened.family, GroupFamily)
    assert len(opened.family.store) == 16 * 9 + 1


def test_groups_on_the_same_inputs_are_different_groups() -> None:
    grid = np.tile(np.linspace(-1, 1, 9), 16)
    data = frame()
    data["x1"], data["x2"] = grid, grid**2
    data["y"] = np.random.default_rng(1).normal(size=len(grid))
    assert len(family_of(data).store.classes) == 16


def test_a_model_knows_its_groups_again_whatever_they_are_called() -> None:
    family = family_of(frame())
    known = {"parts": class_parts(family), "seen": examples_seen(family)}
    known["input_format"] = family.input_format
    renamed, new = frame(name="other"), frame(seed=5, name="other")
    again = open_data(renamed, **known)
    assert again.recognised is not None
    assert dict(again.recognised.counts) == {
        "unknown": 0, "train": 4, "search": 4, "promotion": 4, "test": 4,
    }  # fmt: skip
    fresh = open_data(new, **known)
    assert fresh.recognised is not None and fresh.recognised.counts["unknown"] == 16
    assert fresh.family.input_format == family.input_format


def test_workers_get_an_equal_family(tmp_path: Path) -> None:
    family = family_of(frame())
    shipped = load_shipped(ship_family(family, tmp_path / "data"))
    assert isinstance(shipped, GroupFamily)
    assert (shipped.digest, shipped.input_format) == (family.digest, family.input_format)
    spec = family.spec(5, 4, 4)
    first, second = (episode_list(each, "test", spec, 10) for each in (family, shipped))
    assert first.list_hash == second.list_hash


def test_a_digest_is_of_targets_too() -> None:
    family = family_of(frame())
    assert family.store.values is not None
    other = replace(family, store=replace(family.store, values=family.store.values + 1))
    assert family.digest != other.digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x1": np.nan}, "1 of 144 rows hold missing, infinite or too large numbers"),
        ({"y": np.inf}, "1 of 144 rows hold missing"),
        ({"x1": 1e300}, "1 of 144 rows hold missing"),
    ],
)
def test_numbers_that_are_none_are_refused_with_their_row(
    change: dict[str, float], says: str
) -> None:
    data = frame()
    for name, value in change.items():
        data[name] = np.array(data[name], np.float64)
        data[name][7] = value
    with pytest.raises(DataError, match=f"{says}.*row 8 "):
        open_data(data)


def test_what_lacks_a_group_or_a_target_is_left_out_and_counted() -> None:
    data = frame()
    data["group"][0] = ""
    data["y"] = np.array(data["y"])
    data["y"][[1, 20]] = np.nan
    data["group"][30] = "alone"
    opened = open_data(data)
    assert [(item.what, item.count) for item in opened.left_out] == [
        ("rows without 'group'", 1),
        ("rows without 'y'", 2),
        ("group 'alone'", 1),
    ]
    with pytest.raises(DataError, match="strict"):
        open_data(data, DataOptions(strict=True))


def test_few_groups_are_refused_with_the_way_to_use_them() -> None:
    with pytest.raises(DataError, match=r"has 7 groups.*metaloop fit MODEL --support"):
        open_data(frame(sizes=(9,) * 7))


def test_a_group_is_a_name_or_a_whole_number() -> None:
    data = frame()
    data["group"] = np.linspace(0, 1, len(data["y"]))
    with pytest.raises(DataError, match="the group 'group' holds measured numbers"):
        open_data(data, DataOptions(columns={"target": "y"}))


def test_measured_numbers_are_no_labels_and_the_error_says_what_they_may_be() -> None:
    data = frame()
    del data["group"]
    with pytest.raises(DataError, match=r"measured numbers.*--columns group=NAME,target=y"):
        open_data(data)
