"""The last step of every reader: drop classes that are too small, judge what is left, report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from metaloop.core.columns import Column, chosen
from metaloop.core.errors import DataError
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.store import ClassInfo, LeftOut, Reading, Store

MIN_EXAMPLES = 2  # one to learn from, one to be asked about
_NAMED = 3  # how many examples of a reason are named


def tally(names: Sequence[str], reason: str) -> LeftOut:
    """Returns one record for all `names` (at least one) that were left out for the same reason."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return LeftOut(", ".join(names[:_NAMED]) + more, reason, len(names))


def explain(left_out: Sequence[LeftOut]) -> str:
    """Returns the first reasons in one line: `a.txt (not an image); ...`."""
    listed = "; ".join(f"{item.what} ({item.reason})" for item in left_out[:_NAMED])
    return listed + ("; ..." if len(left_out) > _NAMED else "")


def unreadable(where: str, names: Sequence[str], readable: np.ndarray) -> list[LeftOut]:
    """Returns what to say of images that are not among the `readable`; raises if none is."""
    if len(readable) == 0:
        raise DataError(
            f"{where}: none of its {len(names)} images can be read (first: {names[0]!r}); "
            "they are damaged, too large or no images at all"
        )
    broken = np.setdiff1d(np.arange(len(names)), readable)
    return [tally([tidy(names[i]) for i in broken], "unreadable image")] if len(broken) else []


def finish(
    where: str,
    kind: str,
    inputs: np.ndarray | Column,
    targets: np.ndarray,
    classes: Sequence[ClassInfo],
    left_out: Sequence[LeftOut] = (),
    *,
    name: str,
    polarity: Literal["as_is", "ink"] = "as_is",
    strict: bool = False,
    notes: Sequence[str] = (),
    example_parts: np.ndarray | None = None,
    detail: np.ndarray | None = None,
    speakers: np.ndarray | None = None,
    voices: Sequence[ClassInfo] = (),
) -> Reading:
    """Returns the reading of N inputs, an array or a column, and `targets [N]` of `classes`.

    Classes with fewer than 2 examples are left out. Raises `DataError` if fewer than 2 classes
    remain, or, with `strict`, if anything was left out. `where` names the data in messages, `notes`
    say how it was understood, `example_parts [N]` are the published ones, `detail` are the same
    examples for encoders. `speakers [N]` index `voices`, where it is known who is heard.
    """
    counts = np.bincount(targets, minlength=len(classes))
    kept = np.flatnonzero(counts >= MIN_EXAMPLES).tolist()
    left_out = [*left_out, *_too_small(classes, counts)]
    if strict:
        _refuse_left_out(where, left_out)
    if len(kept) < 2:
        found = f"only class {classes[kept[0]].name!r}" if len(kept) else "no class"
        raise _too_few(where, found, left_out, notes)
    if isinstance(inputs, np.ndarray):
        inputs = torch.from_numpy(np.require(inputs, requirements=["C", "W"]))
    larger = None if detail is None else torch.from_numpy(detail)
    if len(kept) < len(classes):
        renumbered = np.full(len(classes), -1)
        renumbered[kept] = np.arange(len(kept))
        used = np.isin(targets, kept)
        if not used.all():
            rows = torch.from_numpy(np.flatnonzero(used))
            inputs = chosen(inputs, rows)
            larger = None if larger is None else larger[rows]
        targets = renumbered[targets[used]]
        speakers = None if speakers is None else speakers[used]
        example_parts = None if example_parts is None else example_parts[used]
    store = Store(
        inputs,
        torch.from_numpy(targets.astype(np.int64)),
        tuple(classes[index] for index in kept),
        polarity,
        detail=larger,
        speakers=None if speakers is None else torch.from_numpy(speakers.astype(np.int64)),
        voices=tuple(voices),
    )
    return Reading(name, kind, store, tuple(left_out), tuple(notes), example_parts)


def _too_few(
    where: str, found: str, left_out: Sequence[LeftOut], notes: Sequence[str]
) -> DataError:
    also = f"; left out: {explain(left_out)}" if left_out else ""
    also += f" ({notes[0]})" if notes else ""
    return DataError(
        f"{where}: {found} has at least {MIN_EXAMPLES} usable examples, but learning to tell "
        f"classes apart needs at least 2 such classes; add more classes or examples{also}"
    )


def _refuse_left_out(where: str, left_out: Sequence[LeftOut]) -> None:
    if left_out:
        total = sum(item.count for item in left_out)
        raise DataError(
            f"{where}: {total} left out, which strict reading does not allow: {explain(left_out)}; "
            "mend the data or read it without strict"
        )


def _too_small(classes: Sequence[ClassInfo], counts: np.ndarray) -> list[LeftOut]:
    """One record for the classes without examples and one for those with a single one."""
    names: dict[int, list[str]] = defaultdict(list)
    for index in np.flatnonzero(counts < MIN_EXAMPLES).tolist():
        names[int(counts[index])].append(f"class {classes[index].name!r}")
    return [
        tally(
            names[count],
            f"class too small: {count} example{'s' if count != 1 else ''}, "
            f"a class needs at least {MIN_EXAMPLES}",
        )
        for count in sorted(names)
    ]
