"""Pickles are read as data: what Python's own reader makes of them, or an error; never code."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import pickle
import pickletools
import subprocess
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.pickled import UnsafePickleError, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.binary(), inner)
    ),
    max_leaves=20,
)


@given(nested, st.sampled_from(PROTOCOLS))
def test_plain_values_are_read_as_python_reads_them(value: Any, protocol: int) -> None:
    assert repr(read_pickle(pickle.dumps(value, protocol))) == repr(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["|b1", "u1", "<i2", ">i4", "<i8", "<f2", "<f4", ">f8"])
def test_arrays_are_read_as_python_reads_them(kind: str, protocol: int) -> None:
    by_rows = (np.arange(24).reshape(2, 3, 4) % 5).astype(kind)
    for array in (by_rows, np.asfortranarray(by_rows), by_rows[:, 1], np.empty((0, 3), kind)):
        read = read_pickle(pickle.dumps({"data": [array, array]}, protocol))["data"]
        assert read[0].dtype == array.dtype.newbyteorder("=")
        assert read[0].shape == array.shape
        assert np.array_equal(read[1], array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_of_numpy_are_numbers(protocol: int) -> None:
    assert read_pickle(pickle.dumps([np.int64(3), np.float32(0.5)], protocol)) == [3, 0.5]


def test_strings_and_arrays_of_python_2_are_read() -> None:
    """As `cifar-10-batches-py` has them."""
    old = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01"
        b"\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06\x00\x01\x02"
        b"\xfd\xfe\xfftbU\x06labelsq\x08]q\t(K\x06K\x09eu."
    )
    read = read_pickle(old)
    assert read["data"].tolist() == [[0, 1, 2], [253, 254, 255]]
    assert read["labels"] == [6, 9]


class _Runs:
    """Pickled, it is a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_with_code_is_refused_and_does_nothing(protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    hostile = {
        "system": _Runs(os.system, f"touch {trace}"),
        "eval": _Runs(eval, f"open({str(trace)!r}, 'w')"),
        "exec": _Runs(exec, f"open({str(trace)!r}, 'w')"),
        "getattr": _Runs(getattr, "", "join"),
        "popen": _Runs(subprocess.Popen, ["touch", str(trace)]),
        "import": _Runs(__import__, "antigravity"),
        "nested": [{"deep": (1, [_Runs(os.mkdir, str(trace))])}],
        "numpy": _Runs(np.load, str(trace)),
        "argument": _Runs(np.dtype, _Runs(os.system, f"touch {trace}")),
    }
    for name, value in hostile.items():
        with pytest.raises(UnsafePickleError, match=r"asks for|unknown"):
            read_pickle(pickle.dumps(value, protocol))
        assert not trace.exists(), name


@pytest.mark.parametrize(
    "value",
    [{1, 2}, datetime.date(2020, 1, 1), 1j, OrderedDict(a=1), np.array([{}, "x"]), Path("x"),
     np.array(["a"]), np.zeros(2, [("a", "i4")]), np.dtype("f4"), np.ndarray, range(3), min,
     {(1, 2): 3}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_more_than_data_is_refused(value: Any, protocol: int) -> None:
    with pytest.raises(UnsafePickleError):
        read_pickle(pickle.dumps(value, protocol))


_HUGE = (1 << 62).to_bytes(8, "little")
_ARRAY = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
_U1 = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04",
        b"N",
        b"NN.",
        b"(.",
        b"\x80\x04\x8d" + _HUGE + b"x.",  # text of 2^62 bytes
        b"\x80\x04\x8e" + _HUGE + b"x.",  # bytes
        b"\x80\x05\x96" + _HUGE + b"x.",
        b"\x80\x02\x8b\xff\xff\xff\x7fx.",  # a number of 2 GB
        _ARRAY + b"(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86" + _U1 + b"\x89U\x01xtb.",
        _ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + _U1 + b"\x89U\x01xtb.",  # a shape of -1
        _ARRAY + b"(K\x01K\x00\x8a\x09" + b"\x7f" * 9 + b"\x86" + _U1 + b"\x89U\0tb.",
        _ARRAY + b"(K\x01K\x01\x85N\x89](Netb.",  # objects
        b"h\x00.",  # a memo that is not there
        b"g123456\n.",
        b"K\x01r\xff\xff\xff\xff0.",
        b"]a.",
        b"K\x01K\x02a.",
        b"}K\x01s.",
        b"](h\x00K\x01u.",
        b"K\x01K\x02R.",
        b"cos\nsystem\n.",
        b"ios\nsystem\n.",
        b"(S'x'\nios\nsystem\n.",
        b"(cos\nsystem\nS'x'\no.",
        b"\x80\x02c__builtin__\neval\n)\x81.",
        b"\x82\x01.",
        b"Pelsewhere\n.",
        b"Nb.",
        b"K\x01Q.",
        b"\x80\x04\x97.",
        b"\x80\x04K\x01K\x02\x93.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"}]Ns.",  # a list as a key
        b"cnumpy\nndarray\n(K\x05tR.",
        b"cnumpy\ndtype\n(S'O8'\nK\x00K\x01tR.",
        b"I" + b"9" * 10_000 + b"\n.",
    ],
)  # fmt: skip
def test_damaged_and_hostile_steps_are_refused(data: bytes) -> None:
    with pytest.raises(UnsafePickleError):
        read_pickle(data)


def test_a_frame_that_is_too_long_changes_nothing() -> None:
    assert read_pickle(b"\x80\x04\x95" + _HUGE + b"N.") is None


def test_values_that_contain_themselves_a_million_times_take_no_time() -> None:
    doubled = b"\x80\x02)" + b"".join(
        b"q" + bytes([place]) + b"h" + bytes([place]) + b"\x86" for place in range(100)
    )
    began = time.process_time()
    read_pickle(doubled + b".")
    with pytest.raises(UnsafePickleError, match="keys"):  # to hash it would take for ever
        read_pickle(b"}" + doubled[2:] + b"Ns.")
    itself = read_pickle(b"\x80\x02]q\x00h\x00a.")
    assert itself[0] is itself
    assert time.process_time() - began < 1


def test_a_pickle_is_cut_anywhere_and_refused() -> None:
    whole = pickle.dumps({"data": np.arange(20, dtype=np.uint8), "labels": [1, 2, 3]}, 2)
    for end in range(len(whole)):
        with pytest.raises(UnsafePickleError):
            read_pickle(whole[:end])


@given(st.data())
def test_whatever_bytes_are_exchanged_nothing_else_escapes(data: st.DataObject) -> None:
    value = {"data": np.arange(6, dtype=np.int16).reshape(2, 3), "names": [b"a", "b"], "n": 2.5}
    content = bytearray(pickle.dumps(value, data.draw(st.sampled_from(PROTOCOLS))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafePickleError):
        read_pickle(bytes(content))


def test_every_step_of_the_real_picklers_is_one_that_is_known() -> None:
    value = {"a": [1, (2, 3.5), None, True, b"x" * 300, "y" * 300, 1 << 5000], "d": np.ones(3)}
    for protocol in PROTOCOLS:
        names = {
            op.name for op, _, _ in pickletools.genops(io.BytesIO(pickle.dumps(value, protocol)))
        }
        assert len(names) > 5
        read_pickle(pickle.dumps(value, protocol))
