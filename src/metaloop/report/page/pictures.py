"""Examples inside the page: PNG, WAV and CSV, no more than it should carry."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence

from metaloop.archive import Artefact
from metaloop.report.figures import count, shortened
from metaloop.report.page.markup import Html, element, join
from metaloop.report.page.tables import Column, Line, table

_PICTURE, _SOUND, _TABLE = "image/png", "audio/wav", "text/csv"
_BEGINNINGS = {_PICTURE: b"\x89PNG\r\n\x1a\n", _SOUND: b"RIFF"}
_WIDE = 640  # pixels; such a picture has a row of its own
_LARGEST_TABLE, _MOST_LINES, _MOST_COLUMNS = 100_000, 100, 8
_LARGEST_BYTES, _MOST_BYTES, _MOST_PICTURES = 1_500_000, 6_000_000, 12


def pictures(artefacts: Sequence[Artefact]) -> Html | None:
    """Returns what there is, with captions, and how many were left out; None without any."""
    shown: list[Artefact] = []
    tables: list[Html] = []
    for artefact in artefacts:
        room = _MOST_BYTES - sum(len(other.content) for other in shown)
        read = _as_table(artefact)
        if len(shown) + len(tables) == _MOST_PICTURES:
            break
        if read is not None:
            tables.append(read)
        elif is_picture(artefact) and len(artefact.content) <= room:
            shown.append(artefact)
    left_out = len(artefacts) - len(shown) - len(tables)
    if not artefacts:
        return None
    note = f"{count(left_out, 'artefact')} not shown: too large, too many, or no PNG, WAV or CSV."
    return join(
        *tables,
        element("div", *map(_figure, shown), class_="gallery") if shown or not tables else None,
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


def _as_table(artefact: Artefact) -> Html | None:
    """A CSV table with its caption; None for what is none, or is too large."""
    if artefact.media_type != _TABLE or len(artefact.content) > _LARGEST_TABLE:
        return None
    try:
        text = artefact.content.decode()
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    sizes = {len(row) for row in rows}
    if not 2 <= len(rows) <= _MOST_LINES or len(sizes) != 1 or not 1 <= min(sizes) <= _MOST_COLUMNS:
        return None
    columns = [Column(name, "long") for name in rows[0]]
    caption = element("p", shortened(artefact.caption or artefact.name, 400))
    lines = [Line(tuple(row)) for row in rows[1:]]
    return join(caption, table(artefact.name, columns, lines))


def _figure(artefact: Artefact) -> Html:
    data = base64.b64encode(artefact.content).decode("ascii")
    caption = shortened(artefact.caption or artefact.name, 400)
    source = f"data:{artefact.media_type};base64,{data}"
    if artefact.media_type == _SOUND:
        shown = element("audio", controls=True, src=source, title=caption)
    else:
        shown = element("img", src=source, alt=caption)
    wide = artefact.media_type == _PICTURE and _width(artefact.content) > _WIDE
    return element("figure", shown, element("figcaption", caption), class_="wide" if wide else None)


def _width(png: bytes) -> int:
    """The pixels of a row, as the header of a PNG says."""
    return int.from_bytes(png[16:20], "big")
