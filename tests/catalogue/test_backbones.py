"""The table of backbones: names, what is installed, and one line for a name that is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from metaloop.catalogue import backbones
from metaloop.catalogue.backbones import (
    BACKBONES,
    BackboneEntry,
    installed,
    open_backbone,
)
from metaloop.cli import app, listing
from metaloop.core.errors import DataError, UnknownNameError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lite", "no backbone is called 'lite'; did you mean 'lite0'"),
        ("lite0@", "did you mean 'lite0"),
        ("lite0:x", "did you mean 'lite0"),
        ("tim:resnet18", "did you mean .*'timm:NAME'"),
        ("timm:", "did you mean 'timm:NAME'"),
        ("timm", "did you mean .*'timm:NAME'"),
        ("", "no backbone is called ''"),
        ("nothing/like/it", "known: gensim:FILE, hf:FOLDER, hf:NAME, lite0,.*minilm"),
    ],
)
def test_a_name_that_is_none_lists_near_ones(name: str, told: str) -> None:
    with pytest.raises(UnknownNameError, match=told):
        open_backbone(name)


def test_data_of_another_kind_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(DataError, match="the data are texts, and backbone 'lite0' takes images"):
        open_backbone("lite0", takes="texts")
    with pytest.raises(DataError, match="the data are images, and backbone 'minilm' takes texts"):
        open_backbone("minilm")
    with pytest.raises(DataError, match="texts have no size in pixels; leave @64 away"):
        open_backbone("minilm@64", takes="texts")


def test_what_a_name_of_several_kinds_stands_for_is_said_by_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    for key in ("hf", "hf texts"):
        entry = replace(BACKBONES[key], open=lambda *given, key=key: asked.append(key))
        monkeypatch.setattr(backbones, "BACKBONES", {**backbones.BACKBONES, key: entry})
    for takes in ("texts", "images"):
        open_backbone("hf:someone/net", takes=takes)
    assert asked == ["hf texts", "hf"]


def test_a_file_of_weights_alone_asks_of_which_net_they_are(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    with pytest.raises(DataError, match=r"say of which: --backbone timm:NAME#.*net\.pth"):
        open_backbone(str(tmp_path / "net.pth"))


def test_what_is_installed_is_what_packages_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "_has", lambda package: True)
    assert installed("images") == ("lite0",)
    assert installed("texts") == (
        "minilm", "minilm-layers", "wordllama", "minilm+wordllama", "minilm-layers+wordllama",
    )  # fmt: skip
    monkeypatch.setattr(backbones, "_has", lambda package: False)
    assert installed("images") == ()


@pytest.mark.parametrize(
    "verb", [["learn", "glyphs"], ["train", "glyphs", "--learner", "maml", "--out", "x"]]
)
def test_a_name_to_download_that_is_none_is_refused_in_a_line(verb: list[str]) -> None:
    done = CliRunner().invoke(app, [*verb, "--backbone", "timmm:resnet18", "--download"])
    assert isinstance(done.exception, UnknownNameError | SystemExit)
    assert "no backbone is called 'timmm:'" in f"{done.exception} {done.output}"


@pytest.mark.skipif(not BACKBONES["lite0"].is_installed, reason="pip install 'metaloop[backbones]'")
def test_a_backbone_that_is_installed_opens_by_its_name() -> None:
    for name in installed("images"):
        card = open_backbone(name).card
        assert (card.name, card.takes) == (name, "images")
        assert (card.licence, card.knows) == (BACKBONES[name].licence, BACKBONES[name].knows)
    assert open_backbone("lite0@64").card.size == 64


@pytest.mark.parametrize("entry", BACKBONES.values(), ids=BACKBONES)
def test_the_command_installs_an_extra_that_brings_the_packages(entry: BackboneEntry) -> None:
    extra = re.fullmatch(
        r"pip install 'metaloop\[([\w,]+)\]'(?: && pip install --no-deps ([\w-]+))?", entry.install
    )
    assert extra
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    extras = extra[1].split(",")
    lines = [re.search(rf"^{name} = (\[.*?\])", project, re.MULTILINE) for name in extras]
    brought = "".join(line[1] for line in lines if line)
    assert all(lines)
    for package in entry.packages:
        assert f'"{package}>=' in brought or package == extra[2]
        pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
        assert re.search(rf"^{package}==", pins, re.MULTILINE)


def test_the_list_says_what_is_installed_and_how_to_install_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backbones, "_has", lambda package: package == "timm")
    done = CliRunner().invoke(app, ["list", "backbones", "--json"])
    found: Any = {entry["name"]: entry for entry in json.loads(done.stdout)["backbones"]}
    timm = found["timm:NAME, timm:NAME#FILE"]
    assert (timm["installed"], timm["install"]) == ("yes", "pip install 'metaloop[vision]'")
    lite0 = found["lite0, lite0@160, lite0@224"]
    assert (lite0["installed"], lite0["install"]) == ("no", "pip install 'metaloop[backbones]'")
    shown: dict[str, str] = {}  # what a table for people has as `installed`
    monkeypatch.setattr(
        listing, "print_table", lambda names, rows: shown.update((row[0], row[2]) for row in rows)
    )
    assert CliRunner().invoke(app, ["list", "backbones"]).exit_code == 0
    assert (shown[timm["name"]], shown[lite0["name"]]) == ("yes", lite0["install"])
    assert (lite0["size"], lite0["licence"], lite0["knows"]) == (
        "17 MB",
        "Apache-2.0",
        "ImageNet-1k",
    )


def test_what_one_command_fetches_is_of_one_size() -> None:
    sizes: dict[str, set[int]] = {}
    for entry in BACKBONES.values():
        sizes.setdefault(entry.install, set()).add(entry.megabytes)
    assert all(len(found) == 1 for found in sizes.values()), sizes


def test_the_page_on_backbones_has_every_source_and_its_command() -> None:
    page = (REPOSITORY / "docs" / "backbones.md").read_text(encoding="utf-8")
    for entry in BACKBONES.values():
        for written in (*entry.written.split(", "), entry.install):
            assert f"`{written}`" in page


def test_names_with_a_plus_are_nets_beside_each_other() -> None:
    packaged = pytest.importorskip("metaloop.domains.images.lite0").packaged_file()
    if packaged is None:
        pytest.skip("lite0 is not installed: pip install 'metaloop[backbones]'")
    both, small, large = (open_backbone(n) for n in ("lite0@32 + lite0@64", "lite0@32", "lite0@64"))
    assert (both.card.name, both.card.features, both.card.size) == ("lite0@32+lite0@64", 2560, 64)
    assert (both.card.licence, both.card.knows) == ("Apache-2.0", "ImageNet-1k")
    assert len({both.card.weights, small.card.weights}) == 2
    images = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8)
    unit = [torch.nn.functional.normalize(each.encode(images), dim=1) for each in (small, large)]
    torch.testing.assert_close(both.encode(images), torch.cat(unit, dim=1))
    for name in ("lite0+lite", "+".join(["lite0"] * 5)):  # not a thousand nets for a stranger
        with pytest.raises(UnknownNameError, match=r"no backbone is called 'lite0\+lite"):
            open_backbone(name)
    with pytest.raises(DataError, match="'minilm' takes texts"):
        open_backbone("lite0+minilm")
