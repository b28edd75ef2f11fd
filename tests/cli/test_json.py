"""Every verb prints the JSON that docs/json.md promises, and that documents every verb."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.cli import app
from metaloop.estimators import FewShotRegressor

Command = Callable[..., Any]

QUICK = ("--image-size", "8", "--budget", "2steps")
VERBS: dict[str, tuple[str, ...]] = {  # table of the contract -> what is typed; RUN is a folder
    "train": ("train", "CLASSES", "--learner", "protonet", *QUICK, "--out", "a"),
    "evaluate": ("evaluate", "MODEL", "CLASSES", "--episodes", "5", "--archive", "looks.sqlite"),
    "evaluate open": (
        "evaluate",
        "MODEL",
        "CLASSES",
        "--open",
        "--ways",
        "2",
        "--episodes",
        "5",
        "--archive",
        "looks.sqlite",
    ),
    "predict": ("predict", "ADAPTED", "NEW"),
    "predict or reject": ("predict", "ADAPTED", "NEW", "--reject", "5%"),
    "fit": ("fit", "MODEL", "--support", "NEW", "--out", "fitted"),
    "data": ("data", "CLASSES"),
    "data of functions": ("data", "sinusoid"),
    "report": ("report", "RUN"),
    "show": ("show", "RUN"),
    "export": ("export", "RUN", "--to", "csv", "--out", "tables"),
    "list learners": ("list", "learners"),
    "list nets": ("list", "nets"),
    "list families": ("list", "families"),
    "list generators": ("list", "generators"),
    "list programs": ("list", "programs"),
    "list views": ("list", "views"),
    "list backbones": ("list", "backbones"),
    "cite": ("cite", "MODEL"),
    "completion": ("completion", "bash"),
}


@pytest.mark.parametrize("case", VERBS)
def test_a_verb_prints_what_is_documented(
    case: str,
    command: Command,
    json_contract: Any,
    classes: Path,
    new_classes: Path,
    model: Path,
    adapted: Path,
    learned_run: Any,
    tmp_path: Path,
) -> None:
    names = {"CLASSES": classes, "NEW": new_classes, "MODEL": model, "ADAPTED": adapted}
    if "RUN" in VERBS[case]:
        names["RUN"] = shutil.copytree(learned_run.out, tmp_path / "run")
    printed = command(*(names.get(word, word) for word in VERBS[case]), "--json").json
    verb = VERBS[case][0]
    json_contract.check(verb, printed)
    assert verb != "predict" or 0 < printed["seconds_per_prediction"] < 10
    assert verb != "list" or list(printed) == [VERBS[case][1]]


def test_select_prints_what_is_documented(command: Command, json_contract: Any) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 8, 8), dtype=np.uint8)
    np.savez("two.npz", X=images, y=[0, 1] * 12)
    words = ("--budget", "20steps", "--workers", "1", "--image-size", "8", "--json")
    json_contract.check("select", command("select", "two.npz", *words).json)


def test_learn_and_one_candidate_of_it_are_documented(
    command: Command, json_contract: Any, learned_run: Any
) -> None:
    report = learned_run.to_json()  # the verb prints it: see test_verbs
    json_contract.check("learn", report)
    chosen = report["best"]["candidate"]
    json_contract.check("show candidate", command("show", learned_run.out, chosen, "--json").json)


def test_real_values_are_predicted_as_values(command: Command, json_contract: Any) -> None:
    FewShotRegressor().fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 3.0]).save("line.metaloop")
    np.save("x.npy", np.array([[0.5], [1.5]], np.float32))
    printed = command("predict", "line.metaloop", "x.npy", "--json").json
    json_contract.check("predict", printed)
    assert [set(each) for each in printed["predictions"]] == [{"input", "value", "confidence"}] * 2
    low, high = (each["value"] for each in printed["predictions"])
    assert 1 < low < high < 3
    lines = command("predict", "line.metaloop", "x.npy").out.splitlines()
    assert [line.split("\t") for line in lines] == [
        [str(low), "x.npy[0]"],
        [str(high), "x.npy[1]"],
    ]


def test_every_verb_is_documented(json_contract: Any) -> None:
    verbs = {command.name for command in app.registered_commands}
    verbs -= {"completion"}  # it prints a script
    assert verbs <= set(json_contract.tables)


def test_the_contract_tells_what_differs(json_contract: Any) -> None:
    """A contract that accepts everything would be none."""
    good = {"report": "a.html", "status": "finished", "headline": "94 %"}
    json_contract.check("report", good)
    for bad, said in (
        ({**good, "status": None}, "report.status is None, no text"),
        ({**good, "more": 1}, "report.more is not documented"),
        ({"report": "a.html", "status": "finished"}, "report.headline is missing"),
        (["report"], "no report"),
    ):
        with pytest.raises(AssertionError, match=said):
            json_contract.check("report", bad)
    with pytest.raises(AssertionError, match=r"predictions\[0\].confidence is 94, no fraction"):
        json_contract.check(
            "predict", {"model": "m", "predictions": [{"input": "a", "confidence": 94}]}
        )
