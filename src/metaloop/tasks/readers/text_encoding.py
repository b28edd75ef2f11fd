"""In which encoding bytes are text: UTF-8, UTF-16 by its mark, else what old programs wrote."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# What old programs write where a file is not UTF-8, and what is said of that guess.
GUESSED: Mapping[str, str] = MappingProxyType(
    {"cp1252": "no UTF-8, so taken for Latin-1 (Windows-1252); save as UTF-8 if letters are odd"}
)


def marked_encoding(start: bytes) -> str:
    """Returns UTF-16 where the first bytes are its mark, else UTF-8, with its mark or without."""
    return "utf-16" if start[:2] in UTF16_MARKS else "utf-8-sig"


def encoding_of(chunks: Callable[[], Iterable[bytes]]) -> str | None:
    """Returns the first encoding in which all bytes are text; None where there is none.

    `chunks()` gives the bytes from their beginning, in pieces of any size, of which one at a time
    is held. An encoding that is in `GUESSED` is a guess.
    """
    start = next((chunk for chunk in chunks() if chunk), b"")[:2]
    marked = marked_encoding(start)
    for encoding in (marked,) if start in UTF16_MARKS else (marked, *GUESSED):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            for chunk in chunks():
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return None
