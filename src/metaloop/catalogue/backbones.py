"""The table of frozen encoders: which are installed, and how each is opened."""

from __future__ import annotations

from metaloop.core.encoder import Encoder
from metaloop.core.errors import unknown_name


def installed(takes: str) -> tuple[str, ...]:
    """Returns the names of those that are installed, for inputs of this kind."""
    return ()


def open_backbone(name: str, *, takes: str = "images", download: bool = False) -> Encoder:
    """Returns the encoder of this name; raises `UnknownNameError`."""
    raise unknown_name("backbone", name, installed(takes))
