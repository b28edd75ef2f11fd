"""The README and the pages of docs/: their commands, links, limits and examples are true."""

from __future__ import annotations

import ast
import doctest
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from markdown_it import MarkdownIt
from typer.main import get_command

from metaloop.cli import app
from metaloop.cli.errors import USAGE_ERROR

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
MARKDOWN = MarkdownIt("commonmark")
MOST_LINES_OF_README = 120


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yields the language and the text of every fenced block of a page."""
    for token in MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            yield token.info.partition(" ")[0], token.content


def commands() -> Iterator[tuple[str, str]]:
    """Yields every command of metaloop in the pages, with the page."""
    for page in PAGES:
        for language, text in blocks(page):
            if language in ("", "sh", "{verb}", "{catalogue}"):
                for line in text.splitlines():
                    if re.match(r"\s*(\.venv/bin/)?metaloop\s", line):
                        yield name_of(page), line.strip()


COMMANDS = list(commands())


def understand(line: str) -> None:
    """Parses a command as the program would; raises `USAGE_ERROR` for what it does not take."""
    words = shlex.split(line, comments=True)[1:]
    group = get_command(app)
    try:
        with group.make_context("metaloop", list(words)) as context:
            verb, command, arguments = group.resolve_command(context, words)
            inner = command.make_context(verb, list(arguments), parent=context)
            if hasattr(command, "commands"):
                verb, command, arguments = command.resolve_command(inner, arguments)
                command.make_context(verb, arguments, parent=inner)
    except typer.Exit:
        assert "--help" in words


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_in_a_page_is_one_that_the_program_takes(page: str, line: str) -> None:
    understand(line)


@pytest.mark.parametrize(
    "line",
    [
        *("metaloop lern x", "metaloop data x --classes 2", "metaloop train x"),
        *("metaloop fit --ways a", "metaloop archive prune x --old 3d"),
    ],
)
def test_a_command_that_the_program_does_not_take_would_be_found(line: str) -> None:
    with pytest.raises(USAGE_ERROR):
        understand(line)


@pytest.mark.parametrize("verb", sorted(get_command(app).commands))
def test_every_verb_has_a_section_with_an_example_and_its_options(verb: str) -> None:
    page = (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {verb}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert re.search(rf"^metaloop {verb} (?!--help)", section[1], re.MULTILINE)
    assert f"```{{verb}} {verb}\n" in section[1]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue  # of another host
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(REPOSITORY), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def links(page: Path) -> Iterator[str]:
    for token in MARKDOWN.parse(page.read_text(encoding="utf-8")):
        for part in token.children or ():
            found = part.attrGet("href") or part.attrGet("src")
            if found is not None:
                yield str(found)


def anchors(page: Path) -> set[str]:
    """Returns what GitHub and the site call the headings of a page."""
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    headings = [text.content for token, text in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pages_that_docs_includes_are_there() -> None:
    included = {
        (page.parent / found).resolve()
        for page in PAGES
        for found in re.findall(r"^```\{include\} (\S+)$", page.read_text("utf-8"), re.MULTILINE)
    }
    assert {path.name for path in included} >= {"README.md", "ARCHITECTURE.md", "LOG.md"}
    assert all(path.is_file() for path in included)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_in_a_page_can_be_parsed(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text)


def test_the_readme_is_short() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= MOST_LINES_OF_README


SESSIONS = [
    pytest.param(text, id=f"{name_of(page)}-{number}")
    for page in PAGES
    for number, (language, text) in enumerate(blocks(page))
    if language == "pycon"
]


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_in_a_page_prints_what_it_shows(
    session: str, capsys: pytest.CaptureFixture[str]
) -> None:
    test = doctest.DocTestParser().get_doctest(session, {}, "session", None, 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 0
    assert result.failed == 0, capsys.readouterr().out
