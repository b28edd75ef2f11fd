"""Building HTML and SVG so that text can never become markup.

`element("p", "a < b", element("b", "c"))` escapes what is a plain string and keeps what is `Html`,
which only this module makes. Attributes are escaped in the same way; `class_` stands for `class`,
and other underscores for hyphens. A line that holds letters of a script which is written from right
to left has `dir="auto"`: its first letter decides, as in any text.
"""

from __future__ import annotations

import html
import math
import unicodedata

from metaloop.report.figures import printable

Attribute = str | int | float | bool | None
_EMPTY = frozenset(("meta", "img", "path", "line", "circle"))


# What holds a line of text: its direction is that of what is written there.
_LINES = frozenset(("p", "li", "td", "th", "dt", "dd", "h1", "h2", "h3", "figcaption", "summary"))
_RIGHT_TO_LEFT = frozenset(("R", "AL"))  # classes of letters, Unicode Standard Annex 9


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: Attribute) -> Html:
    """Returns `<tag ...>children</tag>`; None is left out, True is an attribute without value."""
    if tag in _LINES and "dir" not in attributes and any(map(_is_right_to_left, children)):
        attributes["dir"] = "auto"
    opened = f"<{tag}{''.join(_attribute(*pair) for pair in attributes.items())}"
    if tag in _EMPTY:
        assert not children
        return Html(f"{opened}/>")
    return Html(f"{opened}>{join(*children)}</{tag}>")


def join(*children: str | None) -> Html:
    """Returns the children one after the other, escaped unless they are markup."""
    return Html("".join(_escaped(child) for child in children if child is not None))


def number(value: float) -> str:
    """Returns a coordinate with at most two decimals."""
    assert math.isfinite(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _is_right_to_left(child: str | None) -> bool:
    return child is not None and any(
        unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in child
    )


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = number(value) if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(printable(text))}"'


def _escaped(child: str) -> str:
    return child if isinstance(child, Html) else html.escape(printable(child, keep="\n\t"))
