"""Streams that are closed, or whose reader goes away: told at once, or nothing of a run is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaloop import api
from metaloop.api.speaking import warn
from metaloop.cli.errors import guarded

TRAIN = ("--learner", "protonet", "--image-size", "8", "--budget", "30steps")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `metaloop LINE` by a shell that may close streams."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -m metaloop {line}"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=110,
    )  # fmt: skip


def test_without_stdout_nothing_is_begun(classes: Path, tmp_path: Path) -> None:
    ended = shell(f"train {classes} {' '.join(TRAIN)} --out a.metaloop >&-", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("metaloop: error: stdout is closed")
    assert len(ended.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_stderr_stdout_holds_the_result_and_nothing_else(
    classes: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for folder in classes.iterdir():
        (tmp_path / "data" / folder.name).symlink_to(folder)
    (tmp_path / "data" / "notes.txt").write_text("left out, with a warning")
    ended = shell(f"train data {' '.join(TRAIN)} --out a.metaloop --json 2>&-", tmp_path)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["status"] == "finished"


@pytest.mark.parametrize("verb", ["train", "learn"])
@pytest.mark.usefixtures("quick_catalogue")
def test_what_a_library_prints_meanwhile_is_not_in_the_result(
    verb: str, classes: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    worked = getattr(api, verb)

    def chatty(*asked: Any, **more: Any) -> Any:
        sys.stdout.write("(raylet) The node 5269 is dead\n")  # as Ray does, in any thread
        return worked(*asked, **more)

    monkeypatch.setattr(api, verb, chatty)
    few = {"train": TRAIN, "learn": ("--image-size", "8", "--budget", "30steps")}[verb]
    ended = command(verb, classes, *few, "--backbone", "none", "--out", "made", "--json")
    assert ended.json["status"] == "finished" and "(raylet)" in ended.err


def test_a_refusal_without_any_stream_still_has_its_exit_code(tmp_path: Path) -> None:
    assert (
        shell("train nowhere --learner maml --out a.metaloop <&- >&- 2>&-", tmp_path).returncode
        == 2
    )


def test_a_training_goes_on_when_nobody_listens_to_its_progress_any_more(
    start: Callable[..., Any], classes: Path, tmp_path: Path
) -> None:
    (tmp_path / "a" / "notes").mkdir(parents=True)
    process = start("train", classes, *TRAIN, "--out", "m.metaloop", "--json")
    process.stderr.close()
    out = process.stdout.read()
    assert process.wait(100) == 0
    assert json.loads(out)["status"] == "finished" and (tmp_path / "m.metaloop").exists()
    process.stderr = None  # it was closed above


def test_a_warning_that_cannot_be_written_is_dropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "w") as nobody:
        monkeypatch.setattr(sys, "stderr", nobody)
        assert guarded(lambda: warn("said to nobody")) == 0
        assert guarded(lambda: warn("again")) == 0
