"""Building HTML and SVG so that text can never become markup.

`element("p", "a < b", element("b", "c"))` escapes what is a plain string and keeps what is `Html`,
which only this module makes. Attributes are escaped in the same way; `class_` stands for `class`,
and other underscores for hyphens.
"""

from __future__ import annotations

import html
import math

from metaloop.report.figures import printable

Attribute = str | int | float | bool | None
_EMPTY = frozenset(("meta", "img", "path", "line", "circle"))


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: Attribute) -> Html:
    """Returns `<tag ...>children</tag>`; None is left out, True is an attribute without value."""
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
