"""Every table of a report says who saw inputs through which backbone, where there was one."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from rich.console import Console

from metaloop.archive import add_backbones
from metaloop.catalogue.view_limits import checked_cards
from metaloop.cli import run as command
from metaloop.core.errors import ArchiveError, ModelFileError
from metaloop.core.fitted_view import FittedView
from metaloop.core.leagues import (
    Backbone,
    EncoderCard,
    backbones_sentence,
    card_bibtex,
    card_from_json,
    card_json,
    league_of,
)
from metaloop.core.records import Choice
from metaloop.report import summary_json
from metaloop.report.claim import claim_of
from metaloop.report.export.csv_files import write_csv
from metaloop.report.page import page_of
from metaloop.report.terminal import candidate_story, run_report

LITE = EncoderCard(
    "lite0", "images", 1280, "0123456789abcdef", 96, "some-package 1.0", "Apache-2.0",
    "ImageNet-1k", "@article{tan2019, title={EfficientNet}}",
)  # fmt: skip
MINE = EncoderCard("mine", "images", 64, "fedcba9876543210")


@pytest.fixture
def offered(bench: Any) -> Any:
    """A finished run of nets on pixels, through a backbone, and of both joined; that one won."""
    add_backbones(bench.archive, bench.run, [Backbone("lite0", LITE), Backbone("mine", MINE)])
    pixels = bench.add("protonet", 0.6)
    lite = bench.add("protonet", 0.7, view="lite0", net="mlp")
    both = bench.add("simpleshot", 0.8, view="own + lite0", net="joined")
    bench.judge(both, pixels, 0.2, part="promotion")
    bench.open_test(both, 0.77)
    bench.archive.end_run(bench.run, "finished")
    bench.names.update(pixels=pixels, lite=lite, both=both)
    return bench


def text_of(parts: Any) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in parts:
        console.print(part)
    console.file.close()
    return console.export_text()


def cells(page: str, row: str) -> list[str]:
    """The cells of the leaderboard's row that begins with this candidate."""
    found = next(r for r in re.findall(r"<tr.*?</tr>", page, re.S) if row in r)
    return [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<td.*?</td>", found)]


def test_a_league_is_the_backbones_of_all_views_that_are_seen() -> None:
    on_offer = [Backbone("", LITE), Backbone("mine", MINE)]
    assert league_of([""], on_offer) == "lite0"
    assert league_of(["", "mine"], on_offer) == "lite0 + mine"
    assert league_of([""], on_offer[1:]) == league_of([""], []) == "none"


def test_cards_go_through_json_but_for_their_citations() -> None:
    assert card_from_json({"view": "", **card_json(LITE)}) == replace(LITE, citation="")


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ([], "without pretraining"),
        ([LITE], "trained on ImageNet-1k); classes of ImageNet-1k are not new to it."),
        ([MINE], "which classes it has seen is not known"),
        ([LITE, MINE], "classes of ImageNet-1k are not new to it, others may not be."),
    ],
)
def test_what_backbones_know_is_said_in_a_sentence(cards: list[EncoderCard], said: str) -> None:
    assert said in backbones_sentence(cards)


def test_json_has_the_league_of_each_candidate(offered: Any) -> None:
    report = summary_json(offered.records())
    leagues = {each["candidate"]: each["league"] for each in report["leaderboard"]}
    names = offered.names
    assert leagues == {names["pixels"]: "none", names["lite"]: "lite0", names["both"]: "lite0"}
    assert [each["name"] for each in report["backbones"]] == ["lite0", "mine"]
    assert report["backbones"][0]["licence"] == "Apache-2.0"


def test_json_says_what_of_the_test_a_backbone_has_seen_before(offered: Any) -> None:
    report = summary_json(offered.records())
    rows = {each["candidate"]: each["pretraining"] for each in report["leaderboard"]}
    assert rows[offered.names["pixels"]] == []
    (told,) = rows[offered.names["lite"]]
    assert told["knows"] == "ImageNet-1k" and told["not_known"] == told["classes"] == 2


def test_the_claim_counts_the_classes_that_are_no_news(offered: Any) -> None:
    records = offered.records()
    (data,) = records.data_sets
    imagenet = replace(data, parts={**data.parts, "test": ("n01440764", "n02084071", "mine")})
    told = claim_of(replace(records, data_sets=(imagenet,))).sentences
    assert "By their names 1 of the 3 classes of the test are among what lite0 was trained on." in (
        told
    )
    assert not any("By their names" in sentence for sentence in claim_of(records).sentences)


def test_a_named_backbone_is_what_all_candidates_see_through(bench: Any) -> None:
    add_backbones(bench.archive, bench.run, [Backbone("", LITE)])
    bench.add("protonet", 0.6)
    (row,) = summary_json(bench.records())["leaderboard"]
    assert row["league"] == "lite0"


def test_the_claim_names_the_league_and_the_best_of_the_other(offered: Any) -> None:
    sentences = claim_of(offered.records()).sentences
    assert any(
        "in the league with a backbone: inputs are seen through lite0" in s for s in sentences
    )
    best = next(s for s in sentences if s.startswith("The best without pretraining is protonet"))
    assert "60.0" in best


def test_terminal_and_page_have_a_column_and_a_table_of_backbones(offered: Any) -> None:
    records = offered.records()
    shown = text_of(run_report(records))
    assert re.search(r"joined of own \+ lite0 +with lite0 ", shown)
    assert re.search(r"protonet / conv4 +without ", shown)
    assert "ImageNet-1k" in shown and "0123456789abcdef" in shown
    page = page_of(records)
    assert cells(page, offered.names["both"][:8])[0] == "with lite0"
    assert cells(page, offered.names["pixels"][:8])[0] == "without"
    assert "classes of ImageNet-1k are not new to it" in page
    assert "What mine was trained on is not known" in page
    stored = records.candidates[offered.names["both"]]
    assert "with lite0" in text_of(candidate_story(records, stored))


def test_rows_say_their_league_where_no_backbone_was_on_offer(small: Any) -> None:
    records = small.records()
    assert records.backbones == () and len(records.artefacts) == 1
    page, shown = page_of(records), text_of(run_report(records))
    for name in small.names.values():
        assert cells(page, name[:8])[0] == "without"
        assert any(name[:8] in line and " without " in line for line in shown.splitlines())
    assert "league" in text_of(candidate_story(records, records.candidates[small.names["child"]]))
    for text in (page, shown):
        assert "ackbone" not in text  # there is nothing to say of any
    assert {each["league"] for each in summary_json(records)["leaderboard"]} == {"none"}


def test_tables_of_export_have_leagues_and_backbones(offered: Any, tmp_path: Any) -> None:
    write_csv(offered.records(), tmp_path / "tables")
    with (tmp_path / "tables" / "candidates.csv").open() as file:
        leagues = {row["candidate"]: row["league"] for row in csv.DictReader(file)}
    assert leagues[offered.names["both"]] == "lite0" and leagues[offered.names["pixels"]] == "none"
    with (tmp_path / "tables" / "backbones.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["lite0", "mine"]
    told = {**asdict(LITE), "citation": f"'{LITE.citation}"}  # else a spreadsheet runs it
    assert rows[0] == {"view": "lite0", **{key: str(value) for key, value in told.items()}}


def test_cite_names_the_backbones_of_a_run(offered: Any, capsys: Any) -> None:
    offered.archive.close()
    assert command(["cite", str(offered.folder)]) == 0
    printed = capsys.readouterr().out
    assert "@article{tan2019" in printed
    for card in (LITE, MINE):  # one that has a paper, and one that has none
        assert f"@misc{{{card.name}-{card.weights}," in printed
        assert f"SHA-256 {card.weights}; licence: {card.licence}" in printed
    assert "version = {some-package 1.0}" in printed
    assert command(["cite", str(offered.folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["backbones"] == [card_json(LITE), card_json(MINE)]
    assert len(told["citations"]) == 5  # two learners, a paper, two backbones


def test_joined_backbones_have_the_papers_of_both(bench: Any, capsys: Any) -> None:
    other = replace(MINE, citation="@misc{mine2024, title={Mine}}")
    both = replace(LITE, name="lite0+mine", citation=f"{LITE.citation}\n{other.citation}")
    add_backbones(bench.archive, bench.run, [Backbone("lite0", LITE), Backbone("both", both)])
    bench.archive.close()
    assert command(["cite", str(bench.folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("@article{tan2019") == printed.count("@misc{mine2024") == 1


def test_whatever_a_card_says_it_stays_one_entry_of_bibtex() -> None:
    entry = card_bibtex(replace(LITE, name="onnx:a/{n_1}.onnx", knows="50 % \\input{x} & }"))
    assert entry.count("{") == entry.count("}") and entry.startswith("@misc{n-1-onnx-0123")
    assert r"title = {onnx:a/(n\_1).onnx}" in entry and r"50 \% /input(x) \& )" in entry


def test_a_model_file_with_a_damaged_card_is_refused_in_one_line() -> None:
    for written in ({"name": "lite0"}, {**vars(LITE), "weights": 3}, {**vars(LITE), "odd": 1}):
        with pytest.raises(ModelFileError, match="the model file is damaged"):
            checked_cards(FittedView(Choice("encoder", written)))
    with pytest.raises(ModelFileError, match="the model file is damaged"):
        checked_cards(FittedView(Choice("beside", {"of": [1]})))


def test_the_last_try_tells_of_a_backbone_that_several_were_offered(offered: Any) -> None:
    newer = replace(LITE, version="some-package 1.1")
    add_backbones(offered.archive, offered.run, [Backbone("lite0", newer)])
    assert [b.card.version for b in offered.records().backbones] == ["some-package 1.1", ""]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"{}",
        b"[1]",
        b'[{"view": 1, "card": {}}]',
        b'[{"view": "", "card": {"name": 1}}]',
    ],
)
def test_a_damaged_record_is_refused_in_one_line(bench: Any, content: bytes) -> None:
    bench.archive.add_artefact(bench.run, "backbones", "application/json", content)
    if content == b"{}":
        assert bench.records().backbones == ()
        return
    with pytest.raises(ArchiveError, match="record of backbones is damaged"):
        bench.records()


def test_what_a_record_says_cannot_steer_a_page_or_a_terminal(bench: Any, hostile: str) -> None:
    told = hostile.replace("\x00", "")
    card = EncoderCard(told, told, 1, told, 1, told, told, told, told)
    add_backbones(bench.archive, bench.run, [Backbone("", card)])
    bench.add("protonet", 0.6)
    records = bench.records()
    for text in (page_of(records), text_of(run_report(records))):
        assert "\x1b" not in text and "\u202e" not in text
    assert "<script>alert" not in page_of(records) and "<img src=x" not in page_of(records)
