"""Short runs of the loop, and one finished run that many tests look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.once import once

from metaloop.archive import Archive
from metaloop.catalogue.families import OpenedData
from metaloop.core.budget import parse_budget
from metaloop.executors.base import Executor
from metaloop.executors.in_process import InProcess
from metaloop.jobs.table import works_in
from metaloop.jobs.workplace import Workplace
from metaloop.loop import Learned, learn
from metaloop.loop.events import LoopEvent
from metaloop.loop.run import Run, describe_data
from metaloop.loop.settings import Settings
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import Reading

BUDGET = "160steps"
QUICK = ("nearest_centroid", "protonet", "simpleshot")  # others take seconds to measure
SHORT = Settings(learners=QUICK, episodes=100, final_episodes=200, test_episodes=300)


def run_to_end(events: Iterator[LoopEvent]) -> tuple[list[LoopEvent], dict[str, Any]]:
    """Returns all events and the report of the last one."""
    seen = list(events)
    assert isinstance(seen[-1], Learned)
    return seen, seen[-1].report


def stop_after(polls: int) -> Callable[[], bool]:
    """Returns a `stop` that becomes true when it is asked for the time after `polls`."""
    left = iter(range(polls))
    return lambda: next(left, None) is None


def in_process(workplace: Workplace, workers: int) -> Executor:
    """Does all work in this process: no time for the start of workers."""
    return InProcess(works_in(workplace))


@pytest.fixture(scope="session")
def short() -> Settings:
    """Lets runs choose among few learners, and measure on fewer episodes: all else is as it is."""
    return SHORT


@pytest.fixture(scope="session")
def here() -> dict[str, Any]:
    """Options of a short run in this process."""
    return {"settings": SHORT, "executor": in_process}


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Reading]
) -> tuple[Path, list[LoopEvent], Any]:
    """A run that was never interrupted, on one worker process: folder, events, report."""
    options: dict[str, Any] = {"budget": BUDGET, "queries": 5, "workers": 1, "settings": SHORT}

    def run(place: Path) -> tuple[Path, list[LoopEvent], Any]:
        folder = place / "run"
        return folder, *run_to_end(learn(make(), out=folder, **options))

    return once(tmp_path_factory, "finished", run)


@pytest.fixture
def make_run(tmp_path: Path, family: ClassFamily) -> Iterator[Callable[..., Run]]:
    """Returns runs of `family` in the folder of the test, with an archive of their own."""
    opened: list[Archive] = []

    def make(name: str = "run", budget: str = BUDGET, queries: int = 5) -> Run:
        folder = tmp_path / name
        folder.mkdir()
        archive = Archive.create(folder / "archive.sqlite")
        opened.append(archive)
        number = archive.begin_run("learn", arguments={"workers": 1}, seed=0, budget=budget)
        archive.add_data_set(describe_data(OpenedData(family, "images")))
        limit, spec = parse_budget(budget), family.spec(5, 1, queries)
        return Run(folder, archive, number, limit, 0, family, spec, lambda: False, tries=(number,))

    yield make
    for archive in opened:
        archive.close()


@pytest.fixture
def tools(make: Callable[..., Reading]) -> Any:
    """`make_reading`, `run_to_end` and `stop_after`, and the budget of `finished`."""
    return SimpleNamespace(
        make_reading=make, run_to_end=run_to_end, stop_after=stop_after, budget=BUDGET
    )
