"""ONNX files as frozen encoders of images, run by onnxruntime.

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
from metaloop.core.errors import DataError
from metaloop.guests.onnx.loading import (
    content_of,
    library_for,
    name_of,
    output_of,
    reason_of,
    session_of,
)
from metaloop.nets.frozen import LARGEST_SIDE, ImageEncoder, ImagePreparation, measured_features

USUAL_SIDE = 224  # pixels, where a file leaves it open
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def onnx_encoder(path: Path, output: str | None = None, side: int | None = None) -> ImageEncoder:
    """Returns the net of an ONNX file; `side` counts where the file leaves the size of images open.

    Raises `MissingExtraError` without onnxruntime and `DataError` for a file that is damaged, not
    whole, or too large, that has operators nobody knows, no input for images, or no such output.
    """
    called = name_of(path, output)
    content = content_of(path)
    session = session_of(content, path, called)
    try:
        source, one_by_one, fixed = _image_input(session, called)
        target = output_of(session, output, called)
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
            raise ValueError(reason_of(error)) from error
        return torch.from_numpy(np.concatenate(made)).flatten(1)

    card = EncoderCard(
        name=called + (f"@{side}" if side else ""),
        takes="images",
        features=measured_features(called, prepare, net),
        weights=hashlib.sha256(content).hexdigest()[:16],
        size=prepare.side,
        version=f"onnxruntime {library_for(called).__version__}",
    )
    return ImageEncoder(card, prepare, net)


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
