"""The page in a real browser: no error, no request, no sideways scrolling, enough contrast.

Needs Playwright (`pip install 'metaloop[browser]'`) and Debian's Chromium; left out without them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaloop.report import read_run, write_report

CHROMIUM = shutil.which("chromium")
IN_CI = "CI" in os.environ  # which installs both: there nothing is left out
pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None and not IN_CI,
        reason="Playwright is not installed: pip install 'metaloop[browser]'",
    ),
    pytest.mark.skipif(
        CHROMIUM is None and not IN_CI,
        reason="Chromium is not installed (Debian: apt-get install chromium)",
    ),
]

WIDTHS, SCHEMES = (360, 800, 1600), ("light", "dark")
LEAST_CONTRAST = 4.5  # WCAG 2.1, AA, for text of ordinary size

# Contrast of each text with the ground behind it; SVG text is filled, other text coloured.
CONTRASTS = """
() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    if (["title", "desc"].includes(element.localName)) continue;
    const style = getComputedStyle(element);
    const colour = parse(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(colour), light(ground(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.data.trim()]);
  }
  return found;
}
"""

# Text of the drawings that runs into other text, or out of its drawing.
COLLISIONS = """
() => {
  const found = [];
  for (const svg of document.querySelectorAll("figure > svg")) {
    if (!svg.checkVisibility()) continue;
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(t => [t, t.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1)
        found.push("out: " + text.textContent);
      for (const [other, b] of texts.slice(index + 1))
        if (box.left < b.right - 1 && b.left < box.right - 1 &&
            box.top < b.bottom - 4 && b.top < box.bottom - 4)
          found.push(text.textContent + " | " + other.textContent);
    });
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def pages(large_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a long run and of nothing at all."""
    from metaloop.archive import Archive

    folder = tmp_path_factory.mktemp("pages")
    large = write_report(read_run(large_folder), large_folder, folder / "large.html")
    with Archive.create(folder / "archive.sqlite"):
        pass
    return {"large": large, "empty": write_report(read_run(folder), folder)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # no sandbox: containers of CI have no user namespaces; the page is our own
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Opens a page; at the end nothing may have been said or asked for."""
    contexts, said, asked = [], [], []

    def open_page(name: str, width: int = 1200, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(pages[name].as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    own = {path.as_uri() for path in pages.values()}
    assert [url for url in asked if url not in own and not url.startswith("data:")] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["large", "empty"])
def test_the_page_never_scrolls_sideways(name: str, scheme: str, width: int, opened: Any) -> None:
    page = opened(name, width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_stands_out_from_its_ground(scheme: str, opened: Any) -> None:
    page = opened("large", 1200, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 1000
    assert [pair for pair in contrasts if pair[0] < LEAST_CONTRAST] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_words_of_a_drawing_do_not_run_into_each_other(width: int, opened: Any) -> None:
    assert opened("large", width).evaluate(COLLISIONS) == []


def test_each_drawing_is_there_once_at_every_width(opened: Any) -> None:
    shown = "[...document.querySelectorAll('figure > svg')].filter(s => s.checkVisibility()).length"
    for width in WIDTHS:
        assert opened("large", width).evaluate(shown) == 2


def test_light_and_dark_differ(opened: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened("large", 800, scheme).evaluate(ground) for scheme in SCHEMES)
    assert light != dark


def test_the_page_can_be_walked_by_keyboard(opened: Any) -> None:
    page = opened("large")
    page.keyboard.press("Tab")
    focused = "document.activeElement.getAttribute('href')"
    assert page.evaluate(focused) == "#leaderboard"
    page.keyboard.press("Enter")
    page.wait_for_url("**#leaderboard")


def test_pictures_are_drawn(opened: Any) -> None:
    page = opened("large")
    sizes = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert sizes == [[True, 96], [True, 96]]
