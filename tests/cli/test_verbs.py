"""The verbs as a user drives them, from a folder of classes to a model that needs no support."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from metaloop import __version__
from metaloop.api import progress
from metaloop.archive import Archive
from metaloop.cli import app

Command = Callable[..., Any]

FLAGS = {  # they are a contract with scripts: a change here is a change for users
    "learn": "DATA --budget --ways --shots --queries --out --seed --split-seed --image-size "
    "--classes-at --value-range --columns --text --label --domain "
    "--speaker-pattern --items --users --words --sentences --ratio --references "
    "--use-label-names --objective --view --backbone --download --also --archive --archive-to "
    "--workers --executor --ray-address --strict --resume --json --quiet",
    "train": "DATA --learner --out --net --budget --ways --shots --queries --seed --split-seed "
    "--image-size --classes-at --value-range --columns --text --label --domain "
    "--speaker-pattern --items --users --words --sentences --ratio --references "
    "--use-label-names --objective --view --backbone --download --strict --resume --json --quiet",
    "select": "DATA --budget --out --seed --split-seed --image-size --classes-at "
    "--value-range --target --objective --metric --groups --ignore --test --time-limit-per-row "
    "--archive --archive-to --workers --backbone --download --guest --strict --resume --json "
    "--quiet",
    "evaluate": "MODEL DATA --part --ways --shots --queries --episodes --archive "
    "--classes-at --value-range --columns --text --label --domain "
    "--speaker-pattern --users --words --sentences --ratio --references --use-label-names "
    "--allow-seen --apart --strict "
    "--open --seed --json --quiet",
    "predict": "MODEL INPUT... --support --classes-at --value-range --columns "
    "--text --label --domain --use-label-names --skip-unreadable --window --step --microphone "
    "--reject --top --exclude-seen --explain --csv --words --sentences --ratio --seed --json",
    "fit": "MODEL --support --out --keep-support --classes-at --value-range --columns "
    "--text --label --domain --use-label-names --seed --json",
    "generate": "MODEL --support --out --count --temperature --tries --classes-at --value-range "
    "--seed --json",
    "report": "RUN --out --seed --json",
    "show": "RUN CANDIDATE --seed --json",
    "export": "RUN --to --out --seed --json",
    "serve": "MODEL... --host --port --tasks --token-file --tls-certificate --tls-key --max-body "
    "--max-tasks --max-examples --max-pixels --max-seconds --seed --json",
    "export-model": "MODEL --out --to --browser --seed --json",
    "card": "MODEL --out --seed --json",
    "verify": "MODEL DATA --archive --classes-at --columns --text --label --domain "
    "--speaker-pattern --users --split-seed --groups --ignore --test --image-size --value-range "
    "--seed --json --quiet",
    "list": "KIND --seed --json",
    "data": "DATA --image-size --split-seed --classes-at --value-range --columns "
    "--text --label --domain --speaker-pattern --items --users --words --sentences --ratio "
    "--references --view --strict --cache "
    "--seed --json --quiet",
    "archive list": "ARCHIVE --seed --json",
    "archive show": "ARCHIVE RUN --seed --json",
    "archive merge": "ARCHIVE... --into --whole --seed --json",
    "archive prune": "ARCHIVE --older-than --data --unfinished --dry-run --seed --json",
    "cite": "MODEL|RUN --seed --json",
    "completion": "SHELL --seed --json",
}


def test_the_flags_are_those_that_scripts_rely_on() -> None:
    group: Any = typer.main.get_command(app)
    found = {}
    verbs = dict(group.commands)
    for part, verb in verbs.pop("archive").commands.items():
        verbs[f"archive {part}"] = verb
    for name, verb in verbs.items():
        is_option = [parameter.param_type_name == "option" for parameter in verb.params]
        found[name] = " ".join(
            parameter.opts[0] if option else (parameter.metavar or parameter.name)
            for parameter, option in zip(verb.params, is_option, strict=True)
        )
    assert found == FLAGS


def test_every_verb_has_help_and_takes_a_seed(command: Command) -> None:
    assert "--version" in command().out
    assert command("--version").out == f"metaloop {__version__}\n"
    for verb, flags in FLAGS.items():
        assert "--seed" in flags
        outcome = command(*verb.split(), "--help")
        assert outcome.code == 0 and "--seed" in outcome.out and outcome.err == ""


@pytest.mark.usefixtures("quick_catalogue")
def test_from_a_folder_of_classes_to_a_model_that_needs_no_support(
    command: Command,
    classes: Path,
    new_classes: Path,
    json_contract: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    learned = command("learn", classes, "--image-size", "8", "--budget", "60steps")
    assert learned.code == 0, learned.err
    folder = Path("runs/shapes-1")
    model = folder / "model.metaloop"
    for expected in ("protonet", "search", "promotion", "1,000 episodes, 5-way 1-shot, part test"):
        assert expected in learned.out
    assert f"metaloop predict {model} --support" in learned.out
    said = learned.err.splitlines()
    tried = [line for line in said if line.startswith("tried ")]
    assert len(tried) >= 3 and learned.err.count("promoted ") == 1
    assert any(line.endswith(" over its parent (1 and 5 shots)") for line in tried)
    doing = [line for line in said if line.startswith("round ")]
    assert doing and re.fullmatch(
        r"round [123] · [^·]+ · [^·]+ · step [\d,]+ · loss [\d.]+ · best [^·]+ [\d.]+ ± [\d.]+ % "
        r"\(± [\d.]+ new\)",
        doing[-1],
    )

    evaluated = command("evaluate", model, classes, "--episodes", "50", "--json").json
    json_contract.check("evaluate", evaluated)
    assert evaluated["episodes"] == 50 and evaluated["protocol"]["part"] == "test"
    assert 0.5 < evaluated["value"] <= 1
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        assert len(archive.openings()) == 2  # at the end of learn, and this one

    inputs = sorted(new_classes.rglob("*.png"))
    lines = command("predict", model, "--support", new_classes, *inputs).out.splitlines()
    assert [line.split("\t")[2] for line in lines] == [str(path) for path in inputs]
    right = [line.split("\t")[0] == Path(line.split("\t")[2]).parent.name for line in lines]
    assert sum(right) >= 10
    fitted = command("fit", model, "--support", new_classes, "--out", "adapted.metaloop")
    assert fitted.out == "4 classes from 12 examples\nmodel  adapted.metaloop\n"
    assert command("predict", "adapted.metaloop", new_classes).out.splitlines() == lines

    again = command("learn", classes, "--image-size", "8", "--budget", "30steps", "--json", "-q")
    assert again.err == ""
    report = again.json
    json_contract.check("learn", report)
    assert report["model"] == "runs/shapes-2/model.metaloop"
    cited = command("cite", "runs/shapes-2", "--json").json["citations"]
    assert any("snell2017" in entry for entry in cited) and len(cited) == 3


@pytest.mark.long
def test_where_labels_mean_nothing_the_last_lines_say_so(
    command: Command, tmp_path: Path, settle: Any
) -> None:
    settle(test_episodes=200)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(24), 8)
    np.savez("noise.npz", X=rng.normal(size=(len(y), 5)), y=y)
    learned = command("learn", "noise.npz", "--budget", "20steps", "--workers", "1", "-q")
    assert learned.code == 0, learned.err
    assert "\nno better than chance (20.0%)\n" in learned.out


@pytest.mark.long  # the loop with both is in tests/loop/test_warm_start.py
def test_further_data_and_an_earlier_archive_may_be_given(
    command: Command, tmp_path: Path, settle: Any
) -> None:
    settle(test_episodes=100)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(24), 8)
    for name in ("target", "other"):
        centres = rng.normal(size=(24, 5))[y]
        np.savez(f"{name}.npz", X=centres + 0.3 * rng.normal(size=centres.shape), y=y)
    quick = ("--budget", "20steps", "--workers", "1", "--json", "-q")
    first = command("learn", "other.npz", *quick).json
    known = ("--also", "other.npz", "--archive", first["archive"])
    report = command("learn", "target.npz", *known, *quick).json
    assert report["status"] == "finished" and report["test"]["better_than_chance"] is True
    with Archive.open(report["archive"], read_only=True) as archive:
        (run,) = archive.runs()
        assert {data.name for data in archive.data_sets()} == {"target", "other"}
    assert (run.arguments["also"], run.arguments["workers"]) == (["other.npz"], 1)


def test_train_reports_what_it_made(
    command: Command, classes: Path, json_contract: Any, tmp_path: Path
) -> None:
    arguments = ("train", classes, "--learner", "simpleshot", "--net", "mlp", "--image-size", "8")
    report = command(*arguments, "--budget", "5steps", "--out", "a", "--json").json
    json_contract.check("train", report)
    assert report["steps"] == 5 and 0 <= report["search"]["value"] <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_predict_json_has_every_probability(
    command: Command, adapted: Path, json_contract: Any, new_classes: Path
) -> None:
    report = command("predict", adapted, new_classes, "--json").json
    json_contract.check("predict", report)
    assert report["classes"] == [f"class{number:02d}" for number in range(4)]
    first = report["predictions"][0]
    assert first["input"].endswith("class00/0.png") and first["label"] in report["classes"]
    assert len(first["probabilities"]) == 4
    assert max(first["probabilities"]) == first["confidence"] == first["probability"]


def test_a_support_may_be_a_zip_and_hold_one_example_of_a_class(
    command: Command, model: Path, new_classes: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "support.zip", "w") as archive:
        for name in ("class00", "class01"):
            archive.write(new_classes / name / "0.png", f"{name}/0.png")
    outcome = command("predict", model, "--support", "support.zip", new_classes / "class01")
    assert outcome.code == 0
    assert outcome.out.count("class01\t") == 3


def test_unreadable_inputs_stop_everything_unless_skipped(
    command: Command, adapted: Path, new_classes: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    fine = new_classes / "class02" / "0.png"
    assert "bad.png" in command("predict", adapted, fine, "bad.png").error
    outcome = command("predict", adapted, "bad.png", fine, "--skip-unreadable")
    assert outcome.code == 0 and len(outcome.out.splitlines()) == 1
    assert outcome.err.startswith("metaloop: warning: left out: image 'bad.png'")


def test_vectors_come_from_arrays(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 5, (24, 6))
    y = np.repeat(np.arange(24), 8)
    np.savez("data.npz", X=centres[y] + rng.normal(0, 0.1, (len(y), 6)), y=y)
    arguments = ("train", "data.npz", "--learner", "protonet", "--budget", "20steps")
    assert command(*arguments, "--out", "m").code == 0
    X = rng.normal(0, 5, (3, 6))
    np.savez("support.npz", X=X, y=np.array(["a", "b", "c"]))
    np.save("inputs.npy", X[::-1] + 0.01)
    lines = command("predict", "m", "--support", "support.npz", "inputs.npy").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["c", "b", "a"]
    assert [line.split("\t")[2] for line in lines] == [f"inputs.npy[{row}]" for row in range(3)]
    assert "vectors of 6 numbers" in command("predict", "m", "--support", ".", "x.png").error


@pytest.mark.parametrize("kind", ["learners", "nets", "families"])
def test_lists_are_tables_and_json(kind: str, command: Command) -> None:
    entries = command("list", kind, "--json").json[kind]
    assert all(entry["name"] and entry["summary"] for entry in entries)
    assert kind != "learners" or all(entry["paper"][-4:].isdigit() for entry in entries)
    text = command("list", kind).out
    assert all(entry["name"] in text for entry in entries)


def test_data_describes_what_it_read(command: Command, classes: Path) -> None:
    report = command("data", classes, "--json").json
    assert report["classes"] == 24 and report["examples"] == 144
    assert report["examples_per_class"] == {"min": 6, "median": 6, "max": 6}
    assert sum(part["classes"] for part in report["parts"].values()) == 24
    assert report["largest_ways"] == {"1-shot": 5, "5-shot": 5} and report["left_out"] == []
    assert command("data", "sinusoid", "--json").json["parts"] == {}


def test_a_reader_that_goes_away_ends_the_command_quietly(start: Callable[..., Any]) -> None:
    process: subprocess.Popen[str] = start("list", "learners")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
