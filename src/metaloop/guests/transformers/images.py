"""Nets of transformers for images as frozen encoders.

`hf:FOLDER` or `hf:NAME` takes any net for images whose class transformers itself has: ViT, DINO,
ResNet, ConvNeXt, Swin and their kin, and the image towers of CLIP and SigLIP. Features are what the
net makes of the whole image: the class token where it has one, else its pooled output. Weights are
read as tensors by metaloop; code that a folder brings is never run.
Wolf et al. 2020, arXiv:1910.03771.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from torch import Tensor, nn

from metaloop.core.encoder import EncoderCard
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
from metaloop.nets.frozen import ImageEncoder, ImagePreparation, frozen, measured_features

_USUAL_SIDE = 224  # pixels
_BILINEAR = 2  # what Pillow calls it


def transformers_encoder(
    name: str, side: int | None = None, download: bool = False
) -> ImageEncoder:
    """Returns the net for images in a folder, or of that name in the user's cache of the hub.

    `side`: pixels of its images, else those it was trained on. Raises `MissingExtraError` without
    transformers, `DataError` for what is no net for images, for weights that are not there,
    damaged, or of another net, and for a net that only comes with code of its own.
    """
    called = f"hf:{name}"
    library = library_for(called)
    folder = folder_named(name, called, download)
    config = config_in(library, folder, called)
    tensors = weights_in(folder)
    net = frozen(_Features(net_in(library, config, tensors, called, "images")))
    prepare = _preparation(folder, config, side)
    card = EncoderCard(
        name=called + (f"@{side}" if side else ""),
        takes="images",
        features=measured_features(called, prepare, net),
        weights=hash_of_weights(tensors),
        size=prepare.side,
        version=f"transformers {library.__version__}",
        licence=licence_in(folder),
        knows=datasets_in(folder),
        citation=CITATION,
    )
    return ImageEncoder(card, prepare, net)


class _Features(nn.Module):
    """What a net of transformers makes of whole images."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.has_tower = hasattr(net, "get_image_features")
        self.has_token = any(name.endswith("cls_token") for name, _ in net.named_parameters())

    def forward(self, images: Tensor) -> Tensor:
        """Returns features `[N, D]`."""
        if self.has_tower:
            made = self.net.get_image_features(pixel_values=images)
            return cast(Tensor, made if isinstance(made, Tensor) else made.pooler_output)
        made = self.net(pixel_values=images)
        if self.has_token:
            return cast(Tensor, made.last_hidden_state[:, 0])
        pooled = getattr(made, "pooler_output", None)
        if pooled is None:
            hidden = made.last_hidden_state
            pooled = hidden.mean((2, 3)) if hidden.ndim == 4 else hidden.mean(1)
        return cast(Tensor, pooled.flatten(1))


def _preparation(folder: Path, config: Any, side: int | None) -> ImagePreparation:
    """How the folder says that images are prepared; without a word, as most nets have it."""
    written = json_in(folder, "preprocessor_config.json")
    size: Any = written.get("crop_size") or written.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    tower = getattr(config, "vision_config", config)
    size = side or size or getattr(tower, "image_size", None) or _USUAL_SIDE
    normal = written.get("do_normalize", True)
    mean = written.get("image_mean", [0.5] * 3) if normal else [0.0] * 3
    deviation = written.get("image_std", [0.5] * 3) if normal else [1.0] * 3
    kind: Literal["bilinear", "bicubic"] = (
        "bilinear" if written.get("resample", _BILINEAR) == _BILINEAR else "bicubic"
    )
    try:
        mean, deviation = (tuple(float(n) for n in numbers) for numbers in (mean, deviation))
        if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
            raise ValueError("three numbers each, above zero")
        return ImagePreparation(int(size), mean, deviation, kind)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"'{folder / 'preprocessor_config.json'}' does not say how images are prepared: {error}"
        ) from error
