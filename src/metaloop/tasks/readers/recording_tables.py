"""Tables of recordings: a path and a label a row, and who speaks, from when to when, in which part.

A table is one of recordings if a column of text is declared as `path`, or is called so and its
cells end as recordings do. Paths are relative to the folder of the table. Beside `label` the
columns `speaker`, `start`, `end` (seconds) and `split` are understood by their names, or declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.labels import example_parts, read_labels
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.recording_folder import speakers_of
from metaloop.tasks.readers.recording_set import Load, Spoken, read_recording_set
from metaloop.tasks.readers.recordings import Recording, decode_recording, is_recording
from metaloop.tasks.readers.table_columns import as_text
from metaloop.tasks.readers.table_roles import declared_columns, listed
from metaloop.tasks.readers.tables import Table
from metaloop.tasks.store import LeftOut, Reading

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "path": (
        *("path", "file", "filename", "file_name", "filepath", "file_path", "audio", "wav"),
        *("recording", "audio_path", "audio_file", "clip"),
    ),
    "label": ("label", "word", "keyword", "class", "command", "category", "target", "y"),
    "speaker": ("speaker", "speaker_id", "client_id", "user", "user_id", "subject", "voice"),
    "start": ("start", "begin", "onset", "start_time", "start_seconds"),
    "end": ("end", "offset", "stop", "end_time", "end_seconds"),
    "split": ("split", "part", "partition", "subset"),
}
_OF_INPUTS: Final = ("path", "start", "end")  # what inputs have, beside what a support has
_LOOKED_AT = 100  # cells


@dataclass(frozen=True, eq=False)
class TableRecordings:
    """Recordings that the rows of a table name: what each is called, its label, what opens it.

    Rows that lack what is needed are left out, counted; `notes`: how the columns were understood.
    """

    names: list[str]
    labels: np.ndarray | None
    load: Load
    spoken: Spoken
    split: np.ndarray | None
    left_out: list[LeftOut]
    notes: list[str]


def is_of_recordings(table: Table, columns: Mapping[str, str | Sequence[str]] | None) -> bool:
    """Returns whether a table names recordings, by its columns and how their cells end."""
    if columns and "path" in columns:
        return True
    path = _by_name(table, "path")
    if path is None or not table.is_text(path):
        return False
    cells = [cell for cell in table.columns[path][:_LOOKED_AT] if cell.strip()]
    return bool(cells) and sum(map(is_recording, cells)) * 2 > len(cells)


def read_recording_table(
    where: str, table: Table, root: Path | None, options: ReadOptions
) -> Reading:
    """Returns the reading of a table of recordings; relative paths are below `root`.

    Rows without a path or a label are left out, counted. Raises `DataError` for a table without a
    label, and for times that are no numbers.
    """
    found = recordings_in(where, table, root, options)
    assert found.labels is not None
    labels = read_labels(where, found.labels)
    labels.left_out.extend(found.left_out)
    spoken = found.spoken
    if found.split is not None:
        parts = example_parts(where, found.split, labels.targets, len(labels.classes)).tolist()
        spoken = replace(spoken, parts=parts)
    kind = "table, recordings"
    return read_recording_set(
        where, table.name, kind, found.load, labels, spoken, options, found.notes
    )


def recordings_in(
    where: str, table: Table, root: Path | None, options: ReadOptions, labelled: bool = True
) -> TableRecordings:
    """Returns the recordings that a table names; it need not have a label if none is asked for."""
    roles = _roles(where, table, options.columns, labelled)
    rows, left_out = _complete(table, roles)
    names = [str(path) for path in _text(table, roles["path"])[rows]]
    spans = [_seconds(where, table, roles.get(role), rows) for role in ("start", "end")]
    notes = ["columns: " + ", ".join(f"{role} '{name}'" for role, name in roles.items())]
    if "speaker" in roles:
        if options.speaker_pattern is not None:
            raise DataError(
                f"{where}: its column '{roles['speaker']}' says who speaks; leave the speaker "
                "pattern away"
            )
        speakers: list[str] | None = [str(s) for s in _text(table, roles["speaker"])[rows]]
    else:
        speakers, _, told = speakers_of(where, names, options.speaker_pattern)
        notes += told

    def load(index: int, most_seconds: float) -> Recording:
        path = Path(names[index]).expanduser()
        path = path if path.is_absolute() or root is None else root / path
        if not path.is_file():
            raise DataError("there is no such file")
        start, end = (None if np.isnan(of[index]) else float(of[index]) for of in spans)
        return decode_recording(path, most_seconds, start, end)

    shown = [_shown(name, *(of[i] for of in spans)) for i, name in enumerate(names)]
    return TableRecordings(
        shown,
        _text(table, roles["label"])[rows] if "label" in roles else None,
        load,
        Spoken(shown, speakers),
        _text(table, roles["split"])[rows] if "split" in roles else None,
        left_out,
        notes,
    )


def _roles(
    where: str,
    table: Table,
    columns: Mapping[str, str | Sequence[str]] | None,
    labelled: bool,
) -> dict[str, str]:
    """The column of every role that the table has; of inputs, of those that they need."""
    known = _NAMES if labelled else {role: _NAMES[role] for role in _OF_INPUTS}
    columns = {
        role: names
        for role, names in (columns or {}).items()
        if labelled or (role in known and _has(table, names))
    }
    declared = declared_columns(where, table, columns, (*known, "ignore"))
    ignored = declared.pop("ignore", [])
    found = {role: names[0] for role, names in declared.items()}
    for role in known:
        name = _by_name(table, role)
        if role not in found and name and name not in (*found.values(), *ignored):
            found[role] = name
    if "path" not in found:
        raise DataError(
            f"{where} has the columns {listed(table.columns)}: which are the paths of recordings? "
            "Name them with --columns path=NAME"
        )
    if labelled and "label" not in found:
        raise DataError(
            f"{where} has the columns {listed(table.columns)}: the recordings are in "
            f"'{found['path']}', but which is the label? Name it with --columns label=NAME"
        )
    return {role: found[role] for role in _NAMES if role in found}


def _has(table: Table, names: str | Sequence[str]) -> bool:
    return all(name in table for name in ([names] if isinstance(names, str) else names))


def _by_name(table: Table, role: str) -> str | None:
    written = {name.lower().strip(): name for name in reversed(list(table.columns))}
    return next((written[name] for name in _NAMES[role] if name in written), None)


def _complete(table: Table, roles: Mapping[str, str]) -> tuple[np.ndarray, list[LeftOut]]:
    rows, left_out = np.ones(len(table), bool), []
    needed = [role for role in ("path", "label") if role in roles]
    for role in needed:
        missing = table.missing(roles[role]) & rows
        if missing.any():
            what = f"rows without '{roles[role]}'"
            left_out.append(LeftOut(what, "incomplete", int(missing.sum())))
        rows &= ~missing
    if not rows.any():
        raise DataError(f"table '{table.name}': no row has a {' and a '.join(needed)}")
    return rows, left_out


def _text(table: Table, name: str) -> np.ndarray:
    """A column as it is written."""
    values: np.ndarray = table.columns[name]
    if table.is_text(name):
        return np.asarray(values.astype(str))
    return np.array([as_text(value) for value in values.tolist()], str)


def _seconds(where: str, table: Table, name: str | None, rows: np.ndarray) -> np.ndarray:
    if name is None:
        return np.full(int(rows.sum()), np.nan)
    if table.is_text(name):
        raise DataError(f"{where}: '{name}' holds text; times are seconds, such as 1.25")
    return np.asarray(table.columns[name][rows], np.float64)


def _shown(name: str, start: Any, end: Any) -> str:
    """What a stretch of a file is called."""
    if np.isnan(start) and np.isnan(end):
        return name
    return f"{name}[{0 if np.isnan(start) else start:g}-{'' if np.isnan(end) else f'{end:g}'}]"
