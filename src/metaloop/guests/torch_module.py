"""A net of one's own as a frozen encoder: any `torch.nn.Module` that turns images into vectors."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from metaloop.core.encoder import EncoderCard
from metaloop.modelfile.checkpoint import hash_of_weights
from metaloop.nets.frozen import ImageEncoder, ImagePreparation, frozen, measured_features


def module_encoder(
    module: nn.Module,
    side: int,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    deviation: Sequence[float] = (1.0, 1.0, 1.0),
    name: str | None = None,
    licence: str = "unknown",
    knows: str = "unknown",
    version: str = "",
    citation: str = "",
) -> ImageEncoder:
    """Returns a copy of the net, frozen and told to evaluate; the net itself stays as it is.

    It is given images float32 `[N, 3, side, side]`, `(x - mean) / deviation` of x in 0 to 1, and
    returns features `[N, D]`. Raises `DataError` where it does not. What is said of it is for
    those who are given its results: `version` is torch's if nothing is said, `citation` BibTeX.
    """
    called = name or f"module:{type(module).__name__}"
    prepare = ImagePreparation(side, mean, deviation)
    net = frozen(copy.deepcopy(module).cpu())
    card = EncoderCard(
        name=called,
        takes="images",
        features=measured_features(called, prepare, net),
        weights=hash_of_weights(net.state_dict()),
        size=side,
        version=version or f"torch {torch.__version__}",
        licence=licence,
        knows=knows,
        citation=citation,
    )
    return ImageEncoder(card, prepare, net)
