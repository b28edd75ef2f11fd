"""Bodies of requests as values: JSON, or a form of parts with one file.

Whatever is wrong with a body is a `RefusedError` with status 400 (it cannot be parsed), 415 (it is
of another kind) or 422 (it can, and says something else than was asked for).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metaloop.serve.limits import RefusedError
from metaloop.serve.sent import Sent

_JSON, _FORM = "application/json", "multipart/form-data"
_LARGEST_FIELD = 10_000  # bytes of what is no file
_WRITTEN = ("label", "text")  # parts of a form that are no file
_MOST_PARTS = 8


def object_of(content_type: str, body: bytes, known: Mapping[str, type]) -> dict[str, Any]:
    """Returns the JSON object in a body; its keys are among those known, of these types."""
    if not content_type.partition(";")[0].strip().lower() == _JSON:
        raise RefusedError(415, f"expected a body of {_JSON}, got {content_type[:80]!r}")
    try:
        found = json.loads(body, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is no JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise RefusedError(422, f"expected a JSON object, got a {type(found).__name__}")
    for key, value in found.items():
        if key not in known:
            raise RefusedError(422, f"unknown key {key[:40]!r}; known: {', '.join(known)}")
        if not isinstance(value, known[key]):
            wanted = "text" if known[key] is str else "a list" if known[key] is list else "a number"
            raise RefusedError(422, f"{key!r} must be {wanted}, got {value!r:.60}")
    return found


_KEYS: Mapping[str, type] = {
    "label": object, "text": str, "array": list, "item": object, "rating": object,
    "document": str, "summary": str,
}  # fmt: skip


def example_of(content_type: str, body: bytes) -> tuple[Any, Sent]:
    """Returns the label (None if there is none) and the input in a body.

    JSON: `label`, and one of `text`, `array`, or `item` with `rating` (which then is the label; an
    item may also be called `label` beside its rating), or `document` with `summary` (which is the
    label, too). A form: `label` and `file`, or `text`.
    """
    if content_type.partition(";")[0].strip().lower() == _FORM:
        return _of_form(content_type, body)
    found = object_of(content_type, body, _KEYS)
    label, rating = found.pop("label", None), found.pop("rating", None)
    label = found.pop("summary", label)
    document = found.pop("document", None)
    if rating is not None:
        item, label = found.pop("item", label), rating
        return label, Sent("item", _utf8("item", _item_name(item)))
    if document is not None and not found:
        return label, Sent("text", _utf8("document", document))
    if document is not None or len(found) != 1:
        raise RefusedError(
            422,
            "give exactly one input: 'text', 'document', 'array', 'item', or a form with a 'file'",
        )
    ((key, value),) = found.items()
    if key == "array":
        try:
            return label, Sent("array", json.dumps(value, allow_nan=False).encode())
        except ValueError as error:
            raise RefusedError(422, "'array' has a number that is not finite") from error
    if key == "item":
        return label, Sent("item", _utf8(key, _item_name(value)))
    return label, Sent("text", _utf8(key, value))


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _item_name(item: Any) -> str:
    if isinstance(item, str) and item.strip():
        return item.strip()
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    raise RefusedError(422, f"'item' must be the name of an item, got {item!r:.60}")


def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RefusedError(422, f"{what!r} has half a character (a lone surrogate)") from error


def _of_form(content_type: str, body: bytes) -> tuple[str | None, Sent]:
    label, sent = None, None
    for part in _parts(content_type, body):
        name, filename = part.name, part.filename
        if name == "file":
            if sent is not None:
                raise RefusedError(422, "send one file a request")
            if not part.data:
                raise RefusedError(422, "the file is empty")
            sent = Sent("file", bytes(part.data), _shown(filename))
        elif name in _WRITTEN:
            if len(part.data) > _LARGEST_FIELD and name == "label":
                raise RefusedError(422, "'label' is too long")
            try:
                text = part.data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise RefusedError(422, f"{name!r} is no UTF-8 text") from error
            if name == "label":
                label = text
            else:
                sent = Sent("text", text.encode())
        else:
            raise RefusedError(422, f"unknown part {name[:40]!r}; known: label, file, text")
    if sent is None:
        raise RefusedError(422, "the form has no 'file'")
    return label, sent


def _shown(filename: str) -> str:
    return "".join(letter for letter in filename if letter.isprintable())[-100:]


class _Part:
    """A part of a form as it is being read."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.data = bytearray()
        self._field = self._value = b""

    @property
    def name(self) -> str:
        """What the part is called."""
        return self._option(b"name")

    @property
    def filename(self) -> str:
        """What its file is called; "" if it has no name."""
        return self._option(b"filename")

    def _option(self, which: bytes) -> str:
        from python_multipart.multipart import parse_options_header  # optional extra

        options = parse_options_header(self.headers.get(b"content-disposition", b""))[1]
        return options.get(which, b"").decode("utf-8", "replace")

    def on_field(self, data: bytes, start: int, end: int) -> None:
        """Some of a header's name."""
        self._field += data[start:end]

    def on_value(self, data: bytes, start: int, end: int) -> None:
        """Some of a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """A header is complete."""
        self.headers[self._field.lower()] = self._value
        self._field = self._value = b""


def _parts(content_type: str, body: bytes) -> list[_Part]:
    from python_multipart.exceptions import FormParserError  # optional extra
    from python_multipart.multipart import (  # optional extra
        MultipartParser,
        parse_options_header,
    )

    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise RefusedError(400, "the form has no boundary")
    parts: list[_Part] = []
    ended = []

    def begin() -> None:
        if len(parts) >= _MOST_PARTS:
            raise RefusedError(422, f"the form has more than {_MOST_PARTS} parts")
        parts.append(_Part())

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_part_data": lambda data, start, end: parts[-1].data.extend(data[start:end]),
            "on_header_field": lambda data, start, end: parts[-1].on_field(data, start, end),
            "on_header_value": lambda data, start, end: parts[-1].on_value(data, start, end),
            "on_header_end": lambda: parts[-1].on_header_end(),
            "on_end": lambda: ended.append(True),
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RefusedError(400, f"the form is damaged: {str(error)[:200]}") from error
    if not ended:
        raise RefusedError(400, "the form ends in the middle")
    return parts
