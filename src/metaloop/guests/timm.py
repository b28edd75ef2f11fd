"""timm: more than a thousand nets for images by name, as frozen encoders.

`timm:NAME` takes the weights that timm would use from the user's cache, `timm:NAME#FILE` those of a
file; nothing is downloaded unless asked. Weights are read as tensors by metaloop, and must be those
of the net to the last one. Wightman 2019, PyTorch Image Models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import (
    DataError,
    MetaloopError,
    MissingExtraError,
    missing_extra,
    unknown_name,
)
from metaloop.modelfile.checkpoint import hash_of_weights, read_weights
from metaloop.modelfile.hub import hub_folder, weights_in
from metaloop.nets.frozen import ImageEncoder, ImagePreparation, frozen, measured_features

EXTRA = "vision"
_SEEN = (  # what timm's tags say of the data, in its order of training
    ("in22k", "ImageNet-22k"),
    ("in21k", "ImageNet-21k"),
    ("in12k", "ImageNet-12k"),
    ("laion", "LAION"),
    ("openai", "OpenAI's pairs of images and texts"),
    ("lvd", "LVD"),
    ("in1k", "ImageNet-1k"),
)

CITATION = """@misc{wightman2019timm,
  title = {PyTorch Image Models},
  author = {Wightman, Ross},
  year = {2019},
  doi = {10.5281/zenodo.4414861},
}"""


def timm_encoder(
    name: str, weights: Path | None = None, side: int | None = None, download: bool = False
) -> ImageEncoder:
    """Returns the net of that name in timm without its classifier, with pretrained weights.

    `side`: pixels of its images, else those it was trained on. Raises `MissingExtraError` without
    timm or with a torchvision that cannot be imported, `UnknownNameError` for a name that timm has
    not, and `DataError` for weights that are not there, damaged or of another net.
    """
    timm = _timm()
    if not timm.is_model(name):
        raise unknown_name("net of timm", name, timm.list_models())
    known = timm.get_pretrained_cfg(name)
    called = f"timm:{name}" + (f"#{weights}" if weights else "")
    given = weights is not None
    tensors = read_weights(weights) if weights else _of_cache(known, called, download)
    made = _net(timm, name, known, tensors, called)
    found, net = made.pretrained_cfg, frozen(made)
    prepare = ImagePreparation(
        side or int(found["input_size"][-1]),
        tuple(found["mean"]),
        tuple(found["std"]),
        "bilinear" if found["interpolation"] == "bilinear" else "bicubic",
    )
    card = EncoderCard(
        name=called + (f"@{side}" if side else ""),
        takes="images",
        features=measured_features(called, prepare, net),
        weights=hash_of_weights(tensors),
        size=prepare.side,
        version=f"timm {timm.__version__}",
        licence="unknown" if given else _licence(known),
        knows="unknown" if given else _seen(known),
        citation=CITATION,
    )
    return ImageEncoder(card, prepare, net)


def _timm() -> Any:
    """The library, or one line on what is wrong."""
    try:
        import timm  # optional extra
    except ImportError as error:
        raise missing_extra("a backbone of timm", EXTRA) from error
    except RuntimeError as error:
        raise broken_torchvision(error) from error
    return timm


def broken_torchvision(error: Exception) -> MetaloopError:
    """Returns the error for a torchvision that was built for another torch."""
    return MissingExtraError(
        f"timm needs torchvision, and the one that is installed was built for another torch than "
        f"{torch.__version__} ({' '.join(str(error).split())[:80]}); install the two from one "
        f"place: pip install --force-reinstall torch torchvision"
    )


def _of_cache(known: Any, called: str, download: bool) -> dict[str, Tensor]:
    repository = getattr(known, "hf_hub_id", None)
    if not repository:
        raise DataError(
            f"timm has no weights for '{called}'; choose one of its nets that are pretrained, or "
            f"name a file: --backbone '{called}#FILE'"
        )
    return weights_in(hub_folder(repository, called, EXTRA, download))


def _net(timm: Any, name: str, known: Any, tensors: dict[str, Tensor], called: str) -> Any:
    """The net with the weights, and no classifier."""
    with torch.random.fork_rng(devices=[]):  # it is made with random weights at first
        net = timm.create_model(name, num_classes=_classes(known, tensors))
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        wanted, given = set(net.state_dict()), set(tensors)
        differing = len(wanted ^ given) or len(wanted)
        raise DataError(
            f"the weights are not those of '{called}': {differing} tensors are missing, too many "
            f"or of another shape; give it the file that was made with this net"
        ) from error
    if not all(bool(torch.isfinite(each).all()) for each in tensors.values()):
        raise DataError(f"the weights of '{called}' are not finite; get the file anew")
    net.reset_classifier(0)
    return net


def _classes(known: Any, tensors: dict[str, Tensor]) -> int:
    """How many classes the weights tell apart: distilled nets have several classifiers, or 0."""
    last = getattr(known, "classifier", None) or ()
    rows = (tensors.get(f"{name}.weight") for name in ((last,) if isinstance(last, str) else last))
    return next((len(each) for each in rows if each is not None and each.ndim), 0)


def _licence(known: Any) -> str:
    return str(getattr(known, "license", None) or "unknown")


def _seen(known: Any) -> str:
    tag = str(getattr(known, "tag", None) or "")
    return ", ".join(name for part, name in _SEEN if part in tag) or "unknown"
