"""`RayPool` on real raylets: files travel, machines die, nothing is left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metaloop.core.errors import MetaloopError, MissingExtraError
from metaloop.executors.base import Job, Outcome
from metaloop.executors.luggage import Luggage
from metaloop.executors.ray_cluster import connected
from metaloop.executors.ray_pool import RayPool, is_for_memory

StartRayPool = Callable[..., RayPool]


@contextmanager
def another_machine(cluster: Any) -> Iterator[Any]:
    """A second machine of the cluster, with one CPU."""
    machine = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    try:
        yield machine
    finally:
        if machine in cluster.list_all_nodes():
            cluster.remove_node(machine)


def pids_of_three(pool: RayPool, tools: Any) -> set[int]:
    """Returns the process ids that jobs have told of, of three at least."""
    pids: set[int] = set()

    def all_have_begun() -> bool:
        assert pool.wait(0.1) == []
        pids.update(event.content["pid"] for event in pool.events())
        return len(pids) >= 3

    tools.wait_until(all_have_begun)
    return pids


def outcomes_of_three(pool: RayPool, tools: Any) -> list[Outcome]:
    """Returns how the three jobs ended that the pool has."""
    ended: list[Outcome] = []

    def all_have_ended() -> bool:
        ended.extend(pool.wait(0.1))
        return len(ended) == 3

    tools.wait_until(all_have_ended)
    return ended


@pytest.mark.long
def test_jobs_of_a_machine_that_is_killed_are_done_by_others_and_states_travel(
    cluster: Any, start_ray_pool: StartRayPool, tmp_path: Path, tools: Any
) -> None:
    with another_machine(cluster) as machine:
        pool = start_ray_pool(3)
        all_there = str(tmp_path / "all there")
        for number in range(-3, 0):  # one for each worker, however long one takes to start
            pool.submit(Job(number, "wait_for", {"file": all_there}))
        pids_of_three(pool, tools)
        Path(all_there).touch()
        outcomes_of_three(pool, tools)
        for number in range(3):
            pool.submit(Job(number, "keep", {"name": f"{number}.net", "text": f"text {number}"}))
        folders = {outcome.value["folder"] for outcome in outcomes_of_three(pool, tools)}
        assert len(folders) == 3 and len({Path(folder).parent for folder in folders}) == 2
        kept = {f"{number}.net": f"text {number}" for number in range(3)}
        assert {name: (tmp_path / name).read_text() for name in kept} == kept

        gate = {"file": str(tmp_path / "gate")}
        for number in range(3, 6):
            pool.submit(Job(number, "wait_for", gate))
        pids = pids_of_three(pool, tools)
        cluster.remove_node(machine, allow_graceful=False)  # SIGKILL to all of its daemons
        tools.wait_until(lambda: sum(map(tools.is_alive, pids)) <= 2)
        (tmp_path / "gate").touch()
        ended = outcomes_of_three(pool, tools)
        assert {outcome.status for outcome in ended} == {"done"}
        # What the lost machine had trained is there: others can go on from it.
        pool.submit(Job(6, "look", {"names": sorted(kept)}))
        (outcome,) = pool.wait(tools.patience)
        assert outcome.value["found"] == kept and outcome.value["given"] == "data"
        pool.close()
        pids |= {outcome.value["pid"] for outcome in ended}
        tools.wait_until(lambda: not any(map(tools.is_alive, pids)))
        assert [*Path(tempfile.gettempdir()).glob("metaloop-ray-*/*")] == []


@pytest.mark.long
def test_a_job_that_takes_its_worker_along_has_failed_when_it_did_so_twice(
    start_ray_pool: StartRayPool, tools: Any
) -> None:
    pool = start_ray_pool()
    outcome = tools.run(pool, "kill_parent")
    assert outcome.status == "crashed"
    assert outcome.message.startswith("its worker on ") and "lost" in outcome.message
    assert tools.run(pool, "echo").status == "done"


def test_what_ray_says_of_every_lost_worker_is_no_word_about_memory() -> None:
    lost = (
        "The actor died unexpectedly before finishing this task. Some common causes include: (1) "
        "the process was killed by the OOM killer due to high memory usage, (2) ray stop --force"
    )
    ended = "1 worker(s) were killed due to the node running low on memory. Memory on the node"
    assert is_for_memory(ended) and not is_for_memory(lost)


@pytest.mark.long
def test_a_machine_with_another_metaloop_is_named(
    start_ray_pool: StartRayPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = start_ray_pool()
    monkeypatch.setattr(pool, "_sources", "other sources")
    pool.submit(Job(0, "echo", {}))
    with pytest.raises(MetaloopError, match=r"the machine .* has metaloop .* install the same"):
        pool.wait(300.0)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at '127.0.0.1:1': Connection refused"),
        ("nowhere.invalid:6379", "no Ray cluster answers at 'nowhere.invalid:6379'"),
        ("ray://127.0.0.1:10001", "HOST:PORT"),
        ("first", "HOST:PORT"),
    ],
)
def test_a_wrong_address_is_one_line(address: str, words: str) -> None:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    with pytest.raises(MetaloopError) as caught, connected(address):
        pass
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"metaloop\[ray\]"), connected(None):
        pass
    with pytest.raises(MissingExtraError, match=r"metaloop\[ray\]"):
        RayPool(Luggage((), tmp_path, (), (), list, Path.read_bytes, print), 1)  # type: ignore[arg-type]
