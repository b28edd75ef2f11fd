"""Names from a disk as text that can be shown and kept."""

from __future__ import annotations

import unicodedata


def as_text(name: object) -> str:
    """Returns the name of a class as a text: underscores and dots are spaces."""
    return " ".join(str(name).replace("_", " ").replace(".", " ").split())


def tidy(name: str) -> str:
    """Returns a file name as one line of valid, composed Unicode, however the disk stores it."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    composed = unicodedata.normalize("NFC", text)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in composed)
