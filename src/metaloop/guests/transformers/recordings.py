"""Nets of transformers for recordings as frozen encoders: wav2vec 2, HuBERT, WavLM, Whisper.

    features of a recording = mean over its times of the last hidden states

`hf:FOLDER` and `hf:NAME` take any net for waveforms whose class transformers itself has, and those
for spectrograms that have an encoder, as Whisper does. Recordings go through one at a time and are
never padded with others, so that what one becomes hangs on nothing else; Whisper's are padded to
the length that it takes, and only the times of the recording are averaged. How samples are scaled,
and how spectrograms are made, is read from the folder. Baevski et al. 2020, arXiv:2006.11477;
Radford et al. 2022, arXiv:2212.04356.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError
from metaloop.guests.transformers.loading import (
    CITATION,
    config_in,
    folder_named,
    library_for,
    net_in,
)
from metaloop.modelfile.checkpoint import hash_of_weights
from metaloop.modelfile.hub import datasets_in, json_in, licence_in, weights_in
from metaloop.nets.frozen import frozen
from metaloop.nets.frozen_recordings import RecordingEncoder, features_heard
from metaloop.tasks.readers.recordings import RATE

_HOW = "preprocessor_config.json"
_SHORTEST = RATE // 10  # samples: below, the first layers of some nets have nothing to look at
_LEAST_DEVIATION = 1e-7


def transformers_recording_encoder(name: str, download: bool = False) -> Encoder:
    """Returns the net for recordings in a folder, or of that name in the user's cache of the hub.

    Raises `MissingExtraError` without transformers, and `DataError` for what is no net for
    recordings of 16 kHz, or has weights that are not there, damaged or of another net.
    """
    called = f"hf:{name}"
    library = library_for(called)
    folder = folder_named(name, called, download, (_HOW,))
    config = config_in(library, folder, called)
    rate = json_in(folder, _HOW).get("sampling_rate", RATE)
    if rate != RATE:
        raise DataError(f"backbone '{called}' takes {rate} samples a second; expected {RATE}")
    tensors = weights_in(folder)
    net: Any = frozen(net_in(library, config, tensors, called, "recordings"))
    hear: _Waves | _Spectrograms = _Waves(folder, net)
    if net.config.is_encoder_decoder:  # it takes spectrograms, and its encoder is what is wanted
        hear = _Spectrograms(library, folder, net, called)
    card = EncoderCard(
        name=called,
        takes="recordings",
        features=features_heard(hear, RATE, called),
        weights=hash_of_weights(tensors),
        version=f"transformers {library.__version__}",
        licence=licence_in(folder),
        knows=datasets_in(folder),
        citation=CITATION,
    )
    return RecordingEncoder(card, hear, _SHORTEST)


class _Waves:
    """Nets that take samples, at mean 0 and deviation 1 where the folder says so."""

    def __init__(self, folder: Path, net: Any) -> None:
        self.net = net
        self.standardises = bool(json_in(folder, _HOW).get("do_normalize", True))

    def __call__(self, samples: Tensor) -> Tensor:
        """Returns features `[D]` of samples `[length]`, -1 to 1."""
        if self.standardises:
            deviation = samples.std(correction=0).clamp(min=_LEAST_DEVIATION)
            samples = (samples - samples.mean()) / deviation
        made = self.net(input_values=samples[None])
        return cast(Tensor, made.last_hidden_state[0].mean(0))


class _Spectrograms:
    """Nets with an encoder of spectrograms of a fixed length, which the folder's rules make."""

    def __init__(self, library: Any, folder: Path, net: Any, called: str) -> None:
        self.net = net.get_encoder()
        try:
            self.rules = library.AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever the reading of rules raises
            reason = " ".join(str(error).split())[:160]
            raise DataError(f"'{folder}' does not say what '{called}' hears: {reason}") from error

    def __call__(self, samples: Tensor) -> Tensor:
        """Returns features `[D]` of samples `[length]`, -1 to 1."""
        made = self.rules(samples.numpy(), sampling_rate=RATE, return_tensors="pt")
        hidden = self.net(made["input_features"]).last_hidden_state[0]
        share = min(1.0, len(samples) / self.rules.n_samples)
        return cast(Tensor, hidden[: max(1, math.ceil(share * len(hidden)))].mean(0))
