"""Ctrl-C on the real command: what was reached is saved, the exit code says so, `--resume` ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def interrupt(process: Any, after: str, number: int = signal.SIGINT) -> tuple[str, str]:
    """Sends a signal once stderr has a line with `after`; returns stdout and the rest of stderr."""
    for line in process.stderr:
        if after in line:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return out, err


@pytest.mark.long
@pytest.mark.usefixtures("quick_catalogue")
def test_learn_saves_what_was_reached_and_goes_on(
    start: Callable[..., Any], command: Command, classes: Path, tmp_path: Path
) -> None:
    arguments = ("learn", classes, "--image-size", "8", "--budget", "10s", "--out", "run")
    arguments += ("--backbone", "none")  # another process knows of no fixture
    process = start(*arguments, "--json")
    out, err = interrupt(process, "tried ")  # or a stop in the middle of the race
    assert process.returncode == 130
    report = json.loads(out)
    assert report["status"] == "interrupted" and report["test"] is None
    assert (tmp_path / report["model"]).stat().st_size > 0
    said = [line for line in err.splitlines() if line.startswith("metaloop: ")]
    assert "being saved" in said[0] and "saved run/model.metaloop" in said[1]
    assert said[2].startswith("metaloop: go on with: metaloop learn") and "--resume" in said[2]
    assert len(said) == 3
    report = command(*arguments, "--json", "--resume").json
    assert report["status"] == "finished" and report["test"]["episodes"] == 1000


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long)]
)
def test_train_saves_what_was_reached_and_goes_on(
    start: Callable[..., Any], command: Command, classes: Path, tmp_path: Path, number: int
) -> None:
    arguments = ("train", classes, "--learner", "protonet", "--image-size", "8")
    arguments += ("--budget", "6s", "--out", "a.metaloop")
    process = start(*arguments)
    out, err = interrupt(process, "training", number)
    assert process.returncode == 128 + number and out == ""
    assert "saved a.metaloop" in err and "--budget 6s" in err and "--resume" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.metaloop", "a.metaloop.state"]
    early = (tmp_path / "a.metaloop").read_bytes()
    assert "go on with --resume" in command(*arguments).error
    report = command(*arguments, "--resume", "--json").json
    assert report["status"] == "finished"
    assert [path.name for path in tmp_path.iterdir()] == ["a.metaloop"]
    assert (tmp_path / "a.metaloop").read_bytes() != early


def test_a_request_before_anything_can_be_saved_ends_at_once(
    start: Callable[..., Any], classes: Path, tmp_path: Path
) -> None:
    process = start("learn", classes, "--out", "run")
    while not (tmp_path / "run" / "run.lock").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1].startswith("metaloop: ")


def test_a_hang_up_is_ignored_where_the_caller_ignores_it(
    start: Callable[..., Any], classes: Path, tmp_path: Path
) -> None:
    arguments = ("train", classes, "--learner", "protonet", "--image-size", "8")
    arguments += ("--budget", "3s", "--out", "a.metaloop")
    process = start(*arguments, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    interrupt(process, "training", signal.SIGHUP)  # as `nohup` has it
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.metaloop"]


def test_two_trainings_do_not_write_one_file(
    start: Callable[..., Any], command: Command, classes: Path, model: Path, tmp_path: Path
) -> None:
    arguments = ("train", classes, "--learner", "protonet", "--image-size", "8")
    arguments += ("--budget", "60s", "--out", "a.metaloop")
    process = start(*arguments)
    for line in process.stderr:
        if "training" in line:
            break
    for more in ((), ("--resume",)):
        said = command(*arguments, *more).error
        assert f"is writing here (process {process.pid}): 'a.metaloop'" in said
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.metaloop", "a.metaloop.state"]
    (tmp_path / "a.metaloop").write_bytes(model.read_bytes())
    said = command(*arguments, "--resume").error
    assert "'a.metaloop' holds another model than the one that 'a.metaloop.state'" in said
    assert (tmp_path / "a.metaloop").read_bytes() == model.read_bytes()
