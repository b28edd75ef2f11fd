"""Files that went wrong on purpose: mutations of the JSON, the tensors and the zip of a model file.

Each is drawn from a seed and says what it did, whether its hashes were made right again, and
whether what it changed may honestly change what the model predicts.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import select
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CARD, WEIGHTS = "learner.json", "weights.safetensors"
# what a model predicts follows from these fields, and from the numbers in its tensors
DECIDING = ("candidate/learner", "candidate/net", "candidate/program", "input_format")

_SECONDS = 20  # after which a file counts as endless; honest ones take a small part of one

Members = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Case:
    """A file, what was done to it, and whether another prediction would be honest."""

    data: bytes
    done: str
    may_differ: bool
    must_fail: bool = False


def mutated(whole: bytes, rng: random.Random) -> Case:
    """Returns one mutation of a model file."""
    return rng.choice([_json, _json, _json, _tensors, _tensors, _zip, _bytes])(whole, rng)


def odd_value(rng: random.Random) -> Any:
    """Returns a JSON value that few expect."""
    return rng.choice(
        [
            None,
            True,
            False,
            0,
            1,
            -1,
            2,
            5,
            64,
            255,
            65_536,
            10**6,
            10**9,
            10**12,
            2**63,
            -(2**63),
            10**400,
            0.0,
            -0.5,
            0.5,
            1e-300,
            1e300,
            "inf",
            "nan",
            "-inf",
            "",
            "x",
            "protonet",
            "conv4",
            "maml",
            "joined",
            "raw",
            "mlp",
            "program",
            "custom",
            "regression",
            "vector",
            "image",
            "\udcff",
            "a\nb\x00\x1b[2J",
            "Ж" * 3000,
            [],
            {},
            [0],
            [1, 28, 28],
            [[[[]]]],
            {"a": {}},
            [10**9] * 3,
            list(range(2000)),
            _deep(900),
            {"name": "mlp", "options": {"depth": 10**9}},
            {"members": [{"name": "resnet12"}] * 200},
            "def adapt(x, y):\n" + "(" * 5000,
        ]
    )


def _deep(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def _json(whole: bytes, rng: random.Random) -> Case:
    members = _members(whole)
    card = json.loads(dict(members)[CARD])
    card.pop("sha256")
    places = list(_places(card, ""))
    container, key, path = rng.choice(places)
    kind = rng.choice(["value", "value", "value", "drop", "add", "scale", "copy"])
    if kind == "drop":
        del container[key]
    elif kind == "add" and isinstance(container, dict):
        container[rng.choice(["x", "__class__", "options", "depth", "\udc80", ""])] = odd_value(rng)
    elif kind == "scale" and type(container[key]) in (int, float):
        container[key] *= rng.choice([-1, 2, 1000, 10**9])
    elif kind == "copy":
        other, name, _ = rng.choice(places)
        container[key] = other.get(name) if isinstance(other, dict) else other[name]
    else:
        container[key] = odd_value(rng)
    try:
        data = _zipped(_signed(members, card))
    except (ValueError, RecursionError):
        return _bytes(whole, rng)
    return Case(data, f"{kind} {path}", path.lstrip("/").startswith(DECIDING))


def _tensors(whole: bytes, rng: random.Random) -> Case:
    import torch
    from safetensors.torch import load, save

    members = _members(whole)
    member = rng.choice([name for name, _ in members if name != CARD])
    tensors = load(dict(members)[member])
    kind = rng.choice(["drop", "rename", "add", "type", "shape", "nan", "header", "cut", "number"])
    name = rng.choice(sorted(tensors)) if tensors else ""
    changed, must_fail = None, True
    if not tensors and kind not in ("header", "cut"):
        kind = "add"
    if kind == "drop":
        del tensors[name]
        must_fail = not name.startswith("estimator/")  # images that were files have no such range
    elif kind == "rename":
        tensors[name + rng.choice([".", "x", "/a", "\u0436"])] = tensors.pop(name)
    elif kind == "add":
        tensors[rng.choice(["net.x", "buffers.y", "state.9", "estimator/z"])] = torch.ones(3)
    elif kind == "type":
        tensors[name] = tensors[name].to(torch.float16 if name else torch.int8)
    elif kind == "shape":
        tensors[name] = torch.zeros((*tensors[name].shape, 2), dtype=tensors[name].dtype)
    elif kind == "nan" and tensors[name].is_floating_point() and tensors[name].numel():
        tensors[name] = torch.full_like(tensors[name], rng.choice([float("nan"), float("inf")]))
    elif kind in ("header", "cut"):
        data = bytearray(dict(members)[member])
        if kind == "cut":
            changed = bytes(data[: rng.randrange(len(data))])
        else:
            data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
            changed, must_fail = bytes(data), False
    else:
        kind, must_fail = "number", False
        if name and tensors[name].numel() and tensors[name].is_floating_point():
            tensors[name] = tensors[name] * rng.choice([0.0, 1e30, -1.0])
    if changed is None:
        changed = save({key: value.contiguous() for key, value in tensors.items()})
    members = [(n, changed if n == member else data) for n, data in members]
    card = json.loads(dict(members)[CARD])
    card.pop("sha256")
    return Case(_zipped(_signed(members, card)), f"{kind} {member} {name}", True, must_fail)


def _zip(whole: bytes, rng: random.Random) -> Case:
    members = _members(whole)
    kinds: dict[str, Callable[[], bytes]] = {
        "double": lambda: _zipped([*members, rng.choice(members)]),
        "drop": lambda: _zipped(rng.sample(members, len(members) - 1)),
        "path": lambda: _zipped(
            [*members, (rng.choice(["../x", "/etc/x", "C:\\x", "a\x00b"]), b"x")]
        ),
        "bomb": lambda: _zipped(
            [*members[:-1], (members[-1][0], bytes(10**7))], zipfile.ZIP_DEFLATED
        ),
        "pressed": lambda: _zipped(members, rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])),
        "swapped": lambda: _zipped([(CARD, members[-1][1]), (members[-1][0], members[0][1])]),
        "many": lambda: _zipped([*members, *((f"m{k}", b"") for k in range(2000))]),
    }
    kind = rng.choice(sorted(kinds))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, about two of one name
        return Case(kinds[kind](), f"zip {kind}", False, must_fail=True)


def _bytes(whole: bytes, rng: random.Random) -> Case:
    data = bytearray(whole)
    kind = rng.choice(["cut", "flip", "insert", "directory"])
    if kind == "cut":
        return Case(bytes(data[: rng.randrange(len(data))]), "cut", False, must_fail=True)
    if kind == "insert":
        place = rng.randrange(len(data))
        return Case(
            bytes(data[:place] + rng.randbytes(rng.randrange(1, 64)) + data[place:]), kind, False
        )
    start = data.rindex(b"PK\x01\x02") if kind == "directory" else 0
    for _ in range(rng.randrange(1, 5)):
        data[rng.randrange(start, len(data))] = rng.randrange(256)
    return Case(bytes(data), kind, False)


def _places(value: Any, path: str) -> Any:
    """Yields every place of a JSON value: what holds it, its key, its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key, f"{path}/{key}"
        if isinstance(inner, (dict, list)):
            yield from _places(inner, f"{path}/{key}")


def _members(whole: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _signed(members: Members, card: Any) -> Members:
    """Returns the members with hashes that are right: made by someone who knows the format."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in members if name != CARD}
    card = {**card, "sha256": hashes}
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    hashes[CARD] = hashlib.sha256(text.encode()).hexdigest()
    return [(CARD, json.dumps(card).encode()), *(m for m in members if m[0] != CARD)]


def _zipped(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def mutate() -> Callable[[bytes, random.Random], Case]:
    """Makes one mutation of a model file."""
    return mutated


@pytest.fixture(scope="session")
def draw_odd_value() -> Callable[[random.Random], Any]:
    """Draws a JSON value that few expect."""
    return odd_value


class Loader:
    """A process that loads files, and is started again when one was too much for it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> dict[str, Any]:
        """Returns what the process says of a file, or how it ended."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("loading.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], 6 * _SECONDS)
        line = self.process.stdout.readline() if ready else ""
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        self.close()
        return {"bug": "it crashed" if ready else "it never ends"}

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="session")
def loader() -> Iterator[Loader]:
    made = Loader()
    yield made
    made.close()
