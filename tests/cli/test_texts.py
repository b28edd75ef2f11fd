"""Texts by the command line, from a table to predictions, as a user drives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import FRAMES, WORDS

import metaloop as ml
from metaloop.archive import Archive
from metaloop.catalogue import offered
from metaloop.catalogue.backbones import BACKBONES
from metaloop.cli import predict as predicting
from metaloop.cli import texts

Command = Callable[..., Any]

QUICK = ("--ways", "4", "--queries", "2", "--quiet")


@pytest.fixture
def table(questions: Path) -> Path:
    return questions


@pytest.fixture
def model(model_of_texts: Path) -> Path:
    return model_of_texts


@pytest.fixture
def support(tmp_path: Path) -> Path:
    """Three examples of each of two new classes, as CSV with other names of the columns."""
    path = tmp_path / "support.csv"
    path.write_text(
        "text,label\nopen the window,house\nthe window is broken,house\nclean a window,house\n"
        '"a horse, please",animal\nfeed the horse,animal\nthe horse runs,animal\n'
    )
    return path


def test_a_table_of_texts_is_told_with_its_view(command: Command, table: Path) -> None:
    told = command("data", table, "--json").json
    assert told["classes"] == 24 and told["examples"] == 96
    assert any("% on 'search' (other views: " in note for note in told["understood"])
    assert "words" in command("data", table, "--view", "words").out
    assert "'words'" in command("data", table, "--view", "wrods").error


def test_columns_are_named_by_flags_of_their_own(
    command: Command, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{w},{f.format(w)},{n % 4}" for n, w in enumerate(WORDS.split()) for f in FRAMES]
    path.write_text("\n".join(["kind,body,area", *rows]) + "\n")
    named = ("--text", "body", "--label", "kind", "--domain", "area")
    told = command("data", path, *named, "--view", "words", "--json").json
    assert told["groups"] == 4
    assert told["understood"][0] == "columns: label 'kind', text 'body', group 'area'"
    refused = command("data", path, *named, "--columns", "text=kind").error
    assert "--text body and --columns text=kind name two columns of one role" in refused
    assert "--domain area" in command("data", path, *named, "--columns", "group=kind").error
    asked = tmp_path / "asked.csv"
    asked.write_text("body,note\nmy parcel,x\n")
    found = command("predict", model, asked, "--support", path, *named, "--json").json
    assert found["predictions"][0]["label"] == "parcel"


def test_the_loop_learns_from_texts(
    command: Command, table: Path, tmp_path: Path, quick_catalogue: None
) -> None:
    out = tmp_path / "run"
    asked = ("--budget", "30steps", "--workers", "1", "--out", out, "--json")
    report = command("learn", table, *asked, *QUICK).json
    assert report["test"]["value"] > 0.5
    assert command("report", out, "--json").code == 0
    again = command("evaluate", out / "model.metaloop", table, "--episodes", "100", "--json").json
    assert again["recognised"]["unknown"] == 0
    assert again["value"] == pytest.approx(report["test"]["value"], abs=0.1)


def test_new_texts_are_told_apart_after_a_few_examples(
    command: Command, model: Path, support: Path, tmp_path: Path
) -> None:
    (tmp_path / "asked.txt").write_text("is the window open?\nmy horse\n\n")
    (tmp_path / "asked.csv").write_text("number,question\n1,a window\n2,the horses\n")
    asked = ("--support", support, "--json")
    found = command("predict", model, tmp_path / "asked.txt", tmp_path / "asked.csv", *asked).json
    assert [row["label"] for row in found["predictions"]] == ["house", "animal"] * 2
    assert found["predictions"][1]["input"].endswith("asked.txt[1]")
    adapted = tmp_path / "adapted.metaloop"
    assert command("fit", model, "--support", support, "--out", adapted).code == 0
    again = command("predict", adapted, tmp_path / "asked.txt", "--json").json
    assert again["predictions"] == found["predictions"][:2]


def test_a_long_list_of_texts_is_predicted_as_it_is_read(
    command: Command, model: Path, support: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "AT_ONCE", 3)
    monkeypatch.setattr(predicting, "_TOLD_FROM", 10)
    asked = tmp_path / "asked.txt"
    asked.write_text("is the window open?\n\nmy horse\n" * 4 + "\n\n", encoding="utf-8-sig")
    whole = command("predict", model, asked, "--support", support, "--json").json["predictions"]
    lines = command("predict", model, asked, "--support", support)
    found = [line.split("\t") for line in lines.out.splitlines()]
    assert [(label, name) for label, _, name in found] == [
        (row["label"], row["input"]) for row in whole
    ]
    assert len(found) == 12 and "ms each" in lines.err
    refused = command("predict", model, asked, "--support", support, "--skip-unreadable").error
    assert "--skip-unreadable leaves out files of images and recordings" in refused
    assert "leave --step away" in command("predict", model, asked, "--step", "1s").error


def test_folders_of_text_files_are_a_support_and_inputs(
    command: Command, model: Path, tmp_path: Path
) -> None:
    texts = {"house/1": "open the window", "house/2": "a window", "animal/1": "feed the horse"}
    for name, text in texts.items():
        (tmp_path / "support" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "support" / f"{name}.txt").write_text(text)
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked" / "b.txt").write_text("is the window\nopen?")
    (tmp_path / "asked" / "a.txt").write_text("my horse")
    found = command(
        "predict", model, tmp_path / "asked", "--support", tmp_path / "support", "--json"
    )
    assert [(row["label"], Path(row["input"]).name) for row in found.json["predictions"]] == [
        ("animal", "a.txt"),
        ("house", "b.txt"),
    ]


def test_a_list_that_is_no_utf8_is_guessed_and_said(
    command: Command, model: Path, support: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_bytes("a café with a window\nmy horse\n".encode("cp1252"))
    for flag in ((), ("--json",)):
        found = command("predict", model, asked, "--support", support, *flag)
        assert found.code == 0 and "taken for Latin-1" in found.err
    asked.write_bytes("my horse\r\n".encode("utf-16"))
    assert command("predict", model, asked, "--support", support).out.startswith("animal\t")
    asked.write_bytes(b"my\0horse\n")
    assert "is no text" in command("predict", model, asked, "--support", support).error
    asked.write_text("x" * (texts.MOST_CHARACTERS + 1))
    assert "line 1" in command("predict", model, asked, "--support", support).error
    cell = tmp_path / "asked.csv"
    cell.write_text("text\nmy horse\n" + "x" * (texts.MOST_CHARACTERS + 1))
    assert "characters in row 2" in command("predict", model, cell, "--support", support).error


def test_the_name_of_a_class_is_one_more_example_if_asked(
    command: Command, model: Path, tmp_path: Path
) -> None:
    support, asked = tmp_path / "s.csv", tmp_path / "asked.txt"
    support.write_text("text,label\nqqq www,lost_luggage\nzzz kkk,broken.oven\n")
    asked.write_text("my luggage is lost\nthe oven is broken\n")
    adapted = tmp_path / "adapted.metaloop"
    named = ("--support", support, "--use-label-names")
    found = command("predict", model, asked, *named, "--json")
    labels = [row["label"] for row in found.json["predictions"]]
    assert labels == ["lost_luggage", "broken.oven"] and "name of each class" in found.err
    assert command("fit", model, *named, "--out", adapted, "--json").json["examples"] == 4
    again = command("predict", adapted, asked, "--json").json
    assert again["predictions"] == found.json["predictions"]
    assert "adapted already" in command("predict", adapted, asked, "--use-label-names").error


def test_a_support_is_judged_as_data_are(command: Command, model: Path, tmp_path: Path) -> None:
    support, asked = tmp_path / "s.csv", tmp_path / "asked.txt"
    asked.write_text("my luggage is lost\n")
    rows = ["text,label", "pay now,pay", "play it,play", "pay at once,pay|urgent"]
    support.write_text("\n".join(rows))
    for words in (("predict", model, asked), ("fit", model, "--out", "x.metaloop")):
        refused = command(*words, "--support", support).error
        assert "1 of 3 rows have several labels, the first is 'pay|urgent'" in refused
    support.write_text("\n".join([*rows[:-1], "play it,pay"]))
    told = command("predict", model, asked, "--support", support)
    assert "1 text has different labels in different rows, such as 'play it'" in told.err
    for name in ("pay", "play"):
        (tmp_path / "folder" / name).mkdir(parents=True)
        (tmp_path / "folder" / name / "1.txt").write_text("play it")
    told = command("predict", model, asked, "--support", tmp_path / "folder")
    assert "different labels in different files" in told.err


def test_what_is_no_text_is_refused_in_one_line(
    command: Command, model: Path, support: Path, tmp_path: Path
) -> None:
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("a,b,label\n1,2,x\n3,4,y\n")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"no picture")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    for arguments, message in (
        (("fit", model, "--support", numbers, "--out", "x.metaloop"), "no column of text"),
        (("fit", model, "--support", picture, "--out", "x.metaloop"), "the model takes texts"),
        (("predict", model, picture, "--support", support), "the model takes texts"),
        (("predict", model, empty, "--support", support), "has no text"),
        (("predict", model, numbers, "--support", support), "--text NAME"),
        (("evaluate", model, numbers, "--quiet"), ""),
        (("data", numbers, "--view", "words"), ""),
    ):
        assert message in command(*arguments).error


@pytest.fixture
def wordllama(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """`auto` offers the encoder of that name; what it makes is kept in a cache of its own."""
    if not BACKBONES["wordllama"].is_installed:
        pytest.skip("wordllama is not installed: pip install 'metaloop[wordllama]'")
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(offered, "installed", lambda takes: ("wordllama",) * (takes == "texts"))
    return "wordllama"


@pytest.mark.long  # that views race is in tests/loop/test_views_in_the_loop.py
def test_the_loop_races_an_encoder_of_texts_beside_the_terms(
    command: Command,
    table: Path,
    support: Path,
    tmp_path: Path,
    quick_catalogue: None,
    wordllama: str,
) -> None:
    out = tmp_path / "run"
    asked = ("--budget", "60steps", "--workers", "1", "--out", out, "--json")
    report = command("learn", table, *asked, *QUICK).json
    assert report["test"]["value"] > 0.5
    with Archive.open(out / "archive.sqlite", read_only=True) as archive:
        stored = {s.identity: s.candidate for s in archive.candidates()}
        trained = {stored[t.trial.candidate].view for t in archive.trials()}
    assert {"", wordllama} <= trained
    again = command("evaluate", out / "model.metaloop", table, "--episodes", "100", "--json").json
    assert again["value"] == pytest.approx(report["test"]["value"], abs=0.1)
    (tmp_path / "asked.txt").write_text("is the window open?\nmy horse\n")
    found = command(
        "predict", out / "model.metaloop", tmp_path / "asked.txt", "--support", support, "--json"
    ).json
    assert [row["label"] for row in found["predictions"]] == ["house", "animal"]


def test_a_model_sees_new_texts_through_the_encoder_that_it_names(
    command: Command, table: Path, support: Path, tmp_path: Path, wordllama: str
) -> None:
    model = tmp_path / "seen.metaloop"
    asked = ("--learner", "protonet", "--backbone", wordllama, "--budget", "20steps", "--json")
    trained = command("train", table, *asked, "--out", model, *QUICK).json
    assert trained["search"]["value"] > 0.5
    assert command("evaluate", model, table, "--episodes", "100", "--json").json["value"] > 0.5
    texts = ["open the window", "feed the horse", "our windows", "horses"]
    (tmp_path / "asked.txt").write_text("\n".join([*texts[2:], "🐎 مرحبا"]))
    adapted = tmp_path / "adapted.metaloop"
    assert command("fit", model, "--support", support, "--out", adapted).code == 0
    found = command("predict", adapted, tmp_path / "asked.txt", "--json").json["predictions"]
    assert [row["label"] for row in found[:2]] == ["house", "animal"]
    fitted = ml.load(model).fit(texts[:2], ["house", "animal"])
    assert fitted.predict(texts[2:]).tolist() == ["house", "animal"]
    alone = fitted.predict_proba(texts[2:3])
    assert alone == pytest.approx(fitted.predict_proba(texts)[2:3], abs=1e-5)
    fitted.save(tmp_path / "again.metaloop")
    assert ml.load(tmp_path / "again.metaloop").predict(["horse"]).tolist() == ["animal"]


def test_an_encoder_of_images_is_refused_for_texts(command: Command, table: Path) -> None:
    told = command("learn", table, "--backbone", "lite0", "--budget", "1s", "--quiet").error
    assert "the data are texts, and backbone 'lite0' takes images" in told
