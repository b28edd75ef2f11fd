"""Records to put into archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metaloop.archive import Archive, DataSet, RunId
from metaloop.core.records import Candidate, Choice, CurvePoint, Plan, Protocol, Result, Trial

BOTH = ["file", pytest.param("server", marks=pytest.mark.long)]  # what an archive may be kept in

_DATA = DataSet(
    hash="d4ta",
    name="omniglot",
    kind="folder of images",
    classes=1623,
    examples=32460,
    parts={"train": ("A", "Ж"), "search": ("B",), "promotion": ("C",), "test": ("D",)},
    left_out={"unreadable image": 2},
)


def _candidate(name: str = "protonet", rate: float = 3e-3, program: str | None = None) -> Candidate:
    return Candidate(
        Choice(name, {"scale": 2.0}),
        Choice("conv4"),
        Plan("episodes", learning_rate=rate, augmentation=Choice("affine", {"degrees": 10})),
        program=program,
    )


def _result(list_hash: str = "list1", value: float = 0.75, episodes: int = 4) -> Result:
    protocol = Protocol("search", 5, 1, 15, "running", list_hash, _DATA.hash)
    return Result("accuracy", value, 0.25, episodes, protocol)


def _finished(identity: str, **changes: object) -> Trial:
    trial = Trial(
        candidate=identity,
        status="finished",
        seed=5,
        steps=200,
        cpu_seconds=12.5,
        wall_seconds=6.5,
        flops=1e20,
        rung=1,
        curve=(CurvePoint(100, 3.0, 0.5), CurvePoint(200, 6.0, 0.25, 0.875)),
        results=(_result("list1"), _result("list2", 0.5)),
        message="",
    )
    return replace(trial, **changes)  # type: ignore[arg-type]


@pytest.fixture
def data_set() -> DataSet:
    return _DATA


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    """Makes a candidate: `name`, `rate` and `program` tell them apart."""
    return _candidate


@pytest.fixture
def result() -> Callable[..., Result]:
    """Makes a result: `list_hash`, `value` and `episodes` tell them apart."""
    return _result


@pytest.fixture
def finished() -> Callable[..., Trial]:
    """Makes the outcome of a trial with seed 5 on rung 1: takes the candidate, then changes."""
    return _finished


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.create(tmp_path / "archive.sqlite") as opened:
        yield opened


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is no archive yet, once as a file and once as a URL."""
    if request.param == "file":
        return str(tmp_path / "shared.sqlite")
    server = request.getfixturevalue("server")
    return str(server.place())


@pytest.fixture
def run(archive: Archive) -> RunId:
    archive.add_data_set(_DATA)
    return archive.begin_run("learn", arguments={"data": "omniglot"}, seed=3, budget="240s")
