"""ONNX files as frozen encoders, run by onnxruntime.

`onnx:FILE` takes the last output that is a vector for each image, `onnx:FILE#OUTPUT` the one of
that name. Images are `(x - mean) / deviation` of x in 0 to 1, ImageNet's unless the file's metadata
say otherwise (`mean`, `std`: three numbers with commas between). The file must be whole: weights in
other files are refused, and so are operators that onnxruntime has not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.modelfile.onnx_parts import has_other_files
from metaloop.nets.frozen import LARGEST_SIDE, ImageEncoder, ImagePreparation, measured_features

EXTRA = "onnx"
MOST_BYTES = 2 << 30  # protocol buffers have no more
THREADS = 2
USUAL_SIDE = 224  # pixels, where a file leaves it open
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def onnx_encoder(path: Path, output: str | None = None, side: int | None = None) -> ImageEncoder:
    """Returns the net of an ONNX file; `side` counts where the file leaves the size of images open.

    Raises `MissingExtraError` without onnxruntime and `DataError` for a file that is damaged, not
    whole, or too large, that has operators nobody knows, no input for images, or no such output.
    """
    called = f"onnx:{path}" + (f"#{output}" if output else "")
    content = _content(path)
    session = _session(content, path, called)
    try:
        source, one_by_one, fixed = _image_input(session, called)
        target = _feature_output(session, output, called)
        said = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is damaged: it has names that are no text") from error
    if side and fixed and side != fixed:
        raise DataError(
            f"backbone '{called}' takes images of {fixed} pixels, {side} were asked for"
        )
    prepare = _preparation(said, fixed or side or USUAL_SIDE, called)

    def net(images: Tensor) -> Tensor:
        pieces = torch.split(images.contiguous(), 1) if one_by_one else (images.contiguous(),)
        try:
            made = [session.run([target], {source: piece.numpy()})[0] for piece in pieces]
        except Exception as error:  # onnxruntime's errors have no common class
            raise ValueError(_reason(error)) from error
        return torch.from_numpy(np.concatenate(made)).flatten(1)

    card = EncoderCard(
        name=called + (f"@{side}" if side else ""),
        takes="images",
        features=measured_features(called, prepare, net),
        weights=hashlib.sha256(content).hexdigest()[:16],
        size=prepare.side,
        version=f"onnxruntime {_library(called).__version__}",
    )
    return ImageEncoder(card, prepare, net)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(
                f"'{path}' has {path.stat().st_size / 1e9:.1f} GB; an ONNX file has at most "
                f"{MOST_BYTES / 1e9:.1f} GB"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _library(called: str) -> Any:
    try:
        import onnxruntime  # optional extra
    except ImportError as error:
        raise missing_extra(f"backbone '{called}'", EXTRA) from error
    return onnxruntime


def _session(content: bytes, path: Path, called: str) -> Any:
    """The file ready to run, if it names no other files."""
    library = _library(called)
    try:
        if has_other_files(content):
            raise DataError(
                f"'{path}' cannot be used as a backbone: its weights are in other files; save it "
                f"as one file"
            )
    except ValueError as error:
        raise DataError(f"'{path}' is no ONNX file: {error}") from error
    options = library.SessionOptions()
    options.intra_op_num_threads = min(THREADS, torch.get_num_threads())
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is told by the error
    try:
        return library.InferenceSession(
            content,
            sess_options=options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would try again, and print that
        )
    except Exception as error:  # onnxruntime's errors have no common class
        raise DataError(f"'{path}' cannot be used as a backbone: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What onnxruntime says, without its codes."""
    text = " ".join(str(error).split())
    return text.rpartition("] : ")[2].partition(" : ")[2][:200] or text[:200]


def _image_input(session: Any, called: str) -> tuple[str, bool, int]:
    """The name of the input; whether it takes one image at a time; its side, 0 if that is open."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    fits = len(shape) == 4 and inputs[0].type == "tensor(float)" and shape[1] in (3, None)
    fits = fits or (len(shape) == 4 and isinstance(shape[1], str))
    if not fits:
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)[:200]
        raise DataError(
            f"backbone '{called}' takes no images: one input, tensor(float) [N, 3, height, width], "
            f"was expected; it has {found}"
        )
    sides = [each for each in shape[2:] if isinstance(each, int)]
    if sides and (len(set(sides)) > 1 or not 1 <= sides[0] <= LARGEST_SIDE):
        raise DataError(
            f"backbone '{called}' takes images of {shape[2:]} pixels; squares can be made"
        )
    return inputs[0].name, shape[0] == 1, sides[0] if sides else 0


def _feature_output(session: Any, output: str | None, called: str) -> str:
    """The output of that name, or the last one that is a vector for each image."""
    outputs = session.get_outputs()
    names = [each.name for each in outputs]
    if output is not None:
        if output not in names:
            raise DataError(
                f"backbone '{called}' has no output '{output}'; it has {', '.join(names)}"
            )
        return output
    flat = [each.name for each in outputs if len(each.shape or ()) == 2]
    if not flat:
        shapes = ", ".join(f"{each.name} {each.shape}" for each in outputs)[:200]
        raise DataError(
            f"backbone '{called}' has no output [N, D] for features: {shapes}; name one: "
            f"'{called}#OUTPUT'"
        )
    return str(flat[-1])


def _preparation(said: Mapping[str, str], side: int, called: str) -> ImagePreparation:
    """How the metadata of the file say that images are prepared; else as for ImageNet."""
    try:
        mean, deviation = (
            tuple(float(number) for number in said[key].split(",")) if key in said else usual
            for key, usual in (("mean", _MEAN), ("std", _DEVIATION))
        )
    except ValueError as error:
        raise DataError(f"the metadata of '{called}' have no three numbers: {error}") from error
    if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
        raise DataError(f"the metadata of '{called}' have no three numbers for mean and std")
    return ImagePreparation(side, mean, deviation)
