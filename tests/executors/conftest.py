"""Workers with odd works, executors that have them, and what tests of them do again and again."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metaloop.executors import local_pool, worker_process
from metaloop.executors.base import Executor, Job, Outcome
from metaloop.executors.in_process import InProcess
from metaloop.executors.local_pool import LocalPool
from metaloop.executors.luggage import FOLDER, Luggage
from metaloop.executors.ray_pool import RayPool

WORKER = Path(__file__).with_name("worker_with_odd_works.py")
PATIENCE = 240.0  # seconds until a test gives up on something that takes a moment

StartPool = Callable[..., LocalPool]
StartRayPool = Callable[..., RayPool]


@pytest.fixture
def start_pool(tmp_path: Path) -> Iterator[StartPool]:
    """Starts pools of workers with odd works; they are closed when the test ends."""
    pools: list[LocalPool] = []

    def start(num_workers: int = 1, **options: Any) -> LocalPool:
        command = [sys.executable, str(WORKER), str(tmp_path)]
        pools.append(LocalPool(**{"command": command, "num_workers": num_workers, **options}))
        return pools[-1]

    yield start
    for pool in pools:
        pool.close()


class Clock:
    """The clock of pools, which a test sets forward where it would have to wait."""

    sleep = staticmethod(time.sleep)

    def __init__(self) -> None:
        self.ahead = 0.0  # seconds

    def monotonic(self) -> float:
        """What time it is for a pool and its workers."""
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which pools of this test end jobs: minutes pass when it says so."""
    made = Clock()
    for module in (local_pool, worker_process):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def start_ray_pool(cluster: Any, tmp_path: Path) -> Iterator[StartRayPool]:
    """Starts workers with odd works on the cluster; they are gone when the test ends."""
    pools: list[RayPool] = []

    def start(num_workers: int = 1, **options: Any) -> RayPool:
        (tmp_path / "given").mkdir(exist_ok=True)
        (tmp_path / "given" / "data").write_text("data")
        files = {"read": lambda name: (tmp_path / name).read_bytes()}
        needs = lambda job: job.arguments.get("names", ())  # noqa: E731
        files["write"] = lambda name, content: (tmp_path / name).write_bytes(content)
        given = Luggage((str(WORKER), FOLDER), tmp_path, ("given",), ("made",), needs, **files)
        pools.append(RayPool(given, num_workers, **options))
        return pools[-1]

    yield start
    for pool in pools:
        pool.close()


ON_RAY = pytest.param("ray", marks=pytest.mark.long)


@pytest.fixture(params=["pool", ON_RAY])
def pool(request: pytest.FixtureRequest) -> Executor:
    """Executors whose jobs are in other processes: one worker."""
    name = {"pool": "start_pool", "ray": "start_ray_pool"}[request.param]
    return request.getfixturevalue(name)()


@pytest.fixture(params=["pool", "in process", ON_RAY])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    """Every kind of executor, with the same works."""
    if request.param == "pool":
        return request.getfixturevalue("start_pool")()
    if request.param == "ray":
        return request.getfixturevalue("start_ray_pool")()
    spec = importlib.util.spec_from_file_location(WORKER.stem, WORKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return InProcess(module.works_in(tmp_path))


def run(
    executor: Executor, work: str, seconds_allowed: float | None = None, /, **given: Any
) -> Any:
    """Returns the outcome of one job; nothing else may come back."""
    job = Job(7, work, given, seconds_allowed)
    executor.submit(job)
    outcome = next_outcome(executor)
    assert outcome.job is job
    assert "\n" not in outcome.message
    return outcome


def next_outcome(executor: Executor) -> Outcome:
    """Returns the next outcome; nothing else may come back."""
    (outcome,) = executor.wait(PATIENCE)
    return outcome


def is_alive(pid: int) -> bool:
    """Returns whether this process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until the condition holds, and fails if it never does."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def first_event(executor: Executor) -> dict[str, Any]:
    """Returns the first thing that a running job reports."""
    until = time.monotonic() + PATIENCE
    while not (events := executor.events()):
        assert executor.wait(0.05) == [] and time.monotonic() < until
    return dict(events[0].content)


@pytest.fixture
def tools() -> Any:
    """`run`, `next_outcome`, `first_event`, `is_alive`, `wait_until`, and two constants."""
    return SimpleNamespace(
        run=run,
        next_outcome=next_outcome,
        first_event=first_event,
        is_alive=is_alive,
        wait_until=wait_until,
        worker=WORKER,
        patience=PATIENCE,
    )
