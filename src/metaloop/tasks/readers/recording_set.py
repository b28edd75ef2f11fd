"""Many recordings as one reading: decoded, told of, with their words and their speakers.

Samples are int16 at 16 kHz in one ragged column, 32 KB a second. A recording that can be no example
is left out with its reason; what was done to others is a note.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from metaloop.core.columns import Ragged
from metaloop.core.errors import DataError
from metaloop.tasks.readers.finish import finish, tally
from metaloop.tasks.readers.labels import LabelTable
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.parts import published_parts
from metaloop.tasks.readers.recordings import MOST_SECONDS, RATE, Recording
from metaloop.tasks.store import ClassInfo, LeftOut, PublishedPart, Reading

_MOST_BYTES = 8 << 30  # of all samples: 74 hours
_SHOWN = 3

Load = Callable[[int, float], Recording]


@dataclass(frozen=True)
class Spoken:
    """What is known of N recordings beside their words: a name for each, speakers and parts.

    `speakers` are names, "" where one is not known; `parts` those of a published split.
    """

    names: Sequence[str]
    speakers: Sequence[str] | None = None
    parts: Sequence[PublishedPart] | None = None


def read_recording_set(
    where: str,
    name: str,
    kind: str,
    load: Load,
    labels: LabelTable,
    spoken: Spoken,
    options: ReadOptions,
    notes: Sequence[str] = (),
) -> Reading:
    """Returns the reading of recordings; `load(i, most seconds)` gives recording i.

    Raises `DataError` if none can be used, or if they are more than can be held.
    """
    options.refuse_pixels(where)
    most = float(options.clip_seconds or MOST_SECONDS)
    decoded, left_out = _decoded(where, spoken.names, load, most)
    used = np.array(sorted(decoded), np.int64)
    column = Ragged.of([torch.from_numpy(decoded[i].samples) for i in used.tolist()])
    labels, voices, speakers = _published(labels, spoken)
    told = [*notes, *_told([decoded[i] for i in used], [spoken.names[i] for i in used], most)]
    if voices:
        told.append(f"{len(voices):,} speakers are known")
    return finish(
        where,
        kind,
        column,
        labels.targets[used],
        labels.classes,
        [*labels.left_out, *left_out],
        name=name,
        strict=options.strict,
        notes=told,
        speakers=None if speakers is None else speakers[used],
        voices=voices,
    )


def _decoded(
    where: str, names: Sequence[str], load: Load, most: float
) -> tuple[dict[int, Recording], list[LeftOut]]:
    decoded: dict[int, Recording] = {}
    broken: dict[str, list[str]] = defaultdict(list)
    held = 0
    for i, name in enumerate(names):
        try:
            decoded[i] = load(i, most)
        except (DataError, OSError) as error:
            broken[_reason(error)].append(tidy(name))
            continue
        held += decoded[i].samples.nbytes
        if held > _MOST_BYTES:
            raise DataError(
                f"{where}: recordings of more than {_MOST_BYTES / 2 / RATE / 3600:.0f} hours; use "
                f"fewer, or shorter clips than {most:g} s (clip_seconds)"
            )
    left_out = [tally(of, reason) for reason, of in sorted(broken.items())]
    if not decoded:
        first = f"first: {left_out[0].what} ({left_out[0].reason})" if left_out else "there is none"
        raise DataError(f"{where}: none of its {len(names)} recordings can be used; {first}")
    return decoded, left_out


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return f"unusable recording: {error}"


def _published(
    labels: LabelTable, spoken: Spoken
) -> tuple[LabelTable, tuple[ClassInfo, ...], np.ndarray | None]:
    """The words and the speakers, each with its published part where the split is one of them.

    A split may divide words, speakers or both; only one that divides neither is of no use.
    """
    number = len(labels.classes)
    of_words, notices = (
        ([None] * number, [])
        if spoken.parts is None
        else published_parts(
            labels.targets, spoken.parts, number, [info.unit for info in labels.classes]
        )
    )
    voices, speakers = _voices(spoken)
    if any(voice.part for voice in voices):
        notices = []
    classes = [
        replace(info, part=part) for info, part in zip(labels.classes, of_words, strict=True)
    ]
    return LabelTable(labels.targets, classes, [*labels.left_out, *notices]), voices, speakers


def _voices(spoken: Spoken) -> tuple[tuple[ClassInfo, ...], np.ndarray | None]:
    if spoken.speakers is None or not any(spoken.speakers):
        return (), None
    names = sorted(set(spoken.speakers))
    place = {name: index for index, name in enumerate(names)}
    speakers = np.array([place[name] for name in spoken.speakers], np.int64)
    parts: Sequence[PublishedPart | None] = [None] * len(names)
    if spoken.parts is not None:
        parts, _ = published_parts(speakers, spoken.parts, len(names))
    shown = [name or "unknown" for name in names]
    voices = [ClassInfo(name, part=part) for name, part in zip(shown, parts, strict=True)]
    return tuple(voices), speakers


def _told(recordings: Sequence[Recording], names: Sequence[str], most: float) -> list[str]:
    """What was done to the recordings, and what is odd about them."""
    notes = []
    rates = Counter(recording.rate for recording in recordings)
    if set(rates) != {RATE}:
        listed = ", ".join(f"{rate:,} Hz ({n:,})" for rate, n in rates.most_common(_SHOWN))
        more = f" and {len(rates) - _SHOWN} other rates" if len(rates) > _SHOWN else ""
        notes.append(f"recordings of {listed}{more} are heard at {RATE:,} Hz")
    several = sum(recording.channels > 1 for recording in recordings)
    if several:
        notes.append(f"the channels of {several:,} recordings are averaged")
    return notes + odd_recordings(recordings, names, most)


def odd_recordings(
    recordings: Sequence[Recording], names: Sequence[str], most: float = MOST_SECONDS
) -> list[str]:
    """Returns what to say of recordings of which a part alone is used, and of clipped ones."""
    notes = []
    for what, doing in (
        ("cut", f"longer than {most:g} s: the loudest {most:g} s of each are used"),
        ("clipped", "clipped (recorded too loud) and used as they are"),
    ):
        found = [tidy(n) for n, r in zip(names, recordings, strict=True) if getattr(r, what)]
        if found:
            more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
            notes.append(f"{len(found):,} are {doing}: {', '.join(found[:_SHOWN])}{more}")
    return notes
