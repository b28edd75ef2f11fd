"""The page at `/`: one HTML file, a style sheet and a script, read once; nothing else is loaded."""

from __future__ import annotations

from importlib.resources import files as resources

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/script.js": ("script.js", "text/javascript; charset=utf-8"),
}


def files() -> dict[str, tuple[bytes, str]]:
    """Returns content and kind of each file of the page, by its path on the server."""
    folder = resources(__name__)
    return {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
