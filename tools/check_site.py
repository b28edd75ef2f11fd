"""Report what the built site would fetch from other hosts, and how many pages it has.

    python tools/check_site.py [FOLDER]

FOLDER is `build/site` by default. Scripts, style sheets, fonts and pictures must be in it; links
that a reader may follow may lead anywhere. One line per finding; exits 1 if there is any, or no
page.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

SITE = Path("build/site")
_FETCHED: dict[str, tuple[str, ...]] = {  # tag -> attributes by which a browser fetches at once
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "img": ("src", "srcset"),
    "link": ("href",), "object": ("data",), "script": ("src",), "source": ("src", "srcset"),
    "video": ("src", "poster"),
}  # fmt: skip
_ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]*)""", re.IGNORECASE)
_NOT_FETCHED = ("canonical", "next", "prev", "author", "license")  # what a <link> may also say


def fetched_elsewhere(text: str, is_style: bool = False) -> list[str]:
    """Returns what a page of HTML, or a style sheet, fetches from other hosts."""
    found = _IN_STYLE.findall(text)
    if not is_style:
        page = _Page()
        page.feed(text)
        found += page.found
    return found


class _Page(HTMLParser):
    """Collects what a page fetches from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Looks at the attributes by which something is fetched."""
        given = dict(attrs)
        if tag == "link" and given.get("rel") in _NOT_FETCHED:
            return
        for name in _FETCHED.get(tag, ()):
            value = given.get(name)
            if value is not None and _ELSEWHERE.match(value):
                self.found.append(value)


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if anything is fetched from elsewhere, or there is no page."""
    folder = Path(arguments[0]) if arguments else SITE
    pages = sorted(folder.rglob("*.html"))
    findings = [
        f"{path}: fetches {what}"
        for path in [*pages, *sorted(folder.rglob("*.css")), *sorted(folder.rglob("*.svg"))]
        for what in fetched_elsewhere(path.read_text(encoding="utf-8"), path.suffix == ".css")
    ]
    print("\n".join([*findings, f"{folder}: {len(pages)} pages"]))
    return 1 if findings or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
