"""Backbones from the command line: which league a result is in, and what is refused in a line."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metaloop.archive import Archive
from metaloop.catalogue import offered, views
from metaloop.catalogue.backbones import open_backbone
from metaloop.core.encoder import Encoder
from metaloop.core.errors import missing_extra
from metaloop.domains.images import lite0

Command = Callable[..., Any]
QUICK = ("--image-size", "8", "--budget", "6steps", "--workers", "1", "--queries", "3", "-q")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What encoders make is kept nowhere else."""
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def installed(blocks: Encoder, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Lets `blocks` be an installed backbone; `there` can be taken away."""
    state = {"there": True}

    def opened(name: str, **asked: Any) -> Encoder:
        is_blocks = name == "blocks" and state["there"]
        return blocks if is_blocks else open_backbone(name, **asked)

    monkeypatch.setattr(
        offered, "installed", lambda takes: ("blocks",) * (takes == "images" and state["there"])
    )
    monkeypatch.setattr(offered, "open_backbone", opened)
    monkeypatch.setattr(views, "_opened", lambda name, kind: opened(name, takes=kind))
    return state


def interrupted(folder: Path) -> None:
    """Makes a finished run one that can be gone on with."""
    with Archive.open(folder / "archive.sqlite") as archive, archive.transaction():
        archive.change("UPDATE runs SET status = ?", ("interrupted",))


def test_a_run_tells_of_leagues_and_so_does_its_model(
    command: Command,
    classes: Path,
    new_classes: Path,
    installed: dict[str, bool],
    json_contract: Any,
    settle: Callable[..., None],
) -> None:
    settle(test_episodes=30)
    report = command("learn", classes, *QUICK, "--backbone", "blocks", "--out", "r", "--json").json
    json_contract.check("learn", report)
    assert (
        {row["league"] for row in report["leaderboard"]} == {"blocks"} == {report["best"]["league"]}
    )
    known = [row["pretraining"] for row in [*report["leaderboard"], report["best"]]]
    assert all(told[0]["knows"] == "nothing" and told[0]["seen"] == 0 for told in known)
    (card,) = report["backbones"]
    assert (card["view"], card["name"], card["licence"]) == ("", "blocks", "CC0-1.0")
    shown = command("show", "r", "--json").json
    json_contract.check("show", shown)
    assert shown["backbones"] == report["backbones"]
    chosen = report["best"]["candidate"]
    json_contract.check("show candidate", command("show", "r", chosen, "--json").json)

    model = Path("r/model.metaloop")
    evaluated = command("evaluate", model, classes, "--episodes", "5", "--json", "-q").json
    json_contract.check("evaluate", evaluated)
    assert evaluated["pretraining"][0]["not_known"] == evaluated["pretraining"][0]["classes"] > 0
    assert evaluated["league"] == "blocks" and evaluated["backbones"][0]["knows"] == "nothing"
    printed = command("evaluate", model, classes, "--episodes", "5", "-q").out
    assert "in the league with a backbone: inputs are seen through blocks at 16 pixels" in printed
    for cited in (command("cite", model).out, command("cite", "r").out):
        assert "@misc{blocks}" in cited
    fitted = command("fit", model, "--support", new_classes, "--out", "fitted.metaloop")
    assert fitted.code == 0, fitted.err
    assert "@misc{blocks}" in command("cite", "fitted.metaloop").out

    installed["there"] = False
    for words in (("predict", model, new_classes, "--support", new_classes),
                  ("evaluate", model, classes)):  # fmt: skip
        said = command(*words).error
        assert "a backbone that is not here: no backbone is called 'blocks'" in said
    interrupted(Path("r"))
    same = ("learn", classes, *QUICK, "--out", "r", "--resume", "--backbone")
    assert "was started with other values of --backbone" in command(*same, "none").error
    assert "no backbone is called 'blocks'" in command(*same, "blocks").error


def test_what_auto_offered_and_is_gone_stops_a_resumed_run_in_a_line(
    command: Command, classes: Path, installed: dict[str, bool], settle: Callable[..., None]
) -> None:
    settle(test_episodes=20)
    words = ("learn", classes, *QUICK, "--out", "r")
    first = command(*words)
    assert first.code == 0, first.err
    heading = next(line for line in first.out.splitlines() if line.startswith("learner"))
    assert "league" in heading.split() and "This is in the league with" in first.out
    interrupted(Path("r"))
    installed["there"] = False
    said = command(*words, "--resume").error
    assert "candidates that see inputs as 'blocks', which is not there any more" in said


def test_training_through_a_backbone_says_so(
    command: Command, classes: Path, installed: dict[str, bool], json_contract: Any
) -> None:
    trained = command(
        "train", classes, "--learner", "simpleshot", "--image-size", "8", "--budget", "2steps",
        "--backbone", "blocks", "--out", "m", "--json", "-q",
    ).json  # fmt: skip
    json_contract.check("train", trained)
    assert trained["league"] == "blocks" and len(trained["backbones"]) == 1


def test_data_says_what_would_be_on_offer(
    command: Command, classes: Path, monkeypatch: pytest.MonkeyPatch, json_contract: Any
) -> None:
    assert command("data", classes, "--json").json["backbones"] == []
    monkeypatch.setattr(offered, "installed", lambda takes: ("lite0",) * (takes == "images"))
    told = command("data", classes, "--json").json
    json_contract.check("data", told)
    assert told["backbones"] == [{"name": "lite0", "licence": "Apache-2.0", "knows": "ImageNet-1k"}]
    assert (
        "lite0 (trained on ImageNet-1k, licence Apache-2.0) is on offer"
        in command("data", classes).out
    )


def test_download_reaches_whoever_opens_the_weights(
    command: Command, classes: Path, blocks: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def opened(name: str, *, takes: str, download: bool) -> Encoder:
        asked.append(download)
        return blocks

    monkeypatch.setattr(offered, "open_backbone", opened)
    words = ("train", classes, "--learner", "nearest_centroid", "--budget", "1steps", "-q",
             "--backbone", "blocks")  # fmt: skip
    assert command(*words, "--out", "without").code == 0
    assert set(asked) == {False}
    asked.clear()
    assert command(*words, "--download", "--out", "with").code == 0
    assert set(asked) == {True}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data and files that no backbone is for."""
    root = tmp_path_factory.mktemp("others")
    rng = np.random.default_rng(0)
    np.savez(root / "v.npz", X=rng.normal(size=(80, 6)), y=np.repeat(np.arange(20), 4))
    with (root / "texts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(
            [f"what is {k} about {i}", f"label {k}"] for k in range(20) for i in range(4)
        )
    (root / "damaged.onnx").write_bytes(b"no net at all")
    (root / "weights.pth").write_bytes(b"weights of what?")
    (root / "folder").mkdir()
    Image.new("RGB", (8, 8)).save(root / "picture.png")
    return {path.name: path for path in root.iterdir()}


REFUSED = {  # the data, what is typed after --backbone, and what the line says
    "unknown name": ("CLASSES", ["lite1"], "no backbone is called 'lite1'; did you mean"),
    "unknown source": ("CLASSES", ["tim:resnet18"], "no backbone is called 'tim:'"),
    "a source without a name": ("CLASSES", ["timm:"], "no backbone is called 'timm:'"),
    "no name at all": ("CLASSES", [","], "a backbone is none, auto, or names with commas"),
    "no such file": ("CLASSES", ["nowhere/net.onnx"], "nowhere/net.onnx"),
    "a file that is no net": ("CLASSES", ["damaged.onnx"], "damaged.onnx"),
    "weights of who knows what": (
        "CLASSES",
        ["weights.pth"],
        "say of which: --backbone timm:NAME#",
    ),
    "a folder without a net": ("CLASSES", ["folder"], "folder"),
    "an absurd size": ("CLASSES", ["lite0@9000"], "32 to 512 pixels, got 9000"),
    "for vectors": ("v.npz", ["lite0"], "takes images; use another, or --backbone none"),
    "for texts": ("texts.csv", ["lite0"], "the data are texts, and backbone 'lite0' takes images"),
    "for functions": ("sinusoid", ["lite0"], "sinusoid is seen as it is; use --backbone none"),
    "beside a view": ("CLASSES", ["lite0", "--view", "words"], "leave one away"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("verb", ["learn", "train"])
def test_a_wrong_backbone_is_refused_in_one_line(
    verb: str, case: str, command: Command, classes: Path, others: dict[str, Path]
) -> None:
    data, typed, said = REFUSED[case]
    if ".onnx" in typed[0]:
        pytest.importorskip("onnxruntime")
    if typed[0] == "folder":
        pytest.importorskip("transformers")
    if typed[0].startswith("lite0") and lite0.packaged_file() is None:
        pytest.skip("the package with the weights of lite0 is not installed")
    words = [verb, {"CLASSES": classes, **others}.get(data, data), "--out", "out", "-q"]
    learner = "maml" if data == "sinusoid" else "protonet"
    words += ["--learner", learner] if verb == "train" else []
    typed = [str(others.get(word, word)) for word in typed]
    assert said in command(*words, "--budget", "1steps", "--backbone", *typed).error
    assert not Path("out").exists()


def test_a_package_that_is_missing_is_named_with_its_extra(
    command: Command, classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite0, "packaged_file", lambda: None)
    said = command("learn", classes, "--backbone", "lite0", "--budget", "1steps").error
    assert str(missing_extra("backbone 'lite0'", "backbones")) in said
