"""Examples inside the page, to be seen or heard: PNG and WAV only, no more than it should carry."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from metaloop.archive import Artefact
from metaloop.report.figures import count, shortened
from metaloop.report.page.markup import Html, element, join

_PICTURE, _SOUND = "image/png", "audio/wav"
_BEGINNINGS = {_PICTURE: b"\x89PNG\r\n\x1a\n", _SOUND: b"RIFF"}
_LARGEST_BYTES, _MOST_BYTES, _MOST_PICTURES = 1_500_000, 6_000_000, 12


def pictures(artefacts: Sequence[Artefact]) -> Html | None:
    """Returns pictures and sounds with captions, and how many were left out; None without any."""
    shown: list[Artefact] = []
    for artefact in artefacts:
        room = _MOST_BYTES - sum(len(other.content) for other in shown)
        if len(shown) < _MOST_PICTURES and is_picture(artefact) and len(artefact.content) <= room:
            shown.append(artefact)
    left_out = len(artefacts) - len(shown)
    if not artefacts:
        return None
    note = f"{count(left_out, 'artefact')} not shown: too large, too many, or neither PNG nor WAV."
    return join(
        element("div", *map(_figure, shown), class_="gallery"),
        element("p", note, class_="quiet") if left_out else None,
    )


def is_picture(artefact: Artefact) -> bool:
    """Returns whether an artefact says it is a PNG or WAV of fitting size, and begins like one."""
    beginning = _BEGINNINGS.get(artefact.media_type)
    return (
        beginning is not None
        and artefact.content.startswith(beginning)
        and len(artefact.content) <= _LARGEST_BYTES
    )


def _figure(artefact: Artefact) -> Html:
    data = base64.b64encode(artefact.content).decode("ascii")
    caption = shortened(artefact.caption or artefact.name, 400)
    source = f"data:{artefact.media_type};base64,{data}"
    if artefact.media_type == _SOUND:
        shown = element("audio", controls=True, src=source, title=caption)
    else:
        shown = element("img", src=source, alt=caption)
    return element("figure", shown, element("figcaption", caption))
