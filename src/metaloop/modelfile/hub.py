"""Folders with the weights of others: the user's cache of the hub, filled only when asked to.

A folder holds `config.json`, weights (safetensors, in one file or several, or a checkpoint of
torch) and perhaps `README.md`, whose head says the licence. None of it is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from metaloop.core.errors import DataError, missing_extra
from metaloop.modelfile.checkpoint import MOST_BYTES, read_weights

CONFIG, CARD = "config.json", "README.md"
BACKBONE = "backbone"  # what folders are mostly for
_SMALL = (CONFIG, "preprocessor_config.json", CARD)
_TENSORS, _CHECKPOINT = "model*.safetensors", "pytorch_model.bin"
_MOST_CONFIGURATION = 10_000_000  # bytes


def hub_folder(
    repository: str,
    name: str,
    extra: str,
    download: bool = False,
    also: Sequence[str] = (),
    what: str = BACKBONE,
) -> Path:
    """Returns the folder in the user's cache that has a repository of the hub.

    `what` is `name`d so by the user, `also` are patterns of further files. Raises
    `MissingExtraError` without the hub's library, which `extra` brings, and `DataError` for what is
    not in the cache and is not to be downloaded, or cannot be.
    """
    try:
        from huggingface_hub import snapshot_download  # optional extra
        from huggingface_hub.errors import LocalEntryNotFoundError  # optional extra
    except ImportError as error:
        raise missing_extra(f"{what} '{name}'", extra) from error
    try:
        for wanted in ((*_SMALL, *also, _TENSORS), (*_SMALL, *also, _CHECKPOINT)):
            folder = Path(
                snapshot_download(
                    repository, allow_patterns=list(wanted), local_files_only=not download
                )
            )
            if files_of_weights(folder):
                break
    except LocalEntryNotFoundError as error:
        how = "--download" if what == BACKBONE else "download=True"
        if download:
            raise DataError(
                f"{what} '{name}' cannot be downloaded: the hub is not reached or has no "
                f"'{repository}'; look at the name and at the network"
            ) from error
        raise DataError(
            f"the weights of {what} '{name}' are not on this machine; download them with "
            f"{how}, or name a folder or file that has them"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:  # errors of HTTP are OSErrors
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{what} '{name}' cannot be downloaded: {reason}") from error
    return folder


def files_of_weights(folder: Path) -> list[Path]:
    """Returns the files with the weights in a folder, none where there are none."""
    return sorted(folder.glob(_TENSORS)) or sorted(folder.glob(_CHECKPOINT))


def weights_in(folder: Path) -> dict[str, Tensor]:
    """Returns all tensors of a folder by name; raises `DataError` where there are none."""
    files = files_of_weights(folder)
    if not files:
        raise DataError(f"'{folder}' has no weights: {_TENSORS} or {_CHECKPOINT} was expected")
    tensors: dict[str, Tensor] = {}
    left = MOST_BYTES
    for file in files:
        tensors |= read_weights(file, left)
        left -= file.stat().st_size
    return tensors


def json_in(folder: Path, file: str) -> dict[str, Any]:
    """Returns the JSON object in a file of a folder, an empty one where there is no such file.

    Raises `DataError` for anything else.
    """
    found = _json(folder / file, {})
    if not isinstance(found, dict):
        raise DataError(f"'{folder / file}' holds no JSON object")
    return found


def json_list_in(folder: Path, file: str) -> list[dict[str, Any]]:
    """Returns the JSON list of objects in a file, an empty one where there is no such file.

    Raises `DataError` for anything else.
    """
    found = _json(folder / file, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise DataError(f"'{folder / file}' holds no list of JSON objects")
    return found


def _json(path: Path, without: Any) -> Any:
    if not path.exists():
        return without
    try:
        if path.stat().st_size > _MOST_CONFIGURATION:
            raise DataError(f"'{path}' is too long to be a configuration")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' cannot be read: {' '.join(str(error).split())}") from error


def licence_in(folder: Path) -> str:
    """Returns the licence that the head of a folder's README states, or "unknown"."""
    return _head(folder).get("license", "unknown")


def datasets_in(folder: Path) -> str:
    """Returns what the head of a folder's README says it was trained on, or "unknown"."""
    return _head(folder).get("datasets", "unknown")


def _head(folder: Path) -> Mapping[str, str]:
    """The fields of one line or one list between the `---` that a card begins with."""
    try:
        with (folder / CARD).open(encoding="utf-8") as file:
            text = file.read(100_000)
    except (OSError, ValueError):
        return {}
    found = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    fields: dict[str, str] = {}
    for key, one, several in re.findall(
        r"^(\w+):[ \t]*([^\n]*)((?:\n[ \t]*- [^\n]*)*)", found[1] if found else "", re.MULTILINE
    ):
        items: Sequence[str] = re.findall(r"- ([^\n]*)", several)
        value = one.strip() or ", ".join(item.strip() for item in items)
        if value:
            fields[key] = value[:200]
    return fields
