"""The table of frozen encoders: which are installed, and how each is opened."""

from __future__ import annotations

from metaloop.core.encoder import Encoder
from metaloop.core.errors import unknown_name
from metaloop.domains.images.lite0 import lite0, packaged_file


def installed(takes: str) -> tuple[str, ...]:
    """Returns the names of those that are installed, for inputs of this kind."""
    return ("lite0",) if takes == "images" and packaged_file() is not None else ()


def open_backbone(name: str, *, takes: str = "images", download: bool = False) -> Encoder:
    """Returns the encoder of this name; raises `UnknownNameError`."""
    if name.partition("@")[0] == "lite0":
        return lite0(int(name.partition("@")[2] or 96))
    raise unknown_name("backbone", name, installed(takes))
