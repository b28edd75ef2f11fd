"""One input as a client sent it, kept as it came, and how each kind of model takes it.

`TAKEN` has a line for each kind of inputs that models take; another kind cannot be served.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from PIL import Image

from metaloop.core.errors import InputError
from metaloop.serve.limits import LARGEST_NAME, LARGEST_TEXT, Limits, too_large
from metaloop.tasks.readers.images import num_pixels
from metaloop.tasks.readers.recordings import RATE, opened_recording

Kind = Literal["file", "text", "array", "item"]
KINDS: tuple[Kind, ...] = ("file", "text", "array", "item")


@dataclass(frozen=True)
class Sent:
    """An input of a client: the bytes of a file, a text, the JSON of an array, or an item's name.

    `name` is what the client called its file, for people alone.
    """

    kind: Kind
    content: bytes
    name: str = ""

    @property
    def text(self) -> str:
        """The content as text."""
        return self.content.decode("utf-8")


@dataclass(frozen=True)
class Taken:
    """How inputs of one kind of model may be sent.

    `kinds`: the best first; `accept`: which files a browser offers; `as_X(sent, limits)` gives what
    an estimator takes, a list or array of one input; raises `RefusedError` for what is too large.
    """

    kinds: tuple[Kind, ...]
    accept: str
    as_X: Callable[[Sent, Limits], Any]


def _image(sent: Sent, limits: Limits) -> Any:
    if sent.kind == "array":
        return _array(sent)[None]
    try:
        pixels = num_pixels(sent.content)
    except Image.DecompressionBombError:
        pixels = limits.pixels + 1
    except Exception:  # decoders raise nearly anything: who decodes it says what is wrong
        pixels = 0
    if pixels > limits.pixels:
        raise too_large(f"the image has more than {limits.pixels:,} pixels; make it smaller")
    return [sent.content]


def _recording(sent: Sent, limits: Limits) -> Any:
    if sent.kind == "array":
        samples = _array(sent)
        _check_seconds(len(samples) / RATE, limits)
        return [samples]
    try:
        with opened_recording(sent.content) as file:
            seconds = float(file.frames) / float(file.samplerate)
    except Exception:  # as for images
        seconds = 0.0
    _check_seconds(seconds, limits)
    return [sent.content]


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.sound_seconds:
        raise too_large(
            f"the recording is {seconds:.0f} s long, the limit is {limits.sound_seconds:g} s; cut "
            "out what is to be told apart"
        )


def _text(sent: Sent, limits: Limits) -> Any:
    if len(sent.content) > LARGEST_TEXT:
        raise too_large(f"a text has at most {LARGEST_TEXT:,} bytes, got {len(sent.content):,}")
    return [sent.text]


def _item(sent: Sent, limits: Limits) -> Any:
    if len(sent.text) > LARGEST_NAME:
        raise too_large(f"the name of an item has at most {LARGEST_NAME} characters")
    return [sent.text]


def _vector(sent: Sent, limits: Limits) -> Any:
    return _array(sent)[None]


def _array(sent: Sent) -> np.ndarray:
    try:
        array = np.asarray(json.loads(sent.content))
    except (ValueError, RecursionError) as error:
        raise InputError(
            "'array' has rows of different lengths; give numbers in one shape"
        ) from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise InputError("'array' holds something else than numbers; give a list of numbers")
    return array


TAKEN: Mapping[str, Taken] = MappingProxyType(
    {
        "documents": Taken(("text",), "", _text),
        "images": Taken(("file", "array"), "image/*", _image),
        "items": Taken(("item",), "", _item),
        "recordings": Taken(("file", "array"), "audio/*", _recording),
        "texts": Taken(("text",), "", _text),
        "vectors": Taken(("array",), "", _vector),
    }
)


def media_type(sent: Sent) -> str:
    """Returns what a browser is told that the content is; never anything that it would run."""
    if sent.kind == "array":
        return "application/json"
    if sent.kind != "file":
        return "text/plain; charset=utf-8"
    try:
        with Image.open(io.BytesIO(sent.content)) as image:
            return Image.MIME.get(image.format or "", "application/octet-stream")
    except Exception:  # no image
        sounds = {b"RIFF": "audio/wav", b"fLaC": "audio/flac", b"OggS": "audio/ogg"}
        return sounds.get(sent.content[:4], "application/octet-stream")
