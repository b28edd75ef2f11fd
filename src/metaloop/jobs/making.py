"""Families with further classes: made once, by the first worker that needs one, mapped by all.

    MADE/KEY/family.json           the classes that were added, and from what
             inputs.safetensors    the examples of those: they stand behind the run's own
         KEY.verdict.json          which generated classes are of use: it outlives the examples

The key says from which data, by which recipe and seed, and by whose net they were filtered. Whoever
comes while another process makes the same family waits for it. Examples go from the operators to
files piece by piece, so that making a family holds one operator's new classes in memory, and using
it none. What was not used for longest goes when all together take more than `MOST_BYTES`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import torch
from torch import Tensor

from metaloop.core.columns import behind
from metaloop.core.errors import OutputError
from metaloop.core.records import DataRecipe
from metaloop.engine.memory import give_back
from metaloop.generators.classes import Classes
from metaloop.generators.drawing import Draw
from metaloop.generators.filtering import Verdict
from metaloop.generators.generate import Made, make_classes
from metaloop.generators.recipes import USUAL_ORIGINAL_SHARE, operators_of
from metaloop.jobs.shipping import mapped_inputs, write_inputs
from metaloop.modelfile.typed_json import decode, encode
from metaloop.tasks.family import ClassFamily, Enlargement
from metaloop.tasks.merging import merge
from metaloop.tasks.store import ClassInfo, LeftOut, Store

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

Filter = Callable[[ClassFamily, Made], Verdict]

_CARD, _INPUTS, _VERDICT = "family.json", "inputs.safetensors", ".verdict.json"
_FORMAT = 2  # of these files: 1 held the run's own examples, too
MOST_BYTES = 4 << 30  # of all families of a run together
_UNFINISHED = ".making-"


@dataclass(frozen=True)
class _Card:
    """What is known of the added classes besides their examples; `sizes`: how many each has."""

    classes: tuple[ClassInfo, ...] = ()
    sizes: tuple[int, ...] = ()
    original_share: float = USUAL_ORIGINAL_SHARE
    left_out: tuple[LeftOut, ...] = ()


def made_family(
    folder: Path,
    facts: Sequence[str],
    base: ClassFamily,
    others: Sequence[ClassFamily],
    recipe: DataRecipe,
    seed: int,
    useful: Filter | None = None,
    most_bytes: int = MOST_BYTES,
    draw: Draw | None = None,
) -> ClassFamily:
    """Returns `base` with the classes of `others` and those that the recipe makes of all.

    `facts` say what decides the result besides `recipe` and `seed`: data, and by whose net `useful`
    says which generated classes are of use, and which model `draw` is of. `others` share nothing
    with `base`, as from `without_overlap`. `base` itself comes back where nothing is of use. Raises
    `OutputError` if the family cannot be written.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, *facts, seed]).encode()).hexdigest()[:24]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock"):
            if not (folder / key).is_dir():
                _make(folder, key, base, others, recipe, seed, useful, most_bytes, draw)
                give_back()
            os.utime(folder / key)  # used just now
            return _opened(folder / key, base)
    except (OSError, safetensors.SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise OutputError(f"cannot write generated data in '{folder}': {reason}") from error


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left half made; nobody may be making anything."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def _make(
    folder: Path,
    key: str,
    base: ClassFamily,
    others: Sequence[ClassFamily],
    recipe: DataRecipe,
    seed: int,
    useful: Filter | None,
    most_bytes: int,
    draw: Draw | None,
) -> None:
    partial = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        source = merge(base, others) if others else base
        pieces, share = _added(source, base), USUAL_ORIGINAL_SHARE
        left_out: tuple[LeftOut, ...] = ()
        if operators_of(recipe):
            made = make_classes(source, recipe, seed, hold=_Holder(partial), draw=draw)
            give_back()  # what operators have worked with
            verdict = _verdict(folder / f"{key}{_VERDICT}", source, made, useful)
            left_out = (*made.left_out, *verdict.left_out)
            if verdict.kept:
                pieces += _chosen(made.pieces, verdict.kept)
                share = recipe.original_share
        whole = partial / key
        whole.mkdir()
        infos = tuple(info for piece in pieces for info in piece.infos)
        sizes = tuple(int(size) for piece in pieces for size in piece.sizes)
        card = json.dumps(encode(_Card(infos, sizes, share, left_out)))
        (whole / _CARD).write_text(card, encoding="ascii")
        if pieces:
            write_inputs([piece.inputs for piece in pieces], whole / _INPUTS)
        _make_room(folder, keep=most_bytes - _bytes_of(whole))
        os.rename(whole, folder / key)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _verdict(path: Path, source: ClassFamily, made: Made, useful: Filter | None) -> Verdict:
    """Returns the verdict that is kept, else the filter's, which is kept from now on."""
    if useful is None:
        return Verdict(tuple(range(sum(map(len, made.pieces)))))
    if path.is_file():
        kept: Verdict = decode(Verdict, json.loads(path.read_text(encoding="ascii")), path.name)
        return kept
    verdict = useful(source, made)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(encode(verdict)), encoding="ascii")
    os.replace(temporary, path)
    return verdict


def _added(source: ClassFamily, base: ClassFamily) -> list[Classes]:
    """Returns the classes that `source` has behind those of `base`."""
    first, start = len(base.store.classes), len(base.store)
    if len(source.store.classes) == first:
        return []
    sizes = np.array([len(rows) for rows in source.store.examples_of[first:]], np.int64)
    rows = np.arange(start, len(source.store))
    return [Classes(source.store.taken(rows), sizes, source.store.classes[first:])]


def _chosen(pieces: Sequence[Classes], kept: Sequence[int]) -> list[Classes]:
    """Returns the kept ones of all classes, as many pieces of one class each: nothing is copied."""
    classes = [
        Classes(
            piece.inputs[start : start + size],
            piece.sizes[index : index + 1],
            (piece.infos[index],),
        )
        for piece in pieces
        for index, (start, size) in enumerate(zip(piece.starts, piece.sizes, strict=True))
    ]
    return [classes[place] for place in kept]


class _Holder:
    """Puts examples into files in this folder and returns them mapped into memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def __call__(self, inputs: Tensor, rows: np.ndarray) -> Tensor:
        """Returns `inputs[rows]` on the device of `inputs`, from a file."""
        path = self._folder / f"{self._number}.safetensors"
        self._number += 1
        write_inputs([inputs], path, rows)
        return mapped_inputs(path).to(inputs.device)


def _opened(path: Path, base: ClassFamily) -> ClassFamily:
    card = decode(_Card, json.loads((path / _CARD).read_text(encoding="ascii")), _CARD)
    if not card.classes:
        return base
    first = len(base.store.classes)
    labels = torch.from_numpy(np.repeat(first + np.arange(len(card.sizes)), card.sizes))
    targets = torch.cat([base.store.targets, labels.to(base.store.targets.device)])
    added = mapped_inputs(path / _INPUTS).to(base.store.device)
    store = Store(
        behind([base.store.inputs, added]),
        targets,
        base.store.classes + card.classes,
        base.store.polarity,
        names=base.store.names_and(len(labels)),
    )
    train = np.concatenate([base.parts["train"], first + np.arange(len(card.sizes))])
    parts = {**base.parts, "train": train}
    enlargement = Enlargement(base, card.original_share, card.left_out)
    return ClassFamily(base.name, store, parts, base.input_format, enlargement)


def _make_room(folder: Path, keep: int) -> None:
    """Removes families, those first that were not used for longest, until `keep` bytes are left.

    Processes that have mapped one keep it: its file is gone when the last of them lets go.
    """
    known = [path for path in folder.iterdir() if (path / _CARD).is_file()]
    known.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in known:
        total += _bytes_of(path)
        if total > keep:
            shutil.rmtree(path, ignore_errors=True)


def _bytes_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.iterdir())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock that ends with the process; where there is no `fcntl`, nothing is locked."""
    with open(path, "wb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
