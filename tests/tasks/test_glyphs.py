"""`glyphs` as a reading: shapes, classes, the cache (what is drawn: test_glyphs_render.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.tasks import glyphs


class _Glyph:
    def __init__(self, code_point: int) -> None:
        self.code_point, self.name, self.group = code_point, f"LETTER {code_point}", "block"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """Three classes instead of two thousand, a cache of its own, a count of drawings."""
    calls = {"drawn": 0}

    def render(classes: Any, examples: int, rng: np.random.Generator, size: int) -> np.ndarray:
        calls["drawn"] += 1
        return rng.integers(0, 256, (len(classes), examples, size, size)).astype(np.uint8)

    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(glyphs, "glyph_classes", lambda: [_Glyph(k) for k in (65, 66, 937)])
    monkeypatch.setattr(glyphs, "render_glyphs", render)
    return calls


def test_shapes_and_names(few: dict[str, int]) -> None:
    reading = glyphs.read_glyphs(16, examples=4)
    assert reading.store.inputs.shape == (12, 1, 16, 16)
    assert reading.store.targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert [info.name for info in reading.store.classes][2] == "U+03A9 LETTER 937"
    assert {info.group for info in reading.store.classes} == {"block"}


def test_glyphs_are_drawn_once_and_then_read_from_the_cache(few: dict[str, int]) -> None:
    first = glyphs.read_glyphs(16, examples=4)
    again = glyphs.read_glyphs(16, examples=4)
    assert few["drawn"] == 1
    assert first.store.digest == again.store.digest
    glyphs.read_glyphs(20, examples=4)
    assert few["drawn"] == 2


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY"])
def test_a_damaged_cache_is_drawn_anew(few: dict[str, int], content: bytes) -> None:
    first = glyphs.read_glyphs(16, examples=4)
    (file,) = glyphs.cache_folder().iterdir()
    file.write_bytes(content)
    assert torch.equal(glyphs.read_glyphs(16, examples=4).store.inputs, first.store.inputs)
    assert few["drawn"] == 2


def test_a_cache_that_cannot_be_written_is_done_without(
    few: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("METALOOP_CACHE", str(blocked / "cache"))
    assert len(glyphs.read_glyphs(16, examples=4).store.inputs) == 12


@pytest.mark.long
def test_the_real_family_has_about_two_thousand_classes(tmp_path: Path) -> None:
    store = glyphs.read_glyphs().store
    assert 1500 < len(store.classes) < 3000
    assert store.inputs.shape == (20 * len(store.classes), 1, 28, 28)
    assert len({info.name for info in store.classes}) == len(store.classes)
    assert not any(info.name.startswith(f"U+003{k}") for info in store.classes for k in range(10))
