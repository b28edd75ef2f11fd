"""What `learn` returns, of one finished run and of one that was stopped."""

from __future__ import annotations

import os
import signal
import webbrowser
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.validation import check_is_fitted
from torch import nn

import metaloop as ml
from metaloop.archive import Archive
from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.loop import DataRead, Learned
from metaloop.tasks.store import Reading

HOSTILE = "<script>alert(1)</script>"


def test_a_run_tells_where_it_is_and_what_it_cost(learned_run: Any) -> None:
    assert learned_run.status == "finished"
    assert learned_run.path == learned_run.out / "model.metaloop" and learned_run.path.is_file()
    with Archive.open(learned_run.archive, read_only=True) as archive:
        (run,) = archive.runs()
        worked = sum(job.cpu_seconds for job in archive.jobs(run.id))
    assert run.status == "finished"
    assert learned_run.cpu_seconds > worked > 0


def test_its_model_learns_new_classes_and_is_a_new_one_each_time(
    learned_run: Any, easy_images: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = easy_images
    new = np.isin(labels, ["class00", "class01", "class02"])
    classifier = learned_run.model.fit(images[new][::2], labels[new][::2])
    assert isinstance(classifier, ml.FewShotClassifier)
    assert classifier.score(images[new], labels[new]) > 0.8
    assert not hasattr(learned_run.model, "task_")


def test_its_figures_are_those_of_the_report(learned_run: Any) -> None:
    test = learned_run.test
    assert isinstance(test, ml.Figures)
    assert (test.metric, test.episodes, test.ways, test.shots) == ("accuracy", 1000, 5, 1)
    assert 0.2 < test.value <= 1 and test.chance == 0.2 and test.better_than_chance
    written = learned_run.to_json()["test"]
    assert ml.Figures.from_json(written) == test
    assert {key: test.to_json()[key] for key in written} == written
    assert "1,000 episodes, 5-way 1-shot, part test" in str(test)
    assert f"{100 * test.value:.1f} ±" in repr(test)


def test_the_leaderboard_begins_with_what_was_promoted(learned_run: Any) -> None:
    board = learned_run.leaderboard
    assert len(board) == len(list(board)) >= 3
    assert board[0]["promotion"] is not None
    assert board[:2][1] is board[1]
    assert any(row["baseline"] for row in board)
    assert learned_run.to_json()["best"]["candidate"] in {row["candidate"] for row in board}
    assert board.columns[2] == "league" and {row[2] for row in board.table} == {"without"}
    assert "protonet" in repr(board) and f"{len(board)} candidates" in repr(board)


def test_the_page_goes_into_the_folder_or_where_it_is_wanted(
    learned_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    page = learned_run.report(tmp_path / "page.html")
    assert page == tmp_path / "page.html" and "Every opening of the test part" in page.read_text()
    assert shown == []
    assert learned_run.report(open=True) == learned_run.out / "report.html"
    assert shown == [(learned_run.out / "report.html").as_uri()]
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(MetaloopError, match="is no report"):
        learned_run.report("notes")


def test_a_result_cannot_be_changed(learned_run: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        learned_run.out = Path("elsewhere")
    changed = learned_run.to_json()
    changed["leaderboard"][0]["learner"] = "another"
    assert learned_run.leaderboard[0]["learner"] != "another"


def test_it_shows_as_one_line_and_as_a_table(learned_run: Any) -> None:
    assert repr(learned_run).startswith("<LearnResult ") and "\n" not in repr(learned_run)
    assert str(learned_run.out) in repr(learned_run) and str(learned_run.test) in repr(learned_run)
    table = learned_run._repr_html_()
    assert table.count("<table") == 1 and table.count("<tr") > 3 and str(learned_run.out) in table


def test_names_cannot_become_markup(learned_run: Any) -> None:
    row = {**learned_run.leaderboard[0], "learner": HOSTILE, "status": "a\x1b[2Jb"}
    best = {**learned_run.content["best"], "learner": HOSTILE}
    content = {**learned_run.content, "leaderboard": [row], "best": best, "certainty": HOSTILE}
    hostile = replace(learned_run, content=content)
    for shown in (hostile._repr_html_(), hostile.leaderboard._repr_html_()):
        assert "<script" not in shown and "&lt;script&gt;" in shown and "\x1b" not in shown
    assert "\x1b" not in repr(hostile) + repr(hostile.leaderboard)


def tiny_net() -> nn.Module:
    """With a net of one's own the run is in this process: no worker has to start."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8))


def stopping(act: Callable[[], object]) -> Callable[[], bool]:
    """Returns a `stop` that acts when it is asked for the first time."""
    left = iter([act])

    def stop() -> bool:
        for action in left:
            return bool(action())
        return False

    return stop


def test_where_stop_becomes_true_what_was_reached_is_returned(shapes: Reading) -> None:
    run = ml.learn(shapes, budget="30steps", net=tiny_net(), stop=lambda: True, out="stopped")
    assert run.status == "interrupted" and run.test is None
    assert "interrupted" in repr(run) and "interrupted" in run._repr_html_()
    with pytest.raises(ModelFileError, match="resume=True"):
        run.model  # noqa: B018


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_saves_and_says_how_to_go_on(shapes: Reading, json_contract: Any) -> None:
    stop = stopping(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(ml.Interrupted, match="resume=True") as stopped:
        ml.learn(shapes, budget="30steps", net=tiny_net(), stop=stop)
    assert isinstance(stopped.value, KeyboardInterrupt) and stopped.value.exit_code == 130
    run = stopped.value.result
    assert run.out == Path("runs/shapes-1") and run.status == "interrupted"
    json_contract.check("learn", run.to_json())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_is_left_alone(shapes: Reading) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        stop = stopping(lambda: os.kill(os.getpid(), signal.SIGINT))
        trained = ml.train(shapes, "protonet", budget="3steps", stop=stop)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT] and trained.status == "finished"


def test_the_stream_has_the_events_and_ends_with_the_report(shapes: Reading) -> None:
    events = list(ml.stream(shapes, budget="30steps", net=tiny_net(), stop=lambda: True))
    assert isinstance(events[0], DataRead) and events[0].name == "shapes"
    assert isinstance(events[-1], Learned) and events[-1].report["status"] == "interrupted"
    assert Path("runs/shapes-1/archive.sqlite").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data": "glyps"}, "did you mean 'glyphs'"),
        ({"budget": "soon"}, "'soon'"),
        ({"ways": 50}, "largest possible"),
        ({"workers": 0}, "at least 1 process"),
        ({"resume": True}, "name its folder"),
        ({"resume": True, "out": "new"}, "no run to resume"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: dict[str, Any], said: str, shapes: Reading, tmp_path: Path
) -> None:
    with pytest.raises(MetaloopError, match=said) as refused:
        ml.learn(**{"data": shapes, **arguments})
    assert "\n" not in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


def test_an_estimator_of_a_run_is_not_fitted_yet(learned_run: Any) -> None:
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(learned_run.model)
