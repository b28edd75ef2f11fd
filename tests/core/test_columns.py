"""Columns: whatever they are, rows are gathered the same, and segments are as good as one piece."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.column_content import from_tensors, hash_into, row_hashes, to_tensors
from metaloop.core.column_kinds import kind_of
from metaloop.core.columns import (
    Column,
    Lookup,
    Ragged,
    Segments,
    Texts,
    behind,
    chosen,
    described,
    device_of,
    length,
    moved,
    shape_of,
    take,
    whole,
)
from metaloop.core.errors import DataError


def tensors(number: int, seed: int) -> Column:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(number, 3)).astype("f4"))


def texts(number: int, seed: int) -> Column:
    rng = np.random.default_rng(seed)
    return Texts.of(["".join(rng.choice(list("aé字 "), rng.integers(5))) for _ in range(number)])


def ragged(number: int, seed: int) -> Column:
    rng = np.random.default_rng(seed)
    return Ragged.of(
        [torch.zeros(0, 2), *(torch.from_numpy(rng.normal(size=(rng.integers(4), 2)).astype("f4"))
         for _ in range(number))]
    )  # fmt: skip


def fields(number: int, seed: int) -> Column:
    return {"text": texts(number, seed), "numbers": tensors(number, seed)}


def items(number: int, seed: int) -> Column:
    index = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, number))
    return Lookup(texts(3, seed), index)


def looked_up(number: int, seed: int) -> Column:
    return Lookup(tensors(2, seed), torch.arange(number) % 2)


KINDS = {
    "tensors": tensors,
    "texts": texts,
    "ragged": ragged,
    "fields": fields,
    "items": items,
    "looked up": looked_up,
}


def digest(column: Column) -> str:
    sha = hashlib.sha256()
    hash_into(sha, column)
    return sha.hexdigest()


def equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and bool((one == other).all())
    return one == other


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@given(data=st.data())
def test_segments_give_what_one_piece_gives(make: object, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    pieces = [make(size, seed) for seed, size in enumerate(sizes)]  # type: ignore[operator]
    column = behind(pieces)
    joined = whole(column)
    number = length(column)
    assert number == length(joined) == sum(map(length, pieces))
    rows = torch.tensor(data.draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=9)))
    assert equal(take(column, rows), take(joined, rows))
    assert equal(take(chosen(column, rows), torch.arange(len(rows))), take(joined, rows))
    assert digest(column) == digest(joined)
    assert row_hashes(column) == row_hashes(joined)
    assert described(column) == described(joined)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_column_comes_back_from_its_tensors(make: object) -> None:
    column = make(5, 1)  # type: ignore[operator]
    kept = to_tensors(behind([column, column]), "inputs")
    assert all(isinstance(tensor, torch.Tensor) for tensor in kept.values())
    again = from_tensors(kept, "inputs")
    assert digest(again) == digest(behind([column, column]))
    assert digest(again) != digest(column)


def test_rows_of_tensors_have_the_shape_of_the_index() -> None:
    column = torch.arange(12).view(6, 2)
    rows = torch.tensor([[0, 5], [2, 2]])
    assert equal(take(column, rows), column[rows])
    assert equal(take(behind([column[:1], column[1:3], column[3:]]), rows), column[rows])


@given(data=st.data())
def test_looking_up_gives_the_rows_of_the_table_and_its_order_means_nothing(
    data: st.DataObject,
) -> None:
    index = torch.tensor(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=9)))
    order = torch.tensor(data.draw(st.permutations(range(5))))
    table, column = tensors(5, 0), Lookup(tensors(5, 0), index)
    rows = torch.arange(len(index)).flip(0)
    assert equal(take(column, rows), take(table, index[rows]))
    assert shape_of(column) == (3,) and length(column) == len(index)
    other = Lookup(chosen(table, order), order.argsort()[index])
    assert digest(other) == digest(column) and row_hashes(other) == row_hashes(column)
    changed = Lookup(table, (index + 1) % 5)
    assert digest(changed) != digest(column)


def test_a_lookup_keeps_one_table_however_its_pieces_stand_behind_each_other() -> None:
    table = texts(4, 0)
    one = Lookup(table, torch.tensor([0, 1]))
    joined = whole(behind([one, Lookup(table, torch.tensor([3]))]))
    assert isinstance(joined, Lookup) and joined.table is table
    assert kind_of(joined) == "items" and joined.index.tolist() == [0, 1, 3]
    with pytest.raises(DataError, match="texts cannot stand behind items"):
        behind([one, table])


def test_sequences_are_padded_with_zeros_that_the_mask_tells() -> None:
    column = Ragged.of([torch.tensor([1.0, 2.0]), torch.tensor([]), torch.tensor([3.0])])
    taken = column.take(torch.tensor([[2, 0], [1, 1]]))
    assert taken["values"].tolist() == [[[3.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert taken["mask"].tolist() == [[[True, False], [True, True]], [[False, False]] * 2]
    nothing = column.take(torch.tensor([1]))
    assert nothing["values"].shape == (1, 0)


def test_texts_come_back_letter_by_letter() -> None:
    written = ["", "zwei Wörter", "字", "", "\N{GRINNING FACE}\n"]
    assert Texts.of(written).take(torch.arange(5)) == tuple(written)
    with pytest.raises(DataError, match="half of a character"):
        Texts.of(["fine", "\ud800"])


def test_columns_of_two_kinds_do_not_stand_behind_each_other() -> None:
    with pytest.raises(DataError, match=r"texts cannot stand behind inputs of shape \(3,\)"):
        behind([tensors(2, 0), texts(2, 0)])
    with pytest.raises(DataError, match=r"shape \(2,\) cannot stand behind inputs of shape \(3,\)"):
        behind([torch.zeros(1, 3), torch.zeros(1, 2)])


def test_enlarging_copies_nothing_and_keeps_one_level_of_segments() -> None:
    base = torch.zeros(1000, 3)
    once = behind([base, torch.ones(2, 3)])
    twice = behind([once, torch.ones(3, 3)])
    assert isinstance(twice, Segments)
    assert [length(piece) for piece in twice.pieces] == [1000, 2, 3]
    assert twice.pieces[0] is base


def test_two_million_texts_are_used_where_they_lie(tmp_path: object) -> None:
    number = 2_000_000
    path = f"{tmp_path}/texts.bin"
    np.memmap(path, np.uint8, "w+", shape=(8 * number,))[:] = ord("x")
    content = torch.from_numpy(np.memmap(path, np.uint8, "r+"))
    column = Texts(content, torch.arange(8, 8 * number + 1, 8))
    rows = torch.tensor([0, number - 1])
    assert column.take(rows) == ("x" * 8,) * 2
    assert column.utf8.data_ptr() == content.data_ptr()


def test_what_a_column_is_follows_its_pieces() -> None:
    column = behind([torch.zeros(2, 5, 6), torch.zeros(1, 5, 6)])
    assert shape_of(column) == (5, 6)
    assert device_of(moved(column, "cpu")).type == "cpu"
    assert shape_of(texts(2, 0)) == ()
