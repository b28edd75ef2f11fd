"""Example episodes as pictures inside the page: PNG only, and not more than a page should carry."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from metaloop.archive import Artefact
from metaloop.report.figures import count, shortened
from metaloop.report.page.markup import Html, element, join

_MEDIA_TYPE, _PNG = "image/png", b"\x89PNG\r\n\x1a\n"
_LARGEST_BYTES, _MOST_BYTES, _MOST_PICTURES = 1_500_000, 6_000_000, 12


def pictures(artefacts: Sequence[Artefact]) -> Html | None:
    """Returns the pictures with their captions, and how many were left out; None without any."""
    shown: list[Artefact] = []
    for artefact in artefacts:
        room = _MOST_BYTES - sum(len(other.content) for other in shown)
        if len(shown) < _MOST_PICTURES and is_picture(artefact) and len(artefact.content) <= room:
            shown.append(artefact)
    left_out = len(artefacts) - len(shown)
    if not artefacts:
        return None
    note = f"{count(left_out, 'artefact')} not shown: too large, too many, or not PNG."
    return join(
        element("div", *map(_figure, shown), class_="gallery"),
        element("p", note, class_="quiet") if left_out else None,
    )


def is_picture(artefact: Artefact) -> bool:
    """Returns whether an artefact says it is a PNG of fitting size, and begins like one."""
    return (
        artefact.media_type == _MEDIA_TYPE
        and artefact.content.startswith(_PNG)
        and len(artefact.content) <= _LARGEST_BYTES
    )


def _figure(artefact: Artefact) -> Html:
    data = base64.b64encode(artefact.content).decode("ascii")
    caption = shortened(artefact.caption or artefact.name, 400)
    picture = element("img", src=f"data:{_MEDIA_TYPE};base64,{data}", alt=caption)
    return element("figure", picture, element("figcaption", caption))
