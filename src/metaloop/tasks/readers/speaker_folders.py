"""Folders of speakers around or inside folders of words, known by the names that recur.

`anna/yes`, `anna/no`, `bob/yes`, `bob/no`: the same words below several speakers, or the same
speakers below several words. Names such as `speaker3` or `p225` are those of speakers; else
speakers are the level with fewer names, the outer one where both have as many.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from metaloop.tasks.readers.parts import split_folders
from metaloop.tasks.readers.sessions import is_numbered, is_telling

_MOST = 0.8  # of the inner folders have a name that is below several outer ones
_SPEAKER = re.compile(r"(s|sp|spk|speaker|p|person|subject|user|voice|client|id)[ _-]?\d+", re.I)
_OUTER, _INNER = r"([^/]+)/[^/]+/[^/]+$", r"([^/]+)/[^/]+$"


def speaker_folders(paths: Sequence[str]) -> tuple[str, str] | None:
    """Returns the pattern of the folder that is a speaker's, and what to say of the guess.

    None where paths are not equally deep, two folders or more, or names do not recur, or are those
    of parts, sessions and numbers.
    """
    folders = [path.split("/")[:-1] for path in paths if "/" in path]
    if not folders or len({len(folder) for folder in folders}) > 1 or len(folders[0]) < 2:
        return None
    below: dict[str, set[str]] = defaultdict(set)  # inner name -> outer names
    for folder in folders:
        below[folder[-1]].add(folder[-2])
    outer, inner = {name for names in below.values() for name in names}, set(below)
    if len(outer) < 2 or len(inner) < 2 or split_folders(outer):
        return None
    places = sum(map(len, below.values()))
    shared = sum(len(names) for names in below.values() if len(names) > 1)
    if shared < _MOST * places or not _are_known(outer, inner):
        return None
    is_outer = _are_speakers(outer) or (not _are_speakers(inner) and len(outer) <= len(inner))
    speakers, words = (outer, inner) if is_outer else (inner, outer)
    first = f"{min(speakers)}/{min(words)}" if is_outer else f"{min(words)}/{min(speakers)}"
    return _OUTER if is_outer else _INNER, (
        f"in folders such as '{first}' the names recur: {len(speakers)} speakers (such as "
        f"'{min(speakers)}') and {len(words)} words (such as '{min(words)}'); if others speak name "
        "them with --speaker-pattern, and --classes-at makes every folder a word of its own"
    )


def _are_known(outer: set[str], inner: set[str]) -> bool:
    """Whether both levels are called after words or people, below speakers also by numbers."""
    if _are_speakers(outer):
        return all(is_telling(name) or is_numbered(name) for name in inner)
    return all(_SPEAKER.fullmatch(name) or is_telling(name) for name in outer | inner)


def _are_speakers(names: set[str]) -> bool:
    return all(_SPEAKER.fullmatch(name) for name in names)
