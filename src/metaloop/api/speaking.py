"""What is said on stderr: one line each, at once, and never a reason to fail."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


def say(text: str) -> None:
    """Writes a line on stderr at once; where no one listens any more, nowhere."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)


def tell(text: str) -> None:
    """Writes one line on stderr that is worth knowing and no fault."""
    say(f"metaloop: {one_line(text)}")


def warn(text: str) -> None:
    """Writes one line on stderr that does not end the command."""
    say(f"metaloop: warning: {one_line(text)}")


def drop(stream: TextIO) -> None:
    """Sends what is still to be written nowhere: the reader has gone away."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def one_line(text: str) -> str:
    """Returns the text with every run of white space as one space."""
    return " ".join(text.split())
