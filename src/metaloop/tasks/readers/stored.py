"""Stores: what a reader found, in one file whose examples are mapped (`metaloop data --cache`).

The file is a safetensors (`core/mapping.py`) with the tensors

    inputs     the examples, uint8 `[N, channels, height, width]` or float32 `[N, features]`
    targets    int64 `[N]`; `values` float64 `[N, targets]` where targets are real
    prints, groups, content, near    what is known of the examples: `Kept` of `tasks/store.py`
    parts      uint8 `[N]`: the published part of each example, where there is one
    card       JSON in UTF-8: names, classes, what was left out, how it was read, from what

Whoever opens it looks at no example: copies and near-copies were found when it was written. So a
store of millions of examples opens in a moment, and takes no more memory than what is drawn of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.column_kinds import is_of_vectors
from metaloop.core.columns import Column, described, pieces_of
from metaloop.core.errors import DataError, OutputError
from metaloop.core.mapping import facts_of, map_file, write_file
from metaloop.tasks.copied_classes import joining
from metaloop.tasks.fingerprints import Known, fingerprints, groups_of_equal
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import ClassInfo, Kept, LeftOut, Reading, Store

FORMAT, VERSION = "metaloop data", "1"
_PARTS = ("train", "val", "test")
_MOST_PAIRS = 8  # of near-copies, for each example: beyond, they are looked for anew each time
_NO_PART = 255
# what `metaloop data` may be told of a reading, and a store has been told
_OPTIONS = ("image_size", "classes_at", "value_range", "columns", "speaker_pattern")


def is_stored(path: Path) -> bool:
    """Returns whether a path is a file that `write_stored` wrote, of whatever version."""
    return path.is_file() and facts_of(path).get("format") == FORMAT


def write_stored(reading: Reading, path: Path, source: Path | None, asked: ReadOptions) -> None:
    """Writes a reading to a new file, whole or not at all.

    `source` and `asked` are what it was read from and how. Raises `DataError` for examples that
    are neither images nor vectors, `OutputError` where the file cannot be written.
    """
    store = reading.store
    if not all(isinstance(piece, Tensor) for piece in pieces_of(store.inputs)):
        raise DataError(
            f"{reading.name} has {described(store.inputs)}; a store (--cache) holds images or "
            "vectors: give the data themselves to the other verbs"
        )
    if os.path.lexists(path):
        raise OutputError(f"'{path}' already exists; choose another --cache or remove it first")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write '{path}': there is no folder '{path.parent}'")
    tensors = _tensors(reading, _known(store))
    tensors["card"] = [_as_bytes(_card(reading, source, asked))]
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with partial.open("xb") as file:
            write_file(file, tensors, {"format": FORMAT, "version": VERSION})
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def read_stored(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading in a file that `write_stored` wrote, its examples mapped.

    Raises `DataError` for one that is damaged or of another version, and where it would have to be
    read in another way than it was.
    """
    where = f"store {str(path)!r}"
    version = facts_of(path).get("version")
    if version != VERSION:
        raise DataError(
            f"{where} has version {version}, this metaloop reads {VERSION}; build it again with "
            "metaloop data DATA --cache FILE"
        )
    try:
        tensors = map_file(path)
        card = json.loads(tensors["card"].numpy().tobytes())
        reading = _reading(tensors, card)
    except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = error if isinstance(error, ValueError) else type(error).__name__
        raise DataError(
            f"{where} is damaged ({reason}); build it again with metaloop data DATA --cache FILE"
        ) from error
    _check_options(where, reading, card, options)
    if options.strict and reading.left_out:
        raise DataError(
            f"{where}: {sum(each.count for each in reading.left_out)} left out, which strict "
            "reading does not allow; mend the data and build it again"
        )
    changed = _changed(card)
    return replace(reading, notes=(*reading.notes, *changed))


def check_content(reading: Reading) -> None:
    """Raises `DataError` unless the examples of a store are what it was written with."""
    store = reading.store
    if store.known is not None and replace(store, kept=None).digest != store.digest:
        raise DataError(
            f"{reading.name}: the examples of the store were changed after it was written; build "
            "it again with metaloop data DATA --cache FILE"
        )


def _known(store: Store) -> Kept:
    prints = fingerprints(store.inputs)
    known = Known(prints, is_of_vectors(store.inputs))
    pairs = known.pairs(_MOST_PAIRS * len(store))
    groups = groups_of_equal(prints)
    near = None if pairs is None else groups[pairs].reshape(-1, 2)
    kept = Kept(store.inputs, prints, groups, store.content, near)
    copied, units, told = joining(replace(store, kept=kept))
    return replace(kept, digest=store.digest, copied=copied, units=units, told=told)


def _tensors(reading: Reading, kept: Kept) -> dict[str, Sequence[Tensor]]:
    store = reading.store
    found: dict[str, Any] = {"targets": store.targets, "values": store.values}
    found |= {name: getattr(kept, name) for name in ("prints", "groups", "content", "near")}
    found["copied"] = kept.copied
    if reading.example_parts is not None:
        parts = np.full(len(store), _NO_PART, np.uint8)
        for code, part in enumerate(_PARTS):
            parts[reading.example_parts == part] = code
        found["parts"] = parts
    tensors: dict[str, Sequence[Tensor]] = {
        name: [torch.as_tensor(value)] for name, value in found.items() if value is not None
    }
    told = {"digest": kept.digest, "units": kept.units, "told": list(map(astuple, kept.told or ()))}
    tensors["kept"] = [_as_bytes(told)]
    tensors["inputs"] = [piece for piece in pieces_of(store.inputs) if isinstance(piece, Tensor)]
    return tensors


def _card(reading: Reading, source: Path | None, asked: ReadOptions) -> dict[str, Any]:
    store = reading.store
    return {
        "name": reading.name,
        "kind": reading.kind,
        "classes": list(map(astuple, store.classes)),
        "polarity": store.polarity,
        "columns": store.columns,
        "left_out": list(map(astuple, reading.left_out)),
        "notes": reading.notes,
        "objective": reading.objective,
        "asked": {name: getattr(asked, name) for name in _OPTIONS},
        "source": None if source is None else str(source.resolve()),
        "state": None if source is None else _state(source),
    }


def _reading(tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> Reading:
    inputs: Column = tensors["inputs"]
    told = json.loads(tensors["kept"].numpy().tobytes())
    near = tensors.get("near")
    kept = Kept(
        inputs, tensors["prints"].numpy(), tensors["groups"].numpy(), tensors["content"].numpy(),
        None if near is None else near.numpy(), str(told["digest"]), tensors["copied"].numpy(),
        tuple(told["units"]), tuple(LeftOut(*each) for each in told["told"]),
    )  # fmt: skip
    store = Store(
        inputs, tensors["targets"], tuple(ClassInfo(*each) for each in card["classes"]),
        card["polarity"], tensors.get("values"), columns=tuple(card["columns"]), kept=kept,
    )  # fmt: skip
    lengths = {len(each) for each in (kept.prints, kept.groups, kept.content)} | {len(store)}
    if len(lengths) > 1 or not 0 <= int(store.targets.max()) < len(store.classes):
        raise ValueError("its tensors do not belong together")
    parts = None
    if "parts" in tensors:
        names = np.array([*_PARTS, ""])
        parts = names[np.minimum(tensors["parts"].numpy(), len(_PARTS))]
    left_out = tuple(LeftOut(*each) for each in card["left_out"])
    notes = tuple(card["notes"])
    return Reading(card["name"], card["kind"], store, left_out, notes, parts, card["objective"])


def _check_options(
    where: str, reading: Reading, card: Mapping[str, Any], options: ReadOptions
) -> None:
    """Raises `DataError` where something is asked for that the store was not built with."""
    store = reading.store
    for name in _OPTIONS:
        value = getattr(options, name)
        if name == "image_size" and len(store.input_shape) == 3:
            there: Any = store.input_shape[1]
        else:
            there = card["asked"].get(name)
        if value is not None and json.loads(json.dumps(value)) != there:
            raise DataError(
                f"{where} was built with {name.replace('_', ' ')} {there}, {value} is asked for; "
                f"build another one with it"
            )
    if len(store.input_shape) == 3:
        channels = options.channels or store.input_shape[0]
        polarity = options.polarity or store.polarity
        if channels != store.input_shape[0] or polarity != store.polarity:
            raise DataError(
                f"{where} holds images of {store.input_shape[0]} channels ({store.polarity}), "
                f"{channels} ({polarity}) are asked for; give the data that it was built from"
            )
        if options.detail and not callable(options.detail):
            raise DataError(
                f"{where} holds images of {store.input_shape[1]} pixels and none for backbones; "
                "give the data that it was built from, or --backbone none"
            )
    if options.features and tuple(options.features) != store.columns:
        raise DataError(f"{where} has other columns than the model; build one with its columns")


def _state(source: Path) -> Any:
    """What tells that a source has changed: of a file its length and time, of folders their times.

    A file that was written over in a folder is not noticed; that would take a look at all of them.
    """
    try:
        if not source.is_dir():
            facts = source.stat()
            return [facts.st_size, facts.st_mtime_ns]
        folders = sorted(root for root, _, _ in os.walk(source))
        relative = [[os.path.relpath(one, source), os.stat(one).st_mtime_ns] for one in folders]
        return [hashlib.sha256(json.dumps(relative).encode()).hexdigest(), *relative]
    except OSError:
        return None


def _changed(card: Mapping[str, Any]) -> tuple[str, ...]:
    """What to say where the source is still there, and not as it was."""
    source, state = card["source"], card["state"]
    if source is None or state is None or not os.path.exists(source):
        return ()
    try:
        if isinstance(state[0], int):
            facts = os.stat(source)
            same = [facts.st_size, facts.st_mtime_ns] == state
        else:
            same = all(
                os.stat(os.path.join(source, name)).st_mtime_ns == time for name, time in state[1:]
            )
    except OSError:
        same = False
    told = f"what the store was built from ('{source}') has changed since; build it again"
    return () if same else (told,)


def _as_bytes(value: Any) -> Tensor:
    text = json.dumps(value).encode()
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)
