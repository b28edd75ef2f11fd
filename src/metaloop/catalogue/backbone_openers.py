"""How each source of `backbones.py` is opened: `(what follows the colon, side, download)`.

What a source needs is imported when it is opened: the table is read without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaloop.core.encoder import Encoder


def beside(name: str, encoders: Sequence[Encoder]) -> Encoder:
    """Returns these encoders beside each other, under that name."""
    from metaloop.core.encoder import Beside  # lazy: torch

    return Beside(name, encoders)


def lite0(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `lite0`."""
    from metaloop.domains.images.lite0 import USUAL_SIDE, lite0  # lazy: torch

    return lite0(USUAL_SIDE if side is None else side)


def lite0_front(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `lite0_front`."""
    from metaloop.domains.images.lite0 import USUAL_SIDE, lite0_front  # lazy: torch

    return lite0_front(USUAL_SIDE if side is None else side)


def timm(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `timm`."""
    from metaloop.guests.timm import timm_encoder  # lazy: torch

    name, _, file = named.partition("#")
    return timm_encoder(name, Path(file).expanduser() if file else None, side, download)


def transformers(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `transformers`."""
    from metaloop.guests.transformers import transformers_encoder  # lazy: torch

    return transformers_encoder(named, side, download)


def transformers_texts(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `transformers_texts`."""
    from metaloop.guests.transformers import transformers_text_encoder  # lazy: torch

    return transformers_text_encoder(named, download)


def transformers_recordings(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `transformers_recordings`."""
    from metaloop.guests.transformers import transformers_recording_encoder  # lazy: torch

    return transformers_recording_encoder(named, download)


def sentence_transformers(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `sentence_transformers`."""
    from metaloop.guests.sentence_transformers import sentence_encoder  # lazy: torch

    return sentence_encoder(named, download)


def minilm(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `minilm`."""
    from metaloop.domains.text.minilm import minilm  # lazy: torch

    return minilm()


def minilm_front(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `minilm_front`."""
    from metaloop.domains.text.minilm import minilm_front  # lazy: torch

    return minilm_front()


def minilm_layers(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `minilm_layers`."""
    from metaloop.domains.text.minilm import minilm_layers  # lazy: torch

    return minilm_layers()


def minilm_entities(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `minilm_entities`."""
    from metaloop.domains.text.entities import minilm_entities  # lazy: torch

    return minilm_entities()


def both(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `both`."""
    from metaloop.domains.text.both import minilm_and_wordllama  # lazy: torch

    return minilm_and_wordllama()


def layers_and_wordllama(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `layers_and_wordllama`."""
    from metaloop.domains.text.both import minilm_layers_and_wordllama  # lazy: torch

    return minilm_layers_and_wordllama()


def wordllama(_: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `wordllama`."""
    from metaloop.domains.text.wordllama import wordllama  # lazy: torch

    return wordllama()


def gensim(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `gensim`."""
    from metaloop.guests.gensim import gensim_encoder  # lazy: torch

    return gensim_encoder(Path(named).expanduser())


def onnx(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `onnx`."""
    from metaloop.guests.onnx import onnx_encoder  # lazy: torch

    path, _, output = named.partition("#")
    return onnx_encoder(Path(path).expanduser(), output or None, side)


def onnx_recordings(named: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `onnx_recordings`."""
    from metaloop.guests.onnx import onnx_recording_encoder  # lazy: torch

    path, _, output = named.partition("#")
    return onnx_recording_encoder(Path(path).expanduser(), output or None)


def speech(file: str, side: int | None, download: bool) -> Encoder:
    """Returns the encoder of `speech`, of the installed package or of a file."""
    from metaloop.domains.speech.embedding import SpeechEmbedding  # lazy: torch

    return SpeechEmbedding(Path(file).expanduser() if file else None)
