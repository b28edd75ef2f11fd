"""Where an archive is: a file, or a database of a PostgreSQL server by its URL.

A URL may hold a password, so it is shown without: in errors, records, pages and JSON an address is
`str(address)`, and what a server or its library says goes through `hidden` first.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from metaloop.core.errors import ArchiveError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_COLLAPSED = re.compile(r"postgres(ql)?:/[^/]", re.IGNORECASE)
_SERVERS = ("postgresql", "postgres")
_HIDDEN = "***"
_IN_TEXT = re.compile(r"(postgres(?:ql)?):/+([^\s'\"]+)", re.IGNORECASE)


@dataclass(frozen=True)
class ServerAddress:
    """A URL of PostgreSQL, `postgresql://USER@HOST:PORT/DATABASE`; its text has no password."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        return _shown(self.url)

    def __repr__(self) -> str:
        return f"ServerAddress('{self}')"

    @property
    def is_ambiguous(self) -> bool:
        """Whether the server's library may take a part of the password for a host or a database."""
        _, _, password, _ = _split(self.url)
        return password is not None and any(letter in password for letter in "@/")

    def hidden(self, text: str) -> str:
        """Returns `text` without the passwords of this URL, as written there or decoded."""
        for secret in sorted(_secrets(self.url), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text


Place = Path | ServerAddress


def place_of(text: str | os.PathLike[str] | ServerAddress) -> Place:
    """Returns where an archive is; `ArchiveError` for a URL of anything but PostgreSQL."""
    if isinstance(text, ServerAddress):
        return text
    words = os.fspath(text)
    if _COLLAPSED.match(words):
        raise ArchiveError(
            "a URL that has gone through a path has lost a '/'; give postgresql://... as text"
        )
    scheme = _SCHEME.match(words)
    if scheme is None or os.path.lexists(words):
        return Path(words)
    if scheme[1].lower() not in _SERVERS:
        raise ArchiveError(
            f"an archive is a file or postgresql://USER@HOST/DATABASE; got '{scheme[1]}://...'"
        )
    return ServerAddress(words)


def without_passwords(text: str) -> str:
    """Returns any text with the passwords of URLs in it hidden, wherever it may be shown."""
    return _IN_TEXT.sub(lambda found: _shown(f"{found[1]}://{found[2]}"), text)


def is_same(first: Place, second: Place) -> bool:
    """Whether two places are the same file, or the same URL."""
    if isinstance(first, Path) and isinstance(second, Path):
        return first.exists() and second.exists() and first.samefile(second)
    return str(first) == str(second)


def _split(url: str) -> tuple[str, str, str | None, str]:
    """Returns a URL as scheme, user, password and rest.

    Whatever stands before the last '@' may be a password whose owner has not encoded it.
    """
    scheme, _, rest = url.partition("://")
    login, at, after = rest.rpartition("@")
    user, colon, password = login.partition(":")
    if not at or not colon:
        return scheme, "", None, rest
    return scheme, user, password, f"@{after}"


def _shown(url: str) -> str:
    scheme, user, password, rest = _split(url)
    login = "" if password is None else f"{user}:{_HIDDEN}"
    pieces = re.split(r"([?&])", rest)
    shown = "".join(
        f"{piece.partition('=')[0]}={_HIDDEN}" if _is_secret(piece) else piece for piece in pieces
    )
    return f"{scheme}://{login}{shown}"


def _is_secret(piece: str) -> bool:
    name, equals, _ = piece.partition("=")
    return bool(equals) and "password" in unquote(name).lower()


def _secrets(url: str) -> set[str]:
    _, _, password, rest = _split(url)
    found = {password} if password else set()
    found |= {piece.partition("=")[2] for piece in re.split(r"[?&]", rest) if _is_secret(piece)}
    found |= {each.partition("@")[0] for each in found} | {unquote(each) for each in found}
    return {each for each in found if each}
