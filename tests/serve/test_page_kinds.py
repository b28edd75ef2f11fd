"""The try-it page with models that are no tasks of classes: tables, and what draws images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report.test_page_in_browser import CONTRASTS, LEAST_CONTRAST
from tests.report.test_page_in_browser import pytestmark as browser_marks
from tests.serve.conftest import image_maker, serving, table_model
from tests.serve.pages import NAMELESS, files

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")
pytestmark = [*browser_marks, pytest.mark.long]


@pytest.fixture
def kinds(browser: Any) -> Iterator[Any]:
    """A page of a server of such models, that fails on anything it complains of."""
    with serving({"people": table_model(), "strokes": image_maker()}) as client:
        opened, complaints = browser.new_page(viewport={"width": 1000, "height": 900}), []
        opened.set_default_timeout(120_000)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(f"http://127.0.0.1:{client.port}/")
        yield opened
        opened.close()
    assert complaints == []


def test_a_row_is_told_and_images_are_drawn(kinds: Any, tmp_path: Path) -> None:
    kinds.get_by_label("age").fill("71")
    kinds.get_by_label("city").fill("Bern")
    kinds.get_by_role("button", name="Tell stays").click()
    kinds.locator("#answer:not([hidden])").wait_for()
    assert kinds.locator("#answer-title").inner_text().startswith("yes, ")
    assert kinds.locator("#asked").inner_text() == "age: 71, city: Bern"
    assert not kinds.locator("#teaching").is_visible()

    kinds.get_by_label("New task").fill("a letter")
    kinds.get_by_role("button", name="Create").click()
    kinds.get_by_text("Created a letter.").wait_for()
    kinds.get_by_label("Choose files of the class").set_input_files(files(tmp_path, 3, range(2)))
    kinds.locator("#classes img").nth(1).wait_for()
    kinds.get_by_role("button", name="Draw new images").click()
    kinds.get_by_role("heading", name="16 new images").wait_for()
    assert kinds.locator("#shares img").count() == 16

    for scheme in ("light", "dark"):
        kinds.emulate_media(color_scheme=scheme)
        assert [each for each in kinds.evaluate(CONTRASTS) if each[0] < LEAST_CONTRAST] == []
    assert kinds.evaluate(NAMELESS) == []
    kinds.set_viewport_size({"width": 320, "height": 700})
    assert kinds.evaluate("() => document.documentElement.scrollWidth") <= 320
