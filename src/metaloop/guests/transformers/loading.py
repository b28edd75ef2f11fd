"""Folders of transformers: their configuration and net, without any code that they bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from metaloop.core.errors import DataError, missing_extra
from metaloop.modelfile.hub import BACKBONE, CONFIG, hub_folder, json_in

EXTRA = "transformers"
_SPARE_NUMBERS = 20_000_000  # that a net may have beyond its file: a head that is made anew
_ARGUMENTS = {  # of which a net has one that takes such inputs
    "images": ("pixel_values",),
    "recordings": ("input_values", "input_features"),
    "texts": ("input_ids",),
}
_NOT_BESIDE = {"texts": "pixel_values"}  # a net of both sees texts beside images only

CITATION = """@inproceedings{wolf2020transformers,
  title = {Transformers: State-of-the-Art Natural Language Processing},
  author = {Wolf, Thomas and others},
  booktitle = {EMNLP: System Demonstrations},
  year = {2020},
  eprint = {1910.03771},
}"""


def folder_named(
    name: str, called: str, download: bool, also: Sequence[str] = (), what: str = BACKBONE
) -> Path:
    """Returns the folder of that path, or the one of that name in the user's cache of the hub.

    `also`: patterns of files that are needed beside weights and configuration. `what` it is for, in
    messages. Raises `DataError`.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise DataError(f"there is no folder '{name}' for {what} '{called}'")
    return hub_folder(name, called, EXTRA, download, also, what)


def library_for(called: str, what: str = BACKBONE) -> Any:
    """Returns transformers; raises `MissingExtraError`."""
    try:
        import transformers  # optional extra
    except ImportError as error:
        raise missing_extra(f"{what} '{called}'", EXTRA) from error
    return transformers


def config_in(library: Any, folder: Path, called: str, what: str = BACKBONE) -> Any:
    """Returns the configuration in a folder; raises `DataError` for none, and for one with code."""
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
            f"{what} '{called}' is of a kind ({written.get('model_type', 'unknown')!r}) that "
            f"transformers {library.__version__} cannot make by itself: {reason}"
        ) from error


def net_in(
    library: Any, config: Any, tensors: Mapping[str, Tensor], called: str, takes: str
) -> nn.Module:
    """Returns the net with the weights; all of them, but for a pooler, which is not used.

    `takes`: images, recordings or texts. Raises `DataError` for a net of other inputs, and for
    weights that are not finite or not those of the net.
    """
    try:
        with torch.device("meta"):
            empty = library.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever a net that is made of odd numbers raises
        raise DataError(_reason_of_making(called, error)) from error
    arguments = _arguments(empty)
    if not {*_ARGUMENTS[takes]} & {*arguments} or _NOT_BESIDE.get(takes) in arguments:
        raise DataError(f"backbone '{called}' ({config.model_type}) takes no {takes}")
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
        with torch.random.fork_rng(devices=[]), quiet(library):
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
def quiet(library: Any) -> Iterator[None]:
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
