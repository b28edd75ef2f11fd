"""Which folder is a class: the one rule for folders and zips of images, and what it says of itself.

The folder that holds images is a class and the folders above it are its groups, except that
1. folders named after parts (`train`, `test_images`, ...) that stand side by side, at any depth,
   are a split and no names; a folder around everything says nothing either;
2. folders inside a folder of images, folders named after times and takes (`2024-05-01`, `session1`,
   `more`), and the same few names inside most of the folders above them (`monday`, `friday`) are
   sessions: their images belong to the folder above;
3. names that differ in case alone are one class, unless they are single letters.
Classes of several groups that share a telling name (`photo/dog`, `sketch/dog`) stay classes, but of
one unit: they are never in different parts. With `classes_at=2` the class is the folder two levels
below the data, whatever the names say. Thumbnails beside what they show are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from metaloop.core.errors import DataError
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.parts import is_neutral, split_folders
from metaloop.tasks.readers.sessions import is_telling, merge_sessions
from metaloop.tasks.store import LeftOut, PublishedPart

Folder = tuple[str, ...]
_THUMBNAILS = frozenset({"thumbs", "thumb", "thumbnail", "thumbnails", "_thumbs", "_thumbnails"})


@dataclass
class Layout:
    """The class of every image folder that is used, its part, and what is to be said of it all."""

    classes: dict[Folder, str] = field(default_factory=dict)
    parts: dict[Folder, PublishedPart] = field(default_factory=dict)
    strays: dict[Folder, str] = field(default_factory=dict)  # folder -> why it is not used
    notes: list[str] = field(default_factory=list)


def lay_out(where: str, images: Mapping[Folder, int], classes_at: int | None = None) -> Layout:
    """Returns what the folders of `images` (folder -> images directly in it) are.

    Raises `DataError` where no folder can be a class.
    """
    layout = Layout()
    _thumbnails(images, layout)
    used = [folder for folder in sorted(images) if folder not in layout.strays]
    short = _split(where, used, classes_at, layout)
    if classes_at is None:
        counts: Counter[Folder] = Counter()
        for folder, name in short.items():
            counts[name] += images[folder]
        merged, notes = merge_sessions(counts)
        layout.notes += notes
        short = _unwrapped({folder: merged[name] for folder, name in short.items()})
    else:
        short = _at_depth(where, short, classes_at, layout)
    names = {name: "/".join(name) for name in set(short.values())}
    if classes_at is None:
        names = _one_case(names, short, images, layout)
    layout.classes = {folder: names[name] for folder, name in short.items()}
    return layout


def shared_units(names: Sequence[str]) -> list[str]:
    """Returns the unit of every class name: "", or the telling last name it shares with others."""
    last = [name.rpartition("/")[2].casefold() for name in names]
    twice = {name for name, count in Counter(last).items() if count > 1 and is_telling(name)}
    return [f"*/{name}" if name in twice else "" for name in last]


def _thumbnails(images: Mapping[Folder, int], layout: Layout) -> None:
    """Leaves out folders of thumbnails that stand beside other images or folders."""
    for folder in images:
        for depth, name in enumerate(folder):
            above = folder[:depth]
            if name.lower() in _THUMBNAILS and any(
                other[:depth] == above and other[depth : depth + 1] != (name,) for other in images
            ):
                layout.strays[folder] = "thumbnail"


def _split(
    where: str, folders: Sequence[Folder], classes_at: int | None, layout: Layout
) -> dict[Folder, Folder]:
    """The folders without the names of parts; fills in their parts and what lies beside."""
    short = {folder: folder for folder in folders}
    inside: dict[Folder, list[Folder]] = defaultdict(list)  # every folder above -> those below it
    for folder in folders:
        for depth in range(len(folder)):
            inside[folder[:depth]].append(folder)
    pending: list[Folder] = [()]
    levels = set()
    while pending:
        top = pending.pop()
        depth, below = len(top), inside[top]
        names = sorted({folder[depth] for folder in below})
        parts = {} if depth + 1 == classes_at or top in short else split_folders(names)
        deep = {folder[depth] for folder in below if len(folder) > depth + 1}
        beside = [name for name in names if name not in parts]
        if parts and beside and not (set(parts) <= deep and len(beside) < len(parts)):
            parts = {}  # classes that happen to be called so
        if not parts:
            pending += [(*top, name) for name in names if (*top, name) in inside]
            continue
        if not top and not deep:
            raise DataError(
                f"{where}: its images lie directly in {' and '.join(map(repr, parts))}; expected "
                "one folder of images per class inside of these"
            )
        levels.add(", ".join("/".join((*top, name)) for name in names[:4]))
        for folder in below:
            if folder[depth] in parts and (len(folder) > depth + 1 or not deep):
                layout.parts[folder] = parts[folder[depth]]
                short[folder] = top + folder[depth + 1 :]
            else:
                layout.strays[folder] = "not in a class folder of train, val or test"
                del short[folder]
        for part in sorted(parts):
            _drop_neutral(part, depth, short, [f for f in below if f in short])
    if levels:
        more = f" and of {len(levels) - 1:,} more folders" if len(levels) > 1 else ""
        layout.notes.append(f"the folders {min(levels)}{more} are a split, not classes")
    return short


def _drop_neutral(
    part: str, depth: int, short: dict[Folder, Folder], below: Sequence[Folder]
) -> None:
    """Drops what a part alone has around its classes, where it says nothing: `train/images/dog`."""
    inside = [folder for folder in below if folder[depth] == part]
    while inside and all(len(short[folder]) > depth + 1 for folder in inside):
        tops = {short[folder][depth] for folder in inside}
        name = tops.pop()
        if tops or not (is_neutral(name) or name.lower() == part.lower()):
            return
        for folder in inside:
            short[folder] = short[folder][:depth] + short[folder][depth + 1 :]


def _at_depth(
    where: str, short: Mapping[Folder, Folder], classes_at: int, layout: Layout
) -> dict[Folder, Folder]:
    """The folders cut off below the asked depth, which counts the names of parts as well."""
    cut = {}
    for folder, name in short.items():
        if len(folder) < classes_at:
            layout.strays[folder] = (
                f"above the folders that are classes (--classes-at {classes_at})"
            )
        else:
            cut[folder] = name[: max(1, len(name) - (len(folder) - classes_at))]
    if not cut:
        deepest = max(map(len, short), default=0)
        raise DataError(
            f"{where}: no images lie {classes_at} folders deep, the deepest lie {deepest} deep; "
            f"lower --classes-at"
        )
    layout.notes.append(f"classes are the folders {classes_at} levels below it (--classes-at)")
    return cut


def _unwrapped(short: Mapping[Folder, Folder]) -> dict[Folder, Folder]:
    """The folders without what stands around all of them."""
    names = set(short.values())
    while names and all(len(name) > 1 for name in names) and len({name[0] for name in names}) == 1:
        short = {folder: name[1:] for folder, name in short.items()}
        names = set(short.values())
    return dict(short)


def _one_case(
    names: Mapping[Folder, str],
    short: Mapping[Folder, Folder],
    images: Mapping[Folder, int],
    layout: Layout,
) -> dict[Folder, str]:
    """The names with one spelling for those that differ in case alone: the commonest."""
    counts: Counter[Folder] = Counter()
    for folder, name in short.items():
        counts[name] += images[folder]
    spelled: dict[str, list[Folder]] = defaultdict(list)
    for name in names:
        spelled[names[name] if len(name[-1]) == 1 else names[name].casefold()].append(name)
    several: list[list[str]] = []
    result: dict[Folder, str] = {}
    for spellings in spelled.values():
        best = min(spellings, key=lambda name: (-counts[name], names[name]))
        result |= dict.fromkeys(spellings, names[best])
        if len(spellings) > 1:
            several.append(sorted(names[name] for name in spellings))
    if several:
        first = " and ".join(map(repr, min(several)))
        layout.notes.append(
            f"{len(several)} classes have names that differ in case alone and were merged, "
            f"first {first}"
        )
    return result


def left_out(strays: Mapping[Folder, str], paths: Mapping[Folder, Sequence[str]]) -> list[LeftOut]:
    """Returns one record for each reason of the images (`paths` by folder) that are not used."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for folder in sorted(strays):
        by_reason[strays[folder]] += paths[folder]
    return [tally(sorted(by_reason[reason]), reason) for reason in sorted(by_reason)]
