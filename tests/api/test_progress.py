"""Where progress goes: over one line in notebooks and terminals, nowhere in scripts."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import metaloop as ml
from metaloop.api.progress import Progress, style_of
from metaloop.tasks.store import LeftOut, Reading


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel looks like to a library: IPython is loaded, and its shell has a kernel."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_a_script_is_silent_unless_it_asks(
    capfd: pytest.CaptureFixture[str], shapes: Reading
) -> None:
    assert [style_of(asked) for asked in (None, True, False)] == ["silent", "lines", "silent"]
    ml.train(shapes, "protonet", budget="2steps")
    assert capfd.readouterr() == ("", "")
    ml.train(shapes, "protonet", budget="2steps", progress=True)
    said = capfd.readouterr()
    assert said.out == "" and "search episodes" in said.err


def test_a_terminal_has_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert [style_of(asked) for asked in (None, True, False)] == ["live", "live", "silent"]
        with Progress("live") as progress:
            progress.status("round 1")
            progress.line("tried protonet")
        said = os.read(ours, 10_000)
        while b"tried protonet" not in said:  # it comes in pieces; the test's time limit ends it
            said += os.read(ours, 10_000)
    os.close(ours)


@pytest.mark.usefixtures("notebook")
def test_a_notebook_has_one_line_that_is_written_over(capfd: pytest.CaptureFixture[str]) -> None:
    assert [style_of(asked) for asked in (None, True, False)] == ["notebook", "notebook", "silent"]
    with Progress("notebook") as progress:
        progress.line("tried protonet / conv4")
        progress.line("tried ridge")
        progress.line("x" * 500)
    said = capfd.readouterr()
    assert said.err == "" and "\n" not in said.out
    first, second, long, erased, nothing = said.out.split("\r")[1:]
    assert first == "tried protonet / conv4" and second == "tried ridge".ljust(len(first))
    assert len(long) == 100 and long.endswith("x…")
    assert erased == " " * 100 and nothing == ""


@pytest.mark.usefixtures("notebook")
def test_a_training_in_a_notebook_leaves_no_line(
    capfd: pytest.CaptureFixture[str], shapes: Reading
) -> None:
    ml.train(shapes, "protonet", budget="2steps")
    said = capfd.readouterr()
    assert said.err == "" and "\n" not in said.out and "search episodes" in said.out
    assert said.out.endswith("\r") and said.out.rsplit("\r", 2)[1].strip() == ""


@pytest.mark.parametrize("style", ["silent", "lines", "notebook"])
def test_what_is_left_out_is_told_in_every_style(
    style: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with Progress(style) as progress:
        progress.left_out([LeftOut("notes.txt", "no image", 2)])
    assert capfd.readouterr().err == "metaloop: warning: left out: 2 x no image: notes.txt\n"


def test_a_result_tells_what_was_left_out(
    easy_images: tuple[np.ndarray, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    from metaloop.tasks.readers import read_arrays

    images, labels = easy_images
    labels = labels.copy()
    labels[0] = "alone"
    reading = read_arrays(images, labels, image_size=8, polarity="as_is")
    trained = ml.train(reading, "protonet", budget="1steps")
    told = capfd.readouterr().err
    assert told.count("left out") == len(trained.left_out) >= 1
