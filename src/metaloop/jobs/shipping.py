"""Families for worker processes: written once, mapped into the memory of every worker.

    FOLDER/family.json           what is no tensor
           inputs.safetensors    the examples
           index.safetensors     targets, the classes of each part, real values if there are any
           judged.safetensors    what extracts of documents are judged by
           N.safetensors         the examples in the N-th further view, from 0 on

Workers map the examples instead of reading them: the pages are in memory once, for all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from metaloop.core.column_content import from_tensors, to_tensors
from metaloop.core.columns import Column, pieces_of, tensors_of
from metaloop.core.errors import DataError, MetaloopError, OutputError
from metaloop.core.extracts import Length
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.records import PARTS, Choice
from metaloop.modelfile.typed_json import decode, encode
from metaloop.tasks.family import ClassFamily, TaskFamily
from metaloop.tasks.generation import GenerationFamily
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.judged import Judged
from metaloop.tasks.kept import with_store
from metaloop.tasks.sight import Sight
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import ClassInfo, Store
from metaloop.tasks.synthetic_tables import SyntheticTables

_VERSION = 1
_CARD, _INPUTS, _INDEX = "family.json", "inputs.safetensors", "index.safetensors"
_JUDGED = "judged.safetensors"
_BYTES_AT_ONCE = 1 << 22
_ALIGNMENT = 64  # bytes, as torch aligns: sums over other addresses may differ in their last bits


_Kind = Literal["classes", "generation", "groups", "sinusoid", "synthetic_tables"]
_KINDS: Mapping[type[TaskFamily], _Kind] = {
    ClassFamily: "classes",
    GenerationFamily: "generation",
    GroupFamily: "groups",
    SinusoidFamily: "sinusoid",
    SyntheticTables: "synthetic_tables",
}
_DRAWN: Mapping[_Kind, Callable[[str], TaskFamily]] = {
    "sinusoid": SinusoidFamily,
    "synthetic_tables": SyntheticTables,
}


@dataclass(frozen=True)
class _SightCard:
    """What is known of a further view: its name, what it is, and the format of what it sees."""

    name: str
    view: str
    identity: str
    input_format: InputFormat


@dataclass(frozen=True)
class _JudgedCard:
    """How extracts are judged, besides tensors; `alike` is that of the family."""

    length: Length
    best: bool
    alike: bool


@dataclass(frozen=True)
class _Card:
    """What is known of a family besides its tensors; those that are drawn have none.

    `identity` is that of what was read, where inputs are what an encoder has made of it;
    `objective` is that of groups, `num_items` is there where they are of events.
    """

    version: int
    kind: _Kind
    name: str
    digest: str
    classes: tuple[ClassInfo, ...] = ()
    polarity: Literal["as_is", "ink"] = "as_is"
    input_format: InputFormat | None = None
    sights: tuple[_SightCard, ...] = field(default=(), metadata={"later": True})
    identity: str | None = field(default=None, metadata={"later": True})
    objective: str = field(default="regression", metadata={"later": True})
    num_items: int = field(default=0, metadata={"later": True})
    judged: _JudgedCard | None = field(default=None, metadata={"later": True})


def can_be_shipped(family: TaskFamily) -> bool:
    """Returns whether a worker gets an equal family: one of the package's own classes.

    A class of the user's, even one that extends them, is known in this process only.
    """
    return type(family) in _KINDS


def ship_family(family: TaskFamily, folder: Path) -> Path:
    """Returns `folder`, from which `load_shipped` now gets an equal family.

    The folder appears whole or not at all; one that holds this family already stays as it is, and
    another family in it is replaced. Raises `OutputError` if it cannot be written, `MetaloopError`
    for kinds of families that cannot leave their process, `ValueError` for one with generated
    classes: workers make them again, from the family without.
    """
    text = json.dumps(encode(_card(family)), sort_keys=True)
    partial: Path | None = None
    try:
        if _text_of(folder / _CARD) == text:
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        (partial / _CARD).write_text(text, encoding="ascii")
        stored = with_store(family)
        if stored is not None:
            _write_tensors(stored, partial)
        if folder.is_dir():
            shutil.rmtree(folder)
        os.rename(partial, folder)
    except (OSError, safetensors.SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise OutputError(f"cannot write the data for workers in '{folder}': {reason}") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def load_shipped(folder: Path) -> TaskFamily:
    """Returns the family in this folder, on the CPU, its examples mapped into memory.

    Raises `DataError` if the folder is damaged: the family's digest is compared.
    """
    try:
        card = decode(_Card, json.loads((folder / _CARD).read_text(encoding="ascii")), _CARD)
        if card.version != _VERSION:
            raise ValueError(f"version {card.version}, this metaloop reads {_VERSION}")
        drawn = _DRAWN.get(card.kind)
        family = _with_tensors(card, folder) if drawn is None else drawn(card.name)
        if family.digest != card.digest:
            raise ValueError("its content was changed")
    except (OSError, LookupError, ValueError, safetensors.SafetensorError) as error:
        raise DataError(
            f"the data for workers in '{folder}' cannot be read ({error}); remove that folder"
        ) from error
    return family


def _card(family: TaskFamily) -> _Card:
    if not can_be_shipped(family):
        raise MetaloopError(
            f"a family of the class {type(family).__name__} cannot be given to worker processes; "
            "use one worker in the own process"
        )
    kind, stored = _KINDS[type(family)], with_store(family)
    if stored is None:
        return _Card(_VERSION, kind, family.name, family.digest)
    if family.as_classes is not None and family.as_classes.enlargement is not None:
        raise ValueError("a family with generated classes is not shipped, but what it came from")
    return _Card(
        _VERSION,
        kind,
        family.name,
        family.digest,
        stored.store.classes,
        stored.store.polarity,
        family.input_format,
        _sight_cards(stored),
        stored.store.identity,
        getattr(stored, "objective", "regression"),
        getattr(stored, "num_items", 0),
        _judged_card(stored),
    )


def _judged_card(family: ClassFamily | GroupFamily) -> _JudgedCard | None:
    judged = getattr(family, "judged", None)
    alike = getattr(family, "alike", False)
    return None if judged is None else _JudgedCard(judged.length, judged.best, alike)


def _sights_of(family: ClassFamily | GroupFamily) -> Mapping[str, Sight]:
    return {} if family.as_classes is None else family.as_classes.sights


def _sight_cards(family: ClassFamily | GroupFamily) -> tuple[_SightCard, ...]:
    return tuple(
        _SightCard(name, sight.view.choice.name, sight.view.identity, sight.input_format)
        for name, sight in _sights_of(family).items()
    )


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="ascii", errors="replace") if path.is_file() else None


def _write_tensors(family: ClassFamily | GroupFamily, folder: Path) -> None:
    index: dict[str, Tensor] = {"targets": family.store.targets.cpu().contiguous()}
    index |= {part: torch.from_numpy(family.parts[part].astype(np.int64)) for part in PARTS}
    for name in ("values", "names"):
        column = getattr(family.store, name)
        if column is not None:
            index[name] = column.cpu().contiguous()
    save_file(index, folder / _INDEX)
    _write_column(family.store.inputs, folder / _INPUTS)
    judged = getattr(family, "judged", None)
    if judged is not None:
        save_file(to_tensors(judged.tables, "judged"), folder / _JUDGED)
    for number, sight in enumerate(_sights_of(family).values()):
        _write_column(sight.inputs, folder / f"{number}.safetensors")


def _write_column(inputs: Column, path: Path) -> None:
    if isinstance(pieces_of(inputs)[0], Tensor):
        write_inputs(tensors_of(inputs), path)
    else:
        save_file(to_tensors(inputs, "inputs"), path)


def write_inputs(pieces: Sequence[Tensor], path: Path, rows: np.ndarray | None = None) -> None:
    """Writes examples (`rows` of them, or all), piece after piece, for `mapped_inputs`.

    A safetensors file: 8 bytes, a header that spaces make long enough, the data. A few examples
    are in memory at a time.
    """
    first = pieces[0]
    number = sum(map(len, pieces)) if rows is None else len(rows)
    size = number * first[0].numel() * first.element_size()
    header = json.loads(save({"inputs": first[:0].cpu().contiguous()})[8:])
    header["inputs"] |= {"shape": [number, *first.shape[1:]], "data_offsets": [0, size]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    at_once = max(1, _BYTES_AT_ONCE * number // max(1, size))
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces:
            wanted = np.arange(len(piece)) if rows is None else rows
            for start in range(0, len(wanted), at_once):
                index = torch.from_numpy(wanted[start : start + at_once]).to(piece.device)
                piece.index_select(0, index).cpu().contiguous().numpy().tofile(file)


def mapped_inputs(path: Path) -> Tensor:
    """Returns the examples of a file, mapped into memory."""
    return _mapped(path)["inputs"]


def _with_tensors(card: _Card, folder: Path) -> TaskFamily:
    index = _mapped(folder / _INDEX)
    inputs = from_tensors(_mapped(folder / _INPUTS), "inputs")
    store = Store(
        inputs, index["targets"], card.classes, card.polarity, index.get("values"),
        identity=card.identity, names=index.get("names"),
    )  # fmt: skip
    parts: Mapping[Any, Any] = {part: index[part].numpy() for part in PARTS}
    if card.kind == "groups":
        judged, alike = None, False
        if card.judged is not None:
            tables = from_tensors(_mapped(folder / _JUDGED), "judged")
            assert isinstance(tables, dict)
            judged, alike = Judged(tables, card.judged.length, card.judged.best), card.judged.alike
        return GroupFamily(
            card.name, store, parts, card.input_format, card.objective,
            num_items=card.num_items, judged=judged, alike=alike,
        )  # fmt: skip
    sights = {
        sight.name: Sight(
            FittedView(Choice(sight.view)),  # what it is made of stays with the coordinator
            mapped_inputs(folder / f"{number}.safetensors"),
            sight.input_format,
        )
        for number, sight in enumerate(card.sights)
    }
    classes = ClassFamily(card.name, store, parts, card.input_format, sights=sights)
    return GenerationFamily(card.name, classes) if card.kind == "generation" else classes


def _mapped(path: Path) -> dict[str, Tensor]:
    with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
