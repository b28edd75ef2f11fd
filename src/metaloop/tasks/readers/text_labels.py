"""Labels of texts that are no single class, or disagree: refused or told, never mangled.

`a|b` or `a;b` is taken for two labels if `a` or `b` is a label by itself, or if every piece is in
another label as well; a list of JSON always is. What shares a piece in any other way may be one
name (`news|sport`, `news|weather`; `red, dark` beside `red`): it stays, and is told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from metaloop.core.errors import DataError

_BARS = "|;"  # what labels are joined by
_JOINTS = (*_BARS, ",")  # a comma may as well be part of a name
_SHOWN = 40  # characters of a text or label in a message


def check_labels(where: str, labels: Sequence[Any]) -> tuple[str, ...]:
    """Returns what to say of labels that may be several; raises `DataError` where they are."""
    written = list(map(str, labels))
    counts = Counter(written)
    several = {name for name in counts if _is_list(name)}
    shared: set[str] = set()
    for joint in _JOINTS:
        pieces = {name: _pieces(name, joint) for name in counts}
        known = Counter(piece for of in pieces.values() for piece in of)
        for name, of in pieces.items():
            alone = any(piece in counts for piece in of)
            if joint not in name or not any(known[piece] > 1 for piece in of):
                continue
            is_joined = joint in _BARS and (alone or all(known[piece] > 1 for piece in of))
            if is_joined:
                several.add(name)
            elif alone or joint in _BARS:
                shared.add(name)
    if several:
        count = sum(counts[name] for name in several)
        raise DataError(
            f"{where}: {count} of {len(written)} rows have several labels, the first is "
            f"{min(several)[:_SHOWN]!r}; a text has one label here: keep one, or make each "
            "combination a name without a bar"
        )
    if not shared:
        return ()
    kinds = f"{len(shared):,} labels share" if len(shared) > 1 else "1 label shares"
    return (
        f"{kinds} a part of the name with others, such as {min(shared)[:_SHOWN]!r}: each is taken "
        "for one class",
    )


def contradictions(
    texts: Sequence[str], labels: Sequence[Any], places: str = "rows"
) -> tuple[str, ...]:
    """Returns what to say of texts that have several labels in different rows (or files)."""
    labels_of: dict[str, set[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        labels_of.setdefault(text, set()).add(str(label))
    twofold = [text for text, labels in labels_of.items() if len(labels) > 1]
    if not twofold:
        return ()
    first = min(twofold)
    said = " and ".join(repr(label[:_SHOWN]) for label in sorted(labels_of[first])[:3])
    count = f"{len(twofold):,} texts have" if len(twofold) > 1 else "1 text has"
    return (f"{count} different labels in different {places}, such as {first[:_SHOWN]!r}: {said}",)


def _pieces(name: str, joint: str) -> frozenset[str]:
    """The different parts of a name: itself alone where nothing joins them."""
    return frozenset(part for piece in name.split(joint) if (part := piece.strip()))


def _is_list(name: str) -> bool:
    """Whether a label is a list of JSON, of texts or of numbers."""
    if not (name.startswith("[") and name.endswith("]")):
        return False
    try:
        return isinstance(json.loads(name), list)
    except (ValueError, RecursionError):
        return False
