"""What tests of pages ask of every page, and pictures to drop into one."""

from __future__ import annotations

from pathlib import Path

from tests.serve.conftest import png

# Whatever can be used without a name that a screen reader would say.
NAMELESS = """
() => [...document.querySelectorAll("button, input, select, textarea, audio, img, progress")]
  .filter(e => e.checkVisibility() && !e.closest("[hidden]"))
  .filter(e => !(e.labels && e.labels.length) && !e.getAttribute("aria-label") &&
               !e.textContent.trim() && !e.getAttribute("alt"))
  .map(e => e.outerHTML)
"""


def files(folder: Path, name: int, takes: range) -> list[str]:
    paths = []
    for take in takes:
        path = folder / f"{name}-{take}.png"
        path.write_bytes(png(name, take))
        paths.append(str(path))
    return paths
