"""Episodes of classes: disjoint sides, right labels, masked padding, frozen lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.records import PARTS, Part
from metaloop.tasks.episodes import in_turn
from metaloop.tasks.family import ClassFamily, concatenate, episode_list
from metaloop.tasks.store import ClassInfo, Store


def make_family(sizes: list[int], parts: dict[Part, list[int]] | None = None) -> ClassFamily:
    """Returns a family whose inputs tell the class and the example: `[class, number]`."""
    rows = [[float(k), float(i)] for k, size in enumerate(sizes) for i in range(size)]
    targets = torch.tensor([k for k, size in enumerate(sizes) for _ in range(size)])
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(rows)))
    classes = tuple(ClassInfo(f"class {k}") for k in range(len(sizes)))
    store = Store(torch.tensor(rows)[order], targets[order], classes)
    everything = list(range(len(sizes)))
    chosen = {part: np.array((parts or {}).get(part, everything), np.int64) for part in PARTS}
    return ClassFamily("toy", store, chosen)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=5, max_size=12),
    ways=st.integers(2, 5),
    shots=st.integers(1, 4),
    queries=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_every_episode_is_well_formed(
    sizes: list[int], ways: int, shots: int, queries: int, seed: int
) -> None:
    sizes = [*sizes, *[shots + 1] * ways]
    family = make_family(sizes)
    spec = family.spec(ways, shots, queries)
    episodes = family.sample("train", spec, 3, np.random.default_rng(seed))
    batch = episodes.gather(family.input_format)
    assert batch.support.targets.shape == (3, ways * shots)
    assert batch.query.targets.shape == (3, ways * queries)
    assert bool(batch.support.mask.all()) and not batch.support.padded
    assert batch.query.padded == (not bool(batch.query.mask.all()))
    for task in range(3):
        support, query = episodes.support, episodes.query
        used = [
            *support.examples[task][support.mask[task]],
            *query.examples[task][query.mask[task]],
        ]
        assert len(set(used)) == len(used)  # no example twice, none in both sides
        class_of: dict[int, set[float]] = {}
        for side in (batch.support, batch.query):
            for row, label, real in zip(
                side.inputs[task], side.targets[task], side.mask[task], strict=True
            ):
                if real:
                    class_of.setdefault(int(label), set()).add(float(row[0]))
        assert sorted(class_of) == list(range(ways))
        assert all(len(classes) == 1 for classes in class_of.values())
        assert len(set.union(*class_of.values())) == ways
        for label, (index,) in class_of.items():
            real_queries = int(batch.query.mask[task][batch.query.targets[task] == label].sum())
            assert real_queries == min(queries, sizes[int(index)] - shots)


def test_classes_are_drawn_uniformly() -> None:
    family = make_family([8] * 10)
    episodes = family.sample("train", family.spec(3, 1, 2), 4000, np.random.default_rng(0))
    drawn = family.store.targets[torch.from_numpy(episodes.support.examples)]
    counts = torch.bincount(drawn.flatten(), minlength=10)
    assert float((counts / 1200 - 1).abs().max()) < 0.12


def test_frozen_lists_depend_on_content_and_spec_alone() -> None:
    family, again = make_family([9] * 8), make_family([9] * 8)
    spec = family.spec(3, 2, 4)
    np.random.default_rng(0).random(5)
    torch.rand(3)
    first = episode_list(family, "test", spec, 130)
    assert first.list_hash == episode_list(again, "test", spec, 130).list_hash
    renamed = ClassFamily("another name", again.store, again.parts)
    assert first.list_hash == episode_list(renamed, "test", spec, 130).list_hash
    others = [
        episode_list(family, "search", spec, 130),
        episode_list(family, "test", family.spec(3, 2, 5), 130),
        episode_list(family, "test", family.spec(4, 2, 4), 130),
        episode_list(family, "test", spec, 129),
        episode_list(make_family([9] * 7 + [10]), "test", spec, 130),
    ]
    assert len({first.list_hash, *(other.list_hash for other in others)}) == 6


@pytest.mark.parametrize("short", [1, 60, 100, 150])
def test_a_longer_list_begins_with_the_shorter(short: int) -> None:
    family = make_family([9] * 8)
    spec = family.spec(3, 2, 4)
    few, many = (episode_list(family, "search", spec, number) for number in (short, 250))
    assert (len(few), len(many)) == (short, 250)
    assert few.list_hash == many[:short].list_hash


def test_stores_that_differ_are_joined() -> None:
    families = [make_family([4] * 4), make_family([6] * 4)]
    spec = families[0].spec(2, 1, 2)
    blocks = [f.sample("train", spec, 2, np.random.default_rng(1)) for f in families]
    joined = concatenate(blocks)
    gathered = joined.gather(families[0].input_format)
    for task, block in ((0, blocks[0]), (2, blocks[1])):
        alone = block.gather(families[0].input_format)
        assert torch.equal(gathered.query.inputs[task], alone.query.inputs[0])  # type: ignore[index]


def test_lists_take_turns_and_the_shorter_tasks_are_padded() -> None:
    family = make_family([12] * 6)
    lists = [episode_list(family, "search", family.spec(3, shots, 2), 4) for shots in (1, 5)]
    turns = in_turn(lists)
    assert len(turns) == 8
    assert turns.support.mask.sum(1).tolist() == [3, 15] * 4
    for place, each in enumerate(lists):
        for side, alone in ((turns.support, each.support), (turns.query, each.query)):
            number = alone.examples.shape[1]
            np.testing.assert_array_equal(side.examples[place::2, :number], alone.examples)
            np.testing.assert_array_equal(side.labels[place::2, :number], alone.labels)
            assert not side.mask[place::2, number:].any()
