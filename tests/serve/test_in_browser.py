"""The page of `export-model --browser`: graphs in a real browser, by onnxruntime-web.

`METALOOP_ORT_WEB` is the folder `dist` of npm's onnxruntime-web; without it these are skipped.
"""

from __future__ import annotations

import functools
import http.server
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.report.test_page_in_browser import CHROMIUM, CONTRASTS, LEAST_CONTRAST
from tests.report.test_page_in_browser import pytestmark as browser_marks
from tests.serve.conftest import SIDE, VECTORS, drawing, fresh_model, image_maker
from tests.serve.pages import NAMELESS

from metaloop.api import load
from metaloop.core.errors import DataError, ModelFileError
from metaloop.core.inputs import InputFormat
from metaloop.serve.in_browser import RUNTIME, browser_files

_DIST = Path(os.environ.get("METALOOP_ORT_WEB", "node_modules/onnxruntime-web/dist")).resolve()
_THERE = pytest.mark.skipif(
    not all((_DIST / name).is_file() for name in RUNTIME),
    reason="needs npm's onnxruntime-web: METALOOP_ORT_WEB=.../onnxruntime-web/dist",
)
INK = InputFormat("image", (1, SIDE, SIDE), (0.5,), (0.25,), polarity="ink")


def in_browser(test: Any) -> Any:
    """Marks a test that needs a browser and the runtime."""
    for mark in (*browser_marks, pytest.mark.long, _THERE):
        test = mark(test)
    return test


def test_a_runtime_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="npm install onnxruntime-web"):
        browser_files(fresh_model("protonet", VECTORS), tmp_path)


def test_what_makes_images_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="'blurred_mixture' makes images"):
        browser_files(image_maker().model, tmp_path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models and their pages, as the command line writes them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, model in {
        "pictures": fresh_model("logistic_regression", INK),
        "numbers": fresh_model("protonet", VECTORS),
    }.items():
        model.save(folder / f"{name}.metaloop")
        words = ("export-model", f"{name}.metaloop", "--out", name, "--browser", str(_DIST))
        run = [sys.executable, "-m", "metaloop", *words]  # a fresh interpreter: nothing is checked
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "index.html" in done.stdout
    return folder


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[str]:
    """Serves the folder as any web server would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(exported))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A page that fails on anything it complains of, and on requests elsewhere."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened, complaints = browser.new_page(viewport={"width": 1000, "height": 900}), []
        opened.set_default_timeout(120_000)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not request.url.startswith((address, "blob:", "data:"))
                else None
            ),
        )
        yield opened
        browser.close()
    assert complaints == []


def photograph(path: Path, name: int, take: int) -> str:
    """A drawing in colour, larger than the model takes and of another shape, bright at its edge."""
    large = np.kron(drawing(name, take), np.ones((3, 3), np.uint8))[:44, :47]
    framed = np.pad(large, 3, constant_values=240 if take % 2 else 10)
    coloured = np.stack([framed, framed // 2 + 60, 255 - framed // 3], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(coloured).save(file, "PNG")
    path.write_bytes(file.getvalue())
    return str(path)


def shares(page: Any) -> dict[str, float]:
    found = page.evaluate(
        "() => [...document.querySelectorAll('#shares progress')]"
        ".map(each => [each.getAttribute('aria-label'), each.value])"
    )
    return {name.removeprefix("how sure of "): share for name, share in found}


def add_class(page: Any, name: str) -> Any:
    page.get_by_label("New class").fill(name)
    page.get_by_role("button", name="Add class").click()
    return page.get_by_role("region", name=f"Class {name}")


@in_browser
def test_pictures_are_read_and_told_as_predict_does_it(
    page: Any, address: str, exported: Path, tmp_path: Path
) -> None:
    page.goto(f"{address}/pictures/")
    page.locator("#main:not([hidden])").wait_for()
    X, y = [], []
    for place, name in enumerate(("cup", "spoon", "plate")):
        files = [photograph(tmp_path / f"{name}{take}.png", place, take) for take in range(2)]
        card = add_class(page, name)
        card.get_by_label(f"Choose files of {name}").set_input_files(files)
        card.get_by_text("2 examples").wait_for()
        X, y = X + files, y + [name] * 2
    asked = photograph(tmp_path / "asked.png", 1, 9)
    page.locator("#ask").get_by_label("Choose files").set_input_files(asked)
    page.locator("#answer:not([hidden])").wait_for()
    estimator: Any = load(exported / "pictures.metaloop").fit(X, y)
    expected = dict(zip(estimator.classes_, estimator.predict_proba([asked])[0], strict=True))
    assert shares(page) == pytest.approx(expected, abs=1e-4)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert [each for each in page.evaluate(CONTRASTS) if each[0] < LEAST_CONTRAST] == []
    assert page.evaluate(NAMELESS) == []
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    page.locator("#ask").get_by_label("Choose files").set_input_files(str(bad))
    page.get_by_role("alert").get_by_text("bad.png is no image").wait_for()


@in_browser
def test_numbers_are_told_as_predict_tells_them(page: Any, address: str, exported: Path) -> None:
    page.goto(f"{address}/numbers/")
    page.locator("#main:not([hidden])").wait_for()
    rng, X, y = np.random.default_rng(0), [], []
    for name in "abc":
        card = add_class(page, name)
        for take in range(2):
            vector = rng.normal(size=4).round(2)
            card.get_by_label(f"Numbers of {name}").fill(", ".join(map(str, vector)))
            card.get_by_role("button", name="Add").click()
            card.get_by_text("2 examples" if take else "1 example").wait_for()
            X.append(vector)
            y.append(name)
    page.locator("#ask").get_by_label("Numbers").fill("0.1, 0.2, -0.3, 1")
    page.locator("#ask").get_by_role("button", name="Ask").click()
    page.locator("#answer:not([hidden])").wait_for()
    estimator: Any = load(exported / "numbers.metaloop").fit(np.array(X, np.float32), y)
    found = estimator.predict_proba(np.array([[0.1, 0.2, -0.3, 1.0]], np.float32))[0]
    expected = dict(zip(estimator.classes_, found, strict=True))
    assert shares(page) == pytest.approx(expected, abs=1e-3)
