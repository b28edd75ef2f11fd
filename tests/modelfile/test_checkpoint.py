"""Weights of others are read as tensors, from all kinds of files; whatever else is in them, not."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from metaloop.core.errors import DataError
from metaloop.modelfile.checkpoint import hash_of_weights, read_weights


def _tensors() -> OrderedDict[str, Tensor]:
    base = torch.arange(24.0).reshape(4, 6)
    return OrderedDict(
        {
            "b.weight": base,
            "a.view": base[1:3, ::2].t(),
            "half": base.half(),
            "bfloat": base.bfloat16(),
            "count": torch.tensor(7),
            "none": torch.empty(0, 3),
            "flags": base > 3,
            **{str(k): base.to(k) for k in (torch.float64, torch.int32, torch.int16, torch.int8)},
        }
    )


def _new(tensors: Any, path: Path) -> None:
    torch.save(tensors, path)


def _old(tensors: Any, path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def _safe(tensors: Any, path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


@pytest.mark.parametrize("write", [_new, _old, _safe])
def test_all_tensors_are_read_as_torch_reads_them(
    write: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    tensors, path = _tensors(), tmp_path / "weights"
    if write is _safe:
        tensors = OrderedDict((name, each.clone()) for name, each in tensors.items())
    write(tensors, path)
    read = read_weights(path)
    assert list(read) == list(tensors) if write is not _safe else set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
    assert hash_of_weights(read) == hash_of_weights(tensors)


@pytest.mark.parametrize("write", [_new, _old])
def test_a_net_is_found_within_a_training_checkpoint(
    write: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    beside = {"epoch": 3, "arch": "small", "best": 0.5, "none": None, "sizes": torch.Size([2, 3])}
    write({**beside, "state_dict": net.state_dict()}, tmp_path / "weights")
    read = read_weights(tmp_path / "weights")
    assert list(read) == list(net.state_dict())
    write(dict(net.named_parameters()), tmp_path / "parameters")
    assert torch.equal(read_weights(tmp_path / "parameters")["0.weight"], net[0].weight)


def test_the_hash_hangs_on_names_shapes_and_numbers() -> None:
    one = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3).half()},
        {"a": torch.ones(2, 3)},
    ]
    assert len({hash_of_weights(each) for each in [one, *others]}) == 5
    assert hash_of_weights({"a": torch.zeros(3, 2).t()}) == hash_of_weights(one)


class _Runs:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("write", [_new, _old])
def test_a_checkpoint_with_code_is_refused_and_does_nothing(
    write: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    trace, path = tmp_path / "trace", tmp_path / "weights"
    hidden = _Runs(os.mkdir, str(trace))
    for state in (hidden, {**_tensors(), "x": hidden}, {"state_dict": _tensors(), "x": [hidden]}):
        write(state, path)
        with pytest.raises(DataError, match=r"asks for 'posix.mkdir'; it was not run") as error:
            read_weights(path)
        assert "\n" not in str(error.value)
        assert not trace.exists()


@pytest.mark.parametrize("write", [_new, _old])
def test_a_whole_net_is_refused(write: Callable[[Any, Path], None], tmp_path: Path) -> None:
    write(nn.Linear(2, 2), tmp_path / "weights")
    with pytest.raises(DataError, match=r"asks for 'torch.nn.modules.linear.Linear'"):
        read_weights(tmp_path / "weights")


def test_a_plain_pickle_with_code_is_refused(tmp_path: Path) -> None:
    for protocol in range(6):
        path = tmp_path / f"weights{protocol}.pth"
        path.write_bytes(pickle.dumps(_Runs(os.mkdir, str(tmp_path / "trace")), protocol))
        with pytest.raises(DataError, match=r"no file of weights|asks for"):
            read_weights(path)
        assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("write", [_new, _old, _safe])
def test_a_file_is_cut_anywhere_and_refused(
    write: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    write({"a": torch.ones(40), "b": torch.zeros(3, 5)}, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for end in [*range(0, len(whole), 7), len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(DataError) as error:
            read_weights(tmp_path / "cut")
        assert "\n" not in str(error.value)


@given(st.data())
def test_whatever_bytes_are_exchanged_nothing_else_escapes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "exchanged"
    data.draw(st.sampled_from([_new, _old, _safe]))({"a": torch.ones(4), "b": torch.ones(2)}, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read_weights(path)


def test_a_zip_whose_numbers_would_lie_behind_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    _new({"a": torch.ones(4)}, path)
    content = bytearray(path.read_bytes())
    head = content.index(b"data/0") - len("weights/") - 30  # of this storage, its header
    assert content[head : head + 4] == b"PK\3\4"
    content[head + 28 : head + 30] = b"\xff\xff"  # so many bytes lie between it and the numbers
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged file of weights \(it ends too early\)"):
        read_weights(path)


def _described(shape: bytes, strides: bytes, count: bytes) -> bytes:
    """A pickle of one tensor, in the words of torch."""
    return (
        b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
        b"FloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu" + count + b"tQK\0" + shape + strides
        + b"\x89}tRs."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "strides", "count", "told"),
    [
        (b"J\xff\xff\xff\x7f\x85", b"K\x01\x85", b"K\x02", "larger than their numbers"),
        (b"J\xff\xff\xff\x7f\x85", b"K\0\x85", b"K\x02", "larger than their numbers"),  # repeated
        (b"K\x02\x85", b"K\x01\x85", b"J\xff\xff\xff\x7f", "more numbers than it has"),
        (b"J\xff\xff\xff\xff\x85", b"K\x01\x85", b"K\x02", "without a shape"),
        (b"K\x02\x85", b"K\x05\x85", b"K\x02", "larger than their numbers"),
        (b"K\x02\x85", b"K\x01K\x01\x86", b"K\x02", "without a shape"),
        (b"K\0J\xff\xff\xff\x7f\x86", b"K\x01K\x01\x86", b"K\x02", "absurd shape"),
        (b"K\x02\x85", b"K\x01\x85", b"K\x03", "not as long as declared"),
        (b"X\x01\0\0\0a", b"K\x01\x85", b"K\x02", "without a shape"),
    ],
)
def test_a_tensor_that_is_larger_than_its_file_is_refused_before_it_is_made(
    shape: bytes, strides: bytes, count: bytes, told: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "weights", "w") as archive:
        archive.writestr("x/data.pkl", _described(shape, strides, count))
        archive.writestr("x/data/0", struct.pack("<2f", 1, 2))
    with pytest.raises(DataError, match=told):
        read_weights(tmp_path / "weights")


def test_a_described_tensor_is_read_where_its_sizes_are_right(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights", "w") as archive:
        archive.writestr("x/data.pkl", _described(b"K\x02\x85", b"K\x01\x85", b"K\x02"))
        archive.writestr("x/data/0", struct.pack("<2f", 1, 2))
    assert read_weights(tmp_path / "weights")["a"].tolist() == [1, 2]


def test_a_compressed_zip_is_refused(tmp_path: Path) -> None:
    """So that a small file cannot become a large one."""
    packed = io.BytesIO()
    torch.save({"a": torch.zeros(100)}, packed)
    with (
        zipfile.ZipFile(packed) as source,
        zipfile.ZipFile(tmp_path / "weights", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(DataError, match="compressed"):
        read_weights(tmp_path / "weights")


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(10 << 30)  # sparse: it takes no room
    with pytest.raises(DataError, match=r"has 10\.7 GB; weights of at most 8\.6 GB"):
        read_weights(tmp_path / "weights")


@pytest.mark.parametrize(
    ("state", "told"),
    [({}, "no tensors"), ({1: torch.ones(2)}, "by name"), ([torch.ones(2)], "by name"),
     ({"a": 3}, "no tensors"), (torch.ones(2), "by name")],
    ids=["empty", "numbered", "list", "numbers", "tensor"],
)  # fmt: skip
def test_what_has_no_tensors_by_name_is_refused(state: Any, told: str, tmp_path: Path) -> None:
    for write in (_new, _old):
        write(state, tmp_path / "weights")
        with pytest.raises(DataError, match=told):
            read_weights(tmp_path / "weights")


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_weights(tmp_path / "nothing")
    with pytest.raises(DataError, match="directory"):
        read_weights(tmp_path)
