"""A run on a Ray cluster of several machines, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metaloop.api.learning import stream
from metaloop.archive import Archive
from metaloop.core.errors import MetaloopError
from metaloop.loop import Learned, Tried
from metaloop.loop.settings import Settings

PATIENCE = 300.0  # seconds


def workers_left() -> list[str]:
    """Returns the commands of worker processes of runs on the cluster of this session."""
    found, place = [], str(Path(tempfile.gettempdir()) / "metaloop-ray-")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "metaloop.jobs" in command and place in command:
            found.append(command)
    return found


@contextmanager
def more_machines(cluster: Any, number: int) -> Iterator[list[Any]]:
    """So many further machines of one CPU each; those that still run are gone afterwards."""
    machines = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(number)]
    try:
        yield machines
    finally:
        for machine in {*machines} & {*cluster.list_all_nodes()}:
            cluster.remove_node(machine)


@pytest.mark.long
@pytest.mark.parametrize("machines", [2, 3])
def test_a_run_completes_and_loses_nothing_when_a_machine_is_killed(
    cluster: Any, reading: Any, tmp_path: Path, short: Settings, machines: int
) -> None:
    with more_machines(cluster, machines - 1) as more:
        event, told = run_until_killed(cluster, more, reading, tmp_path / "run", short)
    check_complete(event, told, tmp_path / "run")


def run_until_killed(
    cluster: Any, more: list[Any], reading: Any, folder: Path, short: Settings
) -> tuple[Any, list[Any]]:
    """Returns the last event of a run and its trials; a machine is lost after the first of them."""
    told = []
    for event in stream(
        reading, out=folder, budget="60steps", queries=5, workers=1 + len(more), settings=short,
        executor="ray", ray_address=cluster.address,
    ):  # fmt: skip
        if isinstance(event, Tried):
            told.append(event.trial)
            if len(told) == 1:
                used = [one for one in more if is_used(one)]
                assert used
                cluster.remove_node(used[0], allow_graceful=False)
    return event, told


def is_used(machine: Any) -> bool:
    """Whether a worker runs on this machine."""
    return any(machine.node_id[:12] in command for command in workers_left())


def check_complete(event: Any, told: list[Any], folder: Path) -> None:
    """Asserts that the run is whole, has all that it told of, and left nothing behind."""
    assert isinstance(event, Learned)
    assert event.report["status"] == "finished"
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        trials = [stored.trial for stored in archive.trials()]
        jobs = archive.jobs()
    assert {job.status for job in jobs} == {"finished"}
    assert len({job.number for job in jobs}) == len(jobs)
    recorded = {(trial.candidate, trial.steps, trial.status) for trial in trials}
    assert all((trial.candidate, trial.steps, trial.status) in recorded for trial in told)
    assert (folder / "model.metaloop").exists() and not (folder / "states").exists()
    assert workers_left() == []
    assert [*Path(tempfile.gettempdir()).glob("metaloop-ray-*/*")] == []


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_says_how_to_go_on_and_goes_on_without_ray(
    cluster: Any, tmp_path: Path, sent: signal.Signals
) -> None:
    asked = ["learn", "sinusoid", "--out", "run", "--shots", "10", "--queries", "10", "--workers"]
    asked += ["1", "--budget", "400steps"]
    command = [sys.executable, "-m", "metaloop", *asked]
    on_ray = ["--executor", "ray", "--ray-address", cluster.address]
    environment = {**os.environ, "METALOOP_TYPECHECK": "0"}
    started = subprocess.Popen(
        [*command, *on_ray], cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE
    )
    until = time.monotonic() + PATIENCE
    while not trials_in(tmp_path / "run"):
        assert started.poll() is None and time.monotonic() < until
        time.sleep(0.5)
    started.send_signal(sent)  # Ray has a handler of its own for SIGTERM
    _, said = started.communicate(timeout=PATIENCE)
    assert started.returncode == 128 + sent
    assert f"--executor ray --ray-address {cluster.address}" in said and "Traceback" not in said
    assert workers_left() == []
    before = trials_in(tmp_path / "run")
    resumed = subprocess.run([*command, "--resume"], cwd=tmp_path, env=environment, check=False)
    assert resumed.returncode == 0
    assert before < trials_in(tmp_path / "run")


def trials_in(folder: Path) -> set[int]:
    """Returns the numbers of the trials that have ended."""
    if not (folder / "archive.sqlite").exists():
        return set()
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        return {stored.id for stored in archive.trials() if stored.trial.status == "finished"}


def test_what_is_in_this_process_only_does_not_go_to_a_cluster(
    reading: Any, tmp_path: Path
) -> None:
    import torch

    options: dict[str, Any] = {"out": tmp_path / "run", "budget": "40steps"}
    net = torch.nn.Flatten()
    for more, words in (
        ({"executor": "ray", "net": net}, "a net of your own is in this process only"),
        ({"ray_address": "first:6379"}, "--ray-address is for --executor ray"),
        ({"executor": "rai"}, "no executor is called 'rai'; did you mean 'ray'"),
    ):
        with pytest.raises(MetaloopError, match=words):
            list(stream(reading, **options, **more))
        assert not (tmp_path / "run").exists()
