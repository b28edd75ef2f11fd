"""Where archives are: files and URLs are told apart, and a password is never shown."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.archive import ServerAddress, place_of
from metaloop.archive.rows import to_json_text
from metaloop.core.errors import ArchiveError

URL = "postgresql://ann@db.team:5433/archive"
PASSWORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters="*"), min_size=4
).filter(lambda password: password not in URL)


@given(password=PASSWORDS, encoded=st.booleans(), asked=st.booleans())
def test_a_password_is_never_shown(password: str, encoded: bool, asked: bool) -> None:
    written = quote(password, safe="") if encoded else password
    url = f"{URL}?sslmode=require&password={written}" if asked else URL.replace("@", f":{written}@")
    if asked and not encoded and not {"@", "&", "?"}.isdisjoint(password):
        return  # no server's library would take it for a password
    place = place_of(url)
    said = place.hidden(f"no {written} nor {password}") if isinstance(place, ServerAddress) else ""
    for shown in (str(place), repr(place), to_json_text({"archive": place}), said):
        assert password not in shown and written not in shown
        assert "ann" in shown or shown == said


def test_an_address_without_a_password_is_shown_as_it_is() -> None:
    for url in (URL, f"{URL}?sslmode=require", "postgres:///team?host=/run/postgresql"):
        assert str(place_of(url)) == url
    assert str(place_of("postgresql://a:b@h/d?PassWord=c&x=1")) == (
        "postgresql://a:***@h/d?PassWord=***&x=1"
    )
    assert str(place_of("postgresql://h/d?p%61ssword=c")) == "postgresql://h/d?p%61ssword=***"


def test_everything_else_is_a_file(tmp_path: Path) -> None:
    for name in ("all.sqlite", tmp_path, "a:b@c", "~/postgresql", "C:/x"):
        assert place_of(name) == Path(name)
    assert json.loads(to_json_text([place_of(URL)])) == [URL]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://ann:pw@h/d", "got 'mysql://...'"),
        ("sqlite:///all.sqlite", "a file or postgresql://"),
        (Path("postgresql://ann:pw@h/d"), "gone through a path"),
    ],
)
def test_what_is_no_place_of_an_archive_is_refused_without_a_password(
    text: str | Path, says: str
) -> None:
    with pytest.raises(ArchiveError, match=says) as caught:
        place_of(text)
    assert "pw" not in str(caught.value)
