"""Folders and zips of recordings, one folder per word; who speaks is in their paths.

Folders are classes by the rule of `layout.py`. A speaker is the first group of a pattern that is
looked for in the path below the data (`anna/yes/1.wav`); where that group is a whole folder, it is
the speaker's and no part of the word. File names of Speech Commands tell speakers by themselves,
and so do folders of the same words below several speakers (`speaker_folders.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import arrange
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.image_files import FileKind, ImageFiles, is_image
from metaloop.tasks.readers.image_folder import find_images, walk
from metaloop.tasks.readers.labels import LabelTable
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.recording_set import Spoken, read_recording_set
from metaloop.tasks.readers.recordings import Recording, decode_recording, is_recording
from metaloop.tasks.readers.speaker_folders import speaker_folders
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import LeftOut, Reading

RECORDINGS = FileKind("recording", "a recording", lambda name, head: is_recording(name))
NOISE_FOLDER = "_background_noise_"  # of Speech Commands: no word
_LOOKED_AT = 5000  # files that decide what a folder is
_KNOWN_PATTERN = r"([0-9a-f]{8})_nohash_\d+\.\w+$"  # Speech Commands, Warden 2018, arXiv:1804.03209
_KNOWN_SHARE = 0.9  # of the names; others are its background noises


def holds_recordings(path: Path) -> bool:
    """Returns whether a folder or zip holds more recordings than images, by names alone."""
    if path.is_dir():
        seen = islice(walk(path, lambda name, head: is_recording(name)), _LOOKED_AT)
        names = [name for name, _ in seen]
    else:
        with opened_zip(path, RECORDINGS) as files:
            names = [*files.paths, *(item.what for item in files.left_out)]
    recordings = sum(map(is_recording, names))
    return recordings > sum(is_image(name, bytes) for name in names)


def read_recording_folder(folder: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a folder of recordings, one folder per word."""
    files = find_images(folder, RECORDINGS)
    kind = "folder of recordings, one folder per class"
    return _read(f"folder {str(folder)!r}", folder.resolve().name, kind, files, options)


def read_recording_zip(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a zip of such folders."""
    kind = "zip of recordings, one folder per class"
    with opened_zip(path, RECORDINGS) as files:
        return _read(f"zip {str(path)!r}", path.stem, kind, files, options)


def speakers_of(
    where: str, paths: Sequence[str], pattern: str | None
) -> tuple[list[str] | None, list[str], list[str]]:
    """Returns the speaker in each path ("": none), the paths without folders of speakers, notes.

    Raises `DataError` if a declared pattern is found in no path.
    """
    notes = []
    if pattern is None:
        known = sum(re.search(_KNOWN_PATTERN, path) is not None for path in paths)
        if not paths or known < _KNOWN_SHARE * len(paths):
            return None, list(paths), []
        pattern = _KNOWN_PATTERN
        notes.append("speakers are told by the names of files, as in Speech Commands")
    found = [re.search(pattern, path) for path in paths]
    speakers = [(match.group(1) or "") if match else "" for match in found]
    if not any(speakers):
        raise DataError(
            f"{where}: the speaker pattern {pattern!r} is found in none of {len(paths)} paths, "
            f"such as {paths[0]!r}"
        )
    missing = sum(not speaker for speaker in speakers)
    if missing:
        notes.append(f"{missing:,} recordings have no speaker by {pattern!r}: taken for one")
    shorter = []
    for path, match in zip(paths, found, strict=True):
        start, end = match.span(1) if match else (-1, -1)
        is_folder = match is not None and path[end : end + 1] == "/"
        is_folder = is_folder and (start == 0 or path[start - 1] == "/")
        shorter.append(path[:start] + path[end + 1 :] if is_folder else path)
    return speakers, shorter, notes


def without_speakers(files: ImageFiles, classes_at: int | None) -> tuple[ImageFiles, list[str]]:
    """Returns the files under names without folders of speakers, and what to say of the guess."""
    paths = list(files.paths)
    guess = None if classes_at is not None else speaker_folders(paths)
    if guess is None:
        return files, []
    _, shorter, _ = speakers_of("", paths, guess[0])
    return _renamed(files, shorter)[0], [guess[1]]


def _read(where: str, name: str, kind: str, files: ImageFiles, options: ReadOptions) -> Reading:
    files = _without_noise(files)
    paths = list(files.paths)
    speakers, shorter, notes = speakers_of(where, paths, options.speaker_pattern)
    guess = None if speakers or options.classes_at is not None else speaker_folders(paths)
    if guess is not None:
        speakers, shorter, _ = speakers_of(where, paths, guess[0])
        notes.append(guess[1])
    speaker_of = dict(zip(files.paths, speakers or [""] * len(files.paths), strict=True))
    files, path_of = _renamed(files, shorter)
    found = arrange(where, files, options.classes_at)
    paths = [path_of[path] for path in found.paths]

    def load(index: int, most_seconds: float) -> Recording:
        source = files.load(found.paths[index])
        assert isinstance(source, (Path, bytes))
        return decode_recording(source, most_seconds)

    classes = LabelTable(found.targets, found.classes, _without_split(found.left_out))
    spoken = Spoken(
        paths,
        [speaker_of[path] for path in paths] if speakers else None,
        None if found.parts is None else found.parts.tolist(),
    )
    return read_recording_set(
        where, name, kind, load, classes, spoken, options, [*found.notes, *notes]
    )


def _without_noise(files: ImageFiles) -> ImageFiles:
    noises = [path for path in files.paths if NOISE_FOLDER in path.split("/")[:-1]]
    if not noises:
        return files
    gone = tally([tidy(path) for path in noises], "background noise, no word")
    paths = [path for path in files.paths if path not in set(noises)]
    return replace(files, paths=paths, left_out=(*files.left_out, gone))


def _without_split(left_out: Sequence[LeftOut]) -> list[LeftOut]:
    """What was left out but for what is said of a split: that is judged with the speakers."""
    return [item for item in left_out if not item.what.startswith("the split into")]


def _renamed(files: ImageFiles, names: Sequence[str]) -> tuple[ImageFiles, dict[str, str]]:
    """The files under other names, made distinct, and the path of each."""
    path_of: dict[str, str] = {}
    for path, name in zip(files.paths, names, strict=True):
        distinct, number = name, 1
        while distinct in path_of:
            folder, _, file = name.rpartition("/")
            distinct, number = (
                f"{folder}/{number}~{file}" if folder else f"{number}~{file}",
                number + 1,
            )
        path_of[distinct] = path
    load = files.load
    return replace(files, paths=list(path_of), load=lambda name: load(path_of[name])), path_of
