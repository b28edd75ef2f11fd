"""The try-it page in a real browser: by mouse, by keyboard alone, in both schemes, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report.test_page_in_browser import CONTRASTS, LEAST_CONTRAST, pytestmark
from tests.serve.conftest import Client, serving
from tests.serve.pages import NAMELESS, files

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")
pytestmark = [*pytestmark, pytest.mark.long]


@pytest.fixture
def page(browser: Any, client: Client) -> Iterator[Any]:
    """A page of the server that fails on anything it complains of, and on requests elsewhere."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    opened, complaints = context.new_page(), []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            complaints.append(request.url)
            if not request.url.startswith((f"http://127.0.0.1:{client.port}/", "blob:", "data:"))
            else None
        ),
    )
    opened.goto(f"http://127.0.0.1:{client.port}/")
    yield opened
    context.close()
    assert complaints == []


def new_task(page: Any, model: str, name: str) -> None:
    page.get_by_label("New task").fill(name)
    page.get_by_label("Model").select_option(model)
    page.get_by_role("button", name="Create").click()
    page.get_by_text(f"Created {name}.").wait_for()


def test_images_are_shown_asked_about_and_corrected(page: Any, tmp_path: Path) -> None:
    new_task(page, "pictures", "cups and spoons")
    for place, name in enumerate(("cup", "spoon")):
        page.get_by_label("New class").fill(name)
        page.get_by_role("button", name="Add class").click()
        card = page.get_by_role("region", name=f"Class {name}")
        card.get_by_label(f"Choose files of {name}").set_input_files(
            files(tmp_path, place, range(2))
        )
        card.get_by_text("2 examples").wait_for()
    page.locator("#ask").get_by_label("Choose files").set_input_files(
        files(tmp_path, 1, range(7, 8))
    )
    page.locator("#answer:not([hidden])").wait_for()
    assert page.locator("#answer-title").inner_text().startswith("spoon, ")
    assert page.locator("#status").inner_text().startswith("It is spoon: ")
    assert page.locator("#decided figcaption").first.inner_text().startswith("spoon, ")
    page.locator("#decided img").nth(3).wait_for()

    page.get_by_role("button", name="No, cup").click()
    page.get_by_role("region", name="Class cup").get_by_text("3 examples").wait_for()
    page.get_by_role("button", name="Remove 1-7.png of cup").click()
    page.get_by_role("region", name="Class cup").get_by_text("2 examples").wait_for()

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        weak = [found for found in page.evaluate(CONTRASTS) if found[0] < LEAST_CONTRAST]
        assert weak == [], scheme
    assert page.evaluate(NAMELESS) == []
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320

    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    page.locator("#ask").get_by_label("Choose files").set_input_files(str(bad))
    page.get_by_role("alert").get_by_text("it is damaged or no image at all").wait_for()


def test_texts_are_taught_and_asked_by_the_keyboard_alone(page: Any) -> None:
    page.get_by_label("New task").wait_for()  # it is there once models are known
    page.get_by_label("New task").focus()
    page.keyboard.type("letters to us")
    page.keyboard.press("Tab")
    page.keyboard.type("words")  # the select finds it
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Created letters to us.").wait_for()
    for name, text in (("money", "refund of my invoice"), ("mail", "where is the parcel")):
        page.get_by_label("New class").focus()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        field = page.get_by_label(f"Text of {name}")
        field.focus()
        page.keyboard.type(text)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("region", name=f"Class {name}").get_by_text("1 example").wait_for()
    asking = page.locator("#ask textarea")
    asking.focus()
    assert asking.get_attribute("dir") == "auto"  # its first letter says which way it runs
    page.keyboard.type("the parcel")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("It is mail: ").wait_for()
    page.locator("#decided").get_by_text("where is the parcel").wait_for()  # fetched by then


def test_a_function_is_taught_values(page: Any) -> None:
    new_task(page, "curves", "a curve")
    for value in ("0.5", "1.5"):
        page.get_by_label("Value").fill(value)
        page.get_by_label("Numbers, with commas of an example").fill("1, 2, 3, 4")
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_text(f"1, 2, 3, 4]: {value}").wait_for()
    page.locator("#ask input").fill("1 2 3 4")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("Answer: ").wait_for()


def test_a_token_is_asked_for_and_used(browser: Any, models: Any) -> None:
    token = "open sesame, really"
    with serving({"pictures": models["pictures"]}, token=token) as client:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{client.port}/")
        page.get_by_label("This server needs a token").fill(token)
        page.get_by_role("button", name="Use it").click()
        page.get_by_label("New task").fill("x")
        page.get_by_role("button", name="Create").click()
        page.get_by_text("Created x.").wait_for()
        page.close()
