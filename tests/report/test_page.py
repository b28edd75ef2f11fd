"""The page: one file, nothing of anyone else's runs in it, the same bytes for the same records."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.archive import Artefact, ArtefactId, RunId
from metaloop.core.errors import OutputError
from metaloop.core.records import Choice
from metaloop.report import Records, page_of, read_run, write_report
from metaloop.report.page.markup import Html, element
from metaloop.report.page.pictures import pictures
from metaloop.report.page.source import source

PARTS = (
    "leaderboard",
    "progress",
    "lineage",
    "best",
    "credits",
    "promotions",
    "examples",
    "failures",
    "openings",
    "data",
    "backbones",
    "run",
)
_VOID = frozenset(("meta", "img", "path", "line", "circle"))


class Outline(HTMLParser):
    """Collects tags, attributes, headings, links and text; checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in _VOID
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of these names."""
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def large(large_folder: Path) -> Records:
    return read_run(large_folder)


@pytest.fixture(scope="module")
def large_page(large: Records) -> str:
    return page_of(large)


def test_the_same_records_give_the_same_page(large_folder: Path, large_page: str) -> None:
    assert page_of(read_run(large_folder)) == large_page
    assert page_of(read_run(large_folder / "archive.sqlite")) == large_page


def test_nothing_in_the_page_can_run_or_load_anything(large_page: str) -> None:
    outline = Outline(large_page)
    assert not outline.all("script", "iframe", "object", "embed", "link", "form", "base", "audio")
    for tag, attributes in outline.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "srcdoc", "action", "formaction", "xlink:href")
            if name in ("href", "src"):
                assert value is not None
                assert value.startswith("#" if name == "href" else "data:image/png;base64,")
    assert not re.search(r"url\(|@import|expression\(", large_page)


def test_the_policy_allows_this_style_sheet_alone(large_page: str) -> None:
    (policy,) = (
        meta["content"]
        for meta in Outline(large_page).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    (style,) = re.findall(r"<style>(.*?)</style>", large_page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def test_hostile_text_is_shown_as_text(large_page: str) -> None:
    assert "<script" not in large_page and "<img src=x" not in large_page
    assert "\u202e" not in large_page and "\x1b" not in large_page and "\x00" not in large_page
    text = "".join(Outline(large_page).text)
    assert "<script>alert('x')</script>\"&\\u202egnp.exe\\x1b[31mred" in text


@given(st.text(alphabet=st.characters(codec=None)))
def test_text_and_attributes_cannot_become_markup(text: str) -> None:
    outline = Outline(element("p", text, title=text))
    ((tag, attributes),) = outline.tags
    assert tag == "p" and set(attributes) - {"dir"} == {"title"}
    assert element("p", text).count("<") == 2


def test_a_line_from_right_to_left_is_set_so_and_emoji_are_shown() -> None:
    lines = ("שיר <b>", "👩‍🔧 مرحبا", "in Latin: שיר", "größe 👍🏽 ❤️", "日本語")
    outline = Outline(element("table", element("tr", *(element("td", line) for line in lines))))
    cells = [attributes for tag, attributes in outline.tags if tag == "td"]
    assert [cell.get("dir") for cell in cells] == ["auto"] * 3 + [None] * 2
    assert "".join(outline.text) == "".join(lines)
    assert element("p", element("b", "שיר")).startswith('<p dir="auto"><b>')
    assert element("p", "שיר", dir="ltr").startswith('<p dir="ltr">')


def test_markup_that_is_markup_stays_so() -> None:
    inner = element("b", "a & b")
    assert isinstance(inner, Html)
    assert element("p", inner, None, class_="x", hidden=True, lang=None) == (
        '<p class="x" hidden><b>a &amp; b</b></p>'
    )


def test_a_full_run_has_every_part_in_order(large_page: str) -> None:
    outline = Outline(large_page)
    assert tuple(attributes["id"] for attributes in outline.all("section")) == PARTS
    links = [attributes["href"] for attributes in outline.all("a")]
    assert links == [f"#{part}" for part in PARTS]
    headings = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))


def test_what_cannot_be_seen_is_named(large_page: str) -> None:
    outline = Outline(large_page)
    assert outline.all("html")[0]["lang"] == "en"
    assert all(attributes.get("alt") for attributes in outline.all("img"))
    for attributes in outline.all("svg"):
        named = attributes.get("role") == "img" and attributes.get("aria-label")
        assert named or attributes.get("aria-hidden") == "true"
    assert all(attributes.get("scope") for attributes in outline.all("th"))
    assert all(attributes.get("aria-label") for attributes in outline.all("table"))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_figures_of_a_small_run_are_on_its_page(small: Any) -> None:
    text = " ".join(Outline(page_of(small.records())).text).replace("\u00a0", " ")
    for expected in (
        "74.2 ± 0.6 %",
        "75.0 ± 1.0 %",
        "plan: learning_rate 0.003 → 0.01",
        "plan.learning_rate 0.003 → 0.01",
        "+5.0 ± 1.0 points",
        "+25.0 ± 1.0 points",
        "No trial failed.",
        "the end of a learn run (this run)",
        "a task of 5 letters",
        "train 2, search 1, promotion 1, test 2",
        "2 x unreadable image",
        "metaloop learn 'my letters' --budget 120s --shots 1 --ways 5",
        "cpu_count",
    ):
        assert expected in text, expected


def test_failures_and_broken_looks_are_on_the_page(bench: Any) -> None:
    best = bench.add("protonet", 0.7)
    for rate in (0.1, 0.2):
        bench.add("maml", None, status="timed out", message="after 30 s", rate=rate)
    bench.open_test(best, None)
    text = " ".join(Outline(page_of(bench.records())).text)
    assert "timed out" in text and "after 30 s" in text
    assert "broken off: nothing was seen" in text


@pytest.mark.parametrize("trials", [0, 1])
def test_a_page_of_hardly_anything_is_whole(trials: int, bench: Any) -> None:
    for _ in range(trials):
        bench.add("protonet", math.nan)
    outline = Outline(page_of(bench.records()))
    assert {"leaderboard", "openings", "run"} <= {a["id"] for a in outline.all("section")}


def test_an_error_is_printed_in_its_unit_and_not_as_a_share(bench: Any) -> None:
    parent = bench.add("protonet", 0.5, metric="mse")
    child = bench.add("protonet", 0.4, [parent], "plan: x", rate=0.1, metric="mse")
    bench.judge(child, parent, 0.1)
    text = " ".join(Outline(page_of(bench.records())).text)
    assert "0.400 ± 0.010 mse" in text and "+0.100 ± 0.010 mse" in text
    assert "lower is better" in text and "points" not in text


@pytest.mark.parametrize(
    "program", ["def f(:\n  '", "\x00\x0c\u2028x = 1", "x = '''", "\tx\n y", "", "é = 'ß'  # <b>\n"]
)
def test_source_that_is_no_python_is_shown_whole(program: str) -> None:
    shown = "".join(Outline(source(program)).text)
    assert len(shown) >= len(program.strip("\n"))


def test_source_is_the_program_in_colours() -> None:
    program = "def f(x):\n    return x + 1.5  # é <b>\n"
    page = source(program)
    assert "".join(Outline(page).text) == program.strip("\n")
    for part in (
        '<span class="keyword">def</span> <span class="defined">f</span>',
        '<span class="literal">1.5</span>',
        '<span class="comment"># é &lt;b&gt;</span>',
    ):
        assert part in page


def test_only_pictures_of_fitting_size_are_shown() -> None:
    png = b"\x89PNG\r\n\x1a\n"
    kept = [
        Artefact(ArtefactId(number), RunId(1), "a", kind, "a caption", content)
        for number, (kind, content) in enumerate(
            (
                ("image/png", png + b"small"),
                ("image/png", b"GIF89a"),
                ("image/svg+xml", b"<svg onload=alert(1)>"),
                ("image/png", png + bytes(3_000_000)),
                ("audio/wav", b"RIFF and samples"),
                ("audio/wav", png),
            )
        )
    ]
    shown = pictures(kept)
    assert shown is not None
    (picture,) = Outline(shown).all("img")
    assert picture["alt"] == "a caption"
    (sound,) = Outline(shown).all("audio")
    assert sound["src"] == "data:audio/wav;base64,UklGRiBhbmQgc2FtcGxlcw==" and "controls" in sound
    assert "4 artefacts not shown" in shown
    many = pictures([kept[0]] * 100)
    assert many is not None and many.count("<img") == 12
    assert pictures([]) is None


def test_tables_are_shown_as_text_and_broken_ones_are_left_out() -> None:
    contents = (
        b"word,says\n<b>\xe2\x80\xaeyes</b>,<script>alert(1)</script>\n",
        b"one,two\nthree\n",
        b"\xff\xfe",
        b'one,"two\n',
        b"one,two\n" + b"a,b\n" * 200,
        b"one,two\n" + b"a" * 200_000 + b",b\n",
    )
    kept = [
        Artefact(ArtefactId(number), RunId(1), "a table", "text/csv", "what was said", content)
        for number, content in enumerate(contents)
    ]
    shown = pictures(kept)
    assert shown is not None and shown.count("<table") == 1
    assert "<script" not in shown and "&lt;script&gt;alert(1)" in shown
    assert "5 artefacts not shown" in shown and "what was said" in shown


def test_a_long_class_name_and_many_classes_stay_short(bench: Any, large_page: str) -> None:
    bench.add("protonet", 0.5, options={"x": "y" * 10_000}, generators=(Choice("z" * 5000),))
    assert len(page_of(bench.records())) < 60_000
    assert len(large_page) < 1_000_000


def test_the_page_is_written_beside_the_archive_and_replaced(small: Any, tmp_path: Path) -> None:
    records = small.records()
    first = write_report(records, small.folder)
    assert first == small.folder / "report.html"
    assert first.read_text(encoding="utf-8") == page_of(records)
    assert write_report(records, small.folder / "archive.sqlite") == first
    other = tmp_path / "page.html"
    assert write_report(records, small.folder, other) == other
    assert other.read_bytes() == first.read_bytes()
    assert not list(tmp_path.glob(".*")) and not list(small.folder.glob(".*tmp"))


def test_a_page_never_replaces_what_is_no_report(small: Any, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.html"
    mine.write_text("my own words")
    for out, said in (
        (mine, "is no report"),
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "page.html", "there is no folder"),
        (small.folder / "archive.sqlite", "is no report"),
    ):
        with pytest.raises(OutputError, match=said):
            write_report(small.records(), small.folder, out)
    assert mine.read_text() == "my own words"
