"""Hugging Face transformers: nets for images in a folder or by name, as frozen encoders.

`hf:FOLDER` or `hf:NAME` takes any net for images whose class transformers itself has: ViT, DINO,
ResNet, ConvNeXt, Swin and their kin, and the image towers of CLIP and SigLIP. Features are what the
net makes of the whole image: the class token where it has one, else its pooled output. Weights are
read as tensors by metaloop; code that a folder brings is never run.
Wolf et al. 2020, arXiv:1910.03771.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.modelfile.checkpoint import hash_of_weights
from metaloop.modelfile.hub import (
    CONFIG,
    datasets_in,
    hub_folder,
    json_in,
    licence_in,
    weights_in,
)
from metaloop.nets.frozen import ImageEncoder, ImagePreparation, frozen, measured_features

EXTRA = "transformers"
_USUAL_SIDE = 224  # pixels
_BILINEAR = 2  # what Pillow calls it
_SPARE_NUMBERS = 20_000_000  # that a net may have beyond its file: a head that is made anew

CITATION = """@inproceedings{wolf2020transformers,
  title = {Transformers: State-of-the-Art Natural Language Processing},
  author = {Wolf, Thomas and others},
  booktitle = {EMNLP: System Demonstrations},
  year = {2020},
  eprint = {1910.03771},
}"""


def transformers_encoder(
    name: str, side: int | None = None, download: bool = False
) -> ImageEncoder:
    """Returns the net for images in a folder, or of that name in the user's cache of the hub.

    `side`: pixels of its images, else those it was trained on. Raises `MissingExtraError` without
    transformers, `DataError` for what is no net for images, for weights that are not there,
    damaged, or of another net, and for a net that only comes with code of its own.
    """
    called = f"hf:{name}"
    library = _library(called)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.startswith((".", "/", "~")) or name.count("/") > 1:
            raise DataError(f"there is no folder '{name}' for backbone '{called}'")
        folder = hub_folder(name, called, EXTRA, download)
    config = _config(library, folder, called)
    tensors = weights_in(folder)
    net = frozen(_Features(_net(library, config, tensors, called)))
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


def _library(called: str) -> Any:
    try:
        import transformers  # optional extra
    except ImportError as error:
        raise missing_extra(f"backbone '{called}'", EXTRA) from error
    return transformers


def _config(library: Any, folder: Path, called: str) -> Any:
    written = json_in(folder, CONFIG)
    if not written:
        raise DataError(f"'{folder}' has no {CONFIG}: it is no folder of transformers")
    try:
        return library.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever the checks of a configuration raise
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"backbone '{called}' is of a kind ({written.get('model_type', 'unknown')!r}) that "
            f"transformers {library.__version__} cannot make by itself: {reason}"
        ) from error


def _net(library: Any, config: Any, tensors: Mapping[str, Tensor], called: str) -> nn.Module:
    """The net with the weights; all of them, but for a pooler, which is not used."""
    try:
        with torch.device("meta"):
            empty = library.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever a net that is made of odd numbers raises
        raise DataError(_reason_of_making(called, error)) from error
    if "pixel_values" not in _arguments(empty):
        raise DataError(f"backbone '{called}' ({config.model_type}) takes no images")
    wanted = sum(parameter.numel() for parameter in empty.parameters())
    if wanted > sum(each.numel() for each in tensors.values()) + _SPARE_NUMBERS:
        raise DataError(
            f"{CONFIG} of backbone '{called}' describes a net of {wanted:,} numbers, its weights "
            f"have fewer; get the folder anew"
        )
    for name, each in tensors.items():
        if not bool(torch.isfinite(each).all()):
            raise DataError(f"'{name}' of backbone '{called}' is not finite; get the folder anew")
    try:
        with torch.random.fork_rng(devices=[]), _quiet(library):
            net, told = type(empty).from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True
            )
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"the weights are not those of backbone '{called}': {reason}") from error
    missing = [name for name in told["missing_keys"] if "pooler." not in name]
    if missing:
        raise DataError(
            f"the weights are not those of backbone '{called}': {len(missing)} tensors are "
            f"missing, '{sorted(missing)[0]}' among them"
        )
    return cast(nn.Module, net)


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without reports and progress bars of the library: what is wrong is told by one line."""
    logs = library.utils.logging
    loudness, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(loudness)
        if bars:
            logs.enable_progress_bar()


def _arguments(net: Any) -> tuple[str, ...]:
    code = net.forward
    while hasattr(code, "__wrapped__"):
        code = code.__wrapped__
    return cast("tuple[str, ...]", code.__code__.co_varnames[: code.__code__.co_argcount])


def _reason_of_making(called: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:160]
    if "torchvision" in reason or "Could not import module" in reason:
        return (
            f"backbone '{called}' cannot be imported; a torchvision that was built for another "
            f"torch is the usual reason: pip uninstall torchvision, which it does not need"
        )
    return f"backbone '{called}' cannot be made: {reason}"


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
