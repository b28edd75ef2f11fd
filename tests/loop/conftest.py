"""Short runs of the loop, and one finished run that many tests look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metaloop.archive import Archive
from metaloop.catalogue import candidates
from metaloop.catalogue.families import OpenedData
from metaloop.core.budget import parse_budget
from metaloop.core.records import Candidate
from metaloop.loop import Learned, choosing, finishing, learn, repeating
from metaloop.loop.events import LoopEvent
from metaloop.loop.run import Run, describe_data
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import Reading

BUDGET = "160steps"
QUICK = ("nearest_centroid", "protonet", "simpleshot")  # others take seconds to measure
TEST_EPISODES = 300


def run_to_end(events: Iterator[LoopEvent]) -> tuple[list[LoopEvent], dict[str, Any]]:
    """Returns all events and the report of the last one."""
    seen = list(events)
    assert isinstance(seen[-1], Learned)
    return seen, seen[-1].report


def stop_after(polls: int) -> Callable[[], bool]:
    """Returns a `stop` that becomes true when it is asked for the time after `polls`."""
    left = iter(range(polls))
    return lambda: next(left, None) is None


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets runs choose among few learners, and test on fewer episodes: all else is as it is."""

    def quick(*arguments: Any, **options: Any) -> list[Candidate]:
        every = candidates.catalogue_candidates(*arguments, **options)
        return [candidate for candidate in every if candidate.learner.name in QUICK]

    monkeypatch.setattr(choosing, "catalogue_candidates", quick)
    monkeypatch.setattr(finishing, "_TEST_EPISODES", TEST_EPISODES)
    monkeypatch.setattr(repeating, "EPISODES", 100)
    monkeypatch.setattr(repeating, "FINAL_EPISODES", 200)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the runs of a test, as `finished` was."""
    shorten(monkeypatch)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Reading]
) -> tuple[Path, list[LoopEvent], Any]:
    """A run that was never interrupted, on one worker process: folder, events, report."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        events = learn(make(), out=folder, budget=BUDGET, queries=5, workers=1)
        return folder, *run_to_end(events)


@pytest.fixture(scope="session")
def make_short() -> Callable[[], AbstractContextManager[None]]:
    """A context in which runs are as short as `finished`: for fixtures of modules."""

    @contextmanager
    def shortened() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            shorten(monkeypatch)
            yield

    return shortened


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
