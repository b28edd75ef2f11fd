"""The table of built-in families, and how DATA, whatever it is, becomes a family of tasks."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from metaloop.catalogue.views import in_view, needs_view, seen_family
from metaloop.core.errors import DataError, MetaloopError, unknown_name
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.tasks.copied_classes import join_copied_classes
from metaloop.tasks.digits import read_digits
from metaloop.tasks.family import ClassFamily, TaskFamily, class_family
from metaloop.tasks.glyphs import cache_folder, read_glyphs
from metaloop.tasks.groups import GroupFamily, group_family, seen_groups
from metaloop.tasks.readers import read, read_frame
from metaloop.tasks.readers.download import download_omniglot
from metaloop.tasks.recognising import (
    Recognised,
    Seen,
    recognise,
    recognise_by_name,
    seen_of,
)
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.split import MIN_CLASSES
from metaloop.tasks.store import LeftOut, Reading
from metaloop.tasks.value_range import ValueRange


@dataclass(frozen=True)
class FamilyEntry:
    """A built-in family: a line about it and how it is read (None: it is a function, not data).

    A family that is `downloaded` gives way to a file or folder of its name.
    """

    summary: str
    read: Callable[..., Reading] | None
    downloaded: bool = False


def _read_omniglot(image_size: int = 28) -> Reading:
    """Returns Omniglot from the cache, fetched from its author's repository the first time."""
    folder = download_omniglot(cache_folder() / "omniglot")
    return replace(read(folder, image_size=image_size), name="omniglot")


FAMILIES: Mapping[str, FamilyEntry] = MappingProxyType(
    {
        "digits": FamilyEntry(
            "scikit-learn's real handwritten digits, to evaluate on", read_digits
        ),
        "glyphs": FamilyEntry("characters drawn from matplotlib's fonts: the default", read_glyphs),
        "omniglot": FamilyEntry(
            "handwritten characters of 50 alphabets; downloaded once", _read_omniglot, True
        ),
        "sinusoid": FamilyEntry("the regression tasks of the MAML paper", None),
    }
)


_SIDES = (8, 256)  # pixels; larger ones would only be smoother


@dataclass(frozen=True)
class OpenedData:
    """A family with what is known about where it came from."""

    family: TaskFamily
    kind: str
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()  # how the data was understood, where it could be meant otherwise
    recognised: Recognised | None = None  # what a model that is used on it has seen before


def open_data(
    data: Any,
    *,
    image_size: int | None = None,
    split_seed: int = 0,
    parts: Mapping[str, Sequence[str]] | None = None,
    seen: Seen | None = None,
    input_format: InputFormat | None = None,
    strict: bool = False,
    classes_at: int | None = None,
    value_range: ValueRange | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    view: FittedView | str | None = None,
) -> OpenedData:
    """Returns the family that DATA is: a built-in name, a path, a data frame, or a `Reading`.

    `view`: that of a model, or the name of one, for data that are no tensors; None takes the best.
    `classes_at` and `value_range` are for folders and images, `columns` for tables and data frames,
    as in `tasks.readers.read`. `input_format`, `parts` and `seen` are those of a model that is to
    be used on the data: classes that it knows are in the parts that they had, all others in `test`.
    Names win over paths; write `./glyphs` for a folder of that name. Raises `DataError`.
    """
    if isinstance(data, TaskFamily):
        return OpenedData(data, "a family")
    if isinstance(data, str) and data == "sinusoid":
        return OpenedData(SinusoidFamily(), FAMILIES["sinusoid"].summary)
    if isinstance(data, Reading):
        reading = data
    elif not isinstance(data, str | Path):
        reading = read_frame(data, columns=columns, strict=strict)
    else:
        asked = {"strict": strict, "classes_at": classes_at, "value_range": value_range}
        reading = _read(data, image_size, input_format, asked | {"columns": columns})
    if view is None or isinstance(view, str):
        _check_shape(reading, input_format)
    if reading.store.values is not None:
        if view is not None:
            raise DataError(f"{reading.name} is seen as it is; leave --view away")
        groups, left_out, known = group_family(
            reading, split_seed=split_seed, parts=parts, seen=seen, input_format=input_format
        )
        opened = OpenedData(groups, reading.kind, left_out, reading.notes, known)
    else:
        if parts is None:
            _check_enough(data, reading)
        opened = _in_classes(reading, split_seed, parts, seen, input_format, view)
    _check_strict(reading, opened.left_out, strict)
    return opened


def _in_classes(
    reading: Reading,
    split_seed: int,
    parts: Mapping[str, Sequence[str]] | None,
    seen: Seen | None,
    input_format: InputFormat | None,
    view: FittedView | str | None,
) -> OpenedData:
    """The family of a reading whose tasks are classes: split, and only then seen in a view."""
    recognised = None
    if parts is not None:
        store, copied = join_copied_classes(reading.store)
        reading = replace(reading, store=store, left_out=(*reading.left_out, *copied))
        recognised = recognise(store, seen, parts) if seen else recognise_by_name(store, parts)
    family, left_out = class_family(
        reading,
        split_seed=split_seed,
        split=recognised.split if recognised else None,
        input_format=input_format,
    )
    notes = reading.notes
    if view is not None and not isinstance(view, str):
        family = in_view(family, view)
    elif needs_view(family.store.inputs):
        family, told = seen_family(family, view)
        notes = (*notes, told)
    elif view is not None:
        raise DataError(f"{family.name} is seen as it is; leave --view away")
    return OpenedData(family, reading.kind, left_out, notes, recognised)


def data_name(data: Any) -> str:
    """Returns what DATA is called in a line: a path as it was given, a reading's name, a table."""
    if isinstance(data, Reading):
        return data.name
    return str(data) if isinstance(data, str | Path) else "table"


def _check_strict(reading: Reading, left_out: Sequence[LeftOut], strict: bool) -> None:
    if strict and left_out:
        first = left_out[0]
        raise DataError(
            f"{reading.name}: {sum(item.count for item in left_out)} things would be left out, "
            f"first {first.what} ({first.reason}); mend the data or leave --strict away"
        )


def _read(
    data: str | Path,
    image_size: int | None,
    input_format: InputFormat | None,
    asked: Mapping[str, Any],
) -> Reading:
    channels: int | None = None
    polarity: Literal["as_is", "ink"] | None = None
    if input_format is not None and input_format.kind == "image":
        channels, image_size = input_format.shape[0], input_format.shape[1]
        polarity = input_format.polarity
    if isinstance(data, str) and _is_built_in(data):
        for name in ("classes_at", "value_range", "columns"):
            if asked[name]:
                option = name.replace("_", "-")
                raise DataError(f"--{option} is for data of your own; leave it away for '{data}'")
        if image_size is not None and not _SIDES[0] <= image_size <= _SIDES[1]:
            raise DataError(
                f"the images of '{data}' can be {_SIDES[0]} to {_SIDES[1]} pixels wide, "
                f"got {image_size}"
            )
        options: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
        if channels is not None and data == "digits":
            options["channels"] = channels
        reader = FAMILIES[data].read
        assert reader is not None
        return reader(**options)
    if isinstance(data, str) and not Path(data).exists() and data.isidentifier():
        near = unknown_name("family", data, FAMILIES)
        raise DataError(f"there is no file or folder '{data}', and {near}")
    return read(data, image_size=image_size, channels=channels, polarity=polarity, **asked)


def _is_built_in(name: str) -> bool:
    return name in FAMILIES and not (FAMILIES[name].downloaded and Path(name).exists())


def _check_enough(data: Any, reading: Reading) -> None:
    """Raises `DataError` for data of a few classes, with the way to use them all the same."""
    number = len(reading.store.classes)
    if number >= MIN_CLASSES:
        return
    source = shlex.quote(str(data)) if isinstance(data, str | Path) else "SUPPORT"
    read_as = f" ({reading.notes[0]})" if reading.notes else ""
    raise DataError(
        f"{reading.name} has {number} classes{read_as}; learning keeps classes apart for training, "
        f"choosing and testing and needs at least {MIN_CLASSES}. To tell these {number} apart, "
        f"train a classifier of them: metaloop select {source}; or, with few examples of each, "
        f"adapt a learner that was trained on other classes: metaloop fit MODEL --support {source} "
        f"--out adapted.metaloop (MODEL: a model.metaloop that 'metaloop learn' wrote)"
    )


def _check_shape(reading: Reading, input_format: InputFormat | None) -> None:
    if input_format is None:
        return
    shape = reading.store.input_shape
    if shape != tuple(input_format.shape):
        raise MetaloopError(
            f"the model was trained on inputs of shape {tuple(input_format.shape)}, "
            f"{reading.name} has {shape}; give it data of the same kind"
        )


def examples_seen(family: TaskFamily) -> Seen | None:
    """Returns what a model made with this family keeps of it; None where there is no data."""
    if isinstance(family, GroupFamily):
        return seen_groups(family)
    return seen_of(family) if isinstance(family, ClassFamily) else None


def view_of(family: TaskFamily) -> FittedView | None:
    """Returns the view that a family's inputs are seen in, if any."""
    return family.view if isinstance(family, ClassFamily) else None


def class_parts(family: TaskFamily) -> dict[str, tuple[str, ...]]:
    """Returns the names of the classes or groups of every part (empty where there are none)."""
    if not isinstance(family, ClassFamily | GroupFamily):
        return {}
    names = [info.name for info in family.store.classes]
    return {part: tuple(names[index] for index in family.parts[part]) for part in family.parts}
