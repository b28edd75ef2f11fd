"""The table of built-in families, and how DATA, whatever it is, becomes a family of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from metaloop.catalogue.data_options import AS_IT_IS as AS_IT_IS
from metaloop.catalogue.data_options import DataOptions as DataOptions
from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.features import Tell
from metaloop.catalogue.offered import (
    AUTO,
    NONE,
    Offer,
    affordable,
    named,
)
from metaloop.catalogue.rated import with_items
from metaloop.catalogue.refusing import backbone_for, check_enough, check_shape
from metaloop.catalogue.sights import in_view, seen_as
from metaloop.catalogue.summarised import document_family, holds_documents
from metaloop.catalogue.views import detail_of, own_format
from metaloop.core.column_kinds import kind_of
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError, unknown_name
from metaloop.core.fitted_view import FittedView
from metaloop.core.generation import GENERATION
from metaloop.core.inputs import InputFormat
from metaloop.core.objective import objective
from metaloop.domains.ratings.known import KIND as ITEMS
from metaloop.tasks.copied_classes import join_copied_classes
from metaloop.tasks.digits import read_digits
from metaloop.tasks.family import TaskFamily, class_family
from metaloop.tasks.generation import GenerationFamily, generation_family
from metaloop.tasks.glyphs import cache_folder, read_glyphs
from metaloop.tasks.groups import group_family
from metaloop.tasks.label_names import with_label_names
from metaloop.tasks.readers import holds_images, read, read_frame
from metaloop.tasks.readers.download import download_omniglot
from metaloop.tasks.recognising import (
    Recognised,
    Seen,
    recognise,
    recognise_by_name,
)
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import LeftOut, Reading
from metaloop.tasks.synthetic_tables import SyntheticTables


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
        "synthetic_tables": FamilyEntry(
            "small tables drawn at random, to train learners of tables on", None
        ),
    }
)


_DRAWN: Mapping[str, Callable[[], TaskFamily]] = MappingProxyType(
    {"sinusoid": SinusoidFamily, "synthetic_tables": SyntheticTables}
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
    options: DataOptions = AS_IT_IS,
    *,
    parts: Mapping[str, Sequence[str]] | None = None,
    seen: Seen | None = None,
    input_format: InputFormat | None = None,
    view: FittedView | None = None,
    detail: int = 0,
    features: Sequence[str] = (),
    tell: Tell | None = None,
) -> OpenedData:
    """Returns the family that DATA is: a built-in name, a path, a data frame, or a `Reading`.

    `input_format`, `parts`, `seen` and `view` are those of a model that is to be used on the data:
    classes that it knows are in the parts that they had, all others in `test`. `detail`: the side
    in pixels at which images are kept beside, for encoders that will see them later. `features`:
    the columns that a table must have, in this order; by default those that the model knows. `tell`
    is called while an encoder sees them, with how many it has seen and how many there are.
    Names win over paths; write `./glyphs` for a folder of that name. Raises `DataError`.
    """
    if options.objective is not None:
        return _to_generate(data, options, parts=parts, seen=seen, input_format=input_format)
    if isinstance(data, TaskFamily) or (isinstance(data, str) and data in _DRAWN):
        return _as_given(data, options)
    own = None if input_format is None else own_format(view, input_format)
    offer: Offer | None = None  # what `auto` stands for, where images were read for it
    features = features or (() if own is None else own.columns)
    if isinstance(data, Reading):
        reading = data
    elif not isinstance(data, str | Path):
        reading = read_frame(
            data, columns=options.columns, strict=options.strict, features=features
        )
    else:
        asked = options.backbone if _may_be_images(data, options.backbone) else NONE
        encoders = named(asked, "images", download=options.download)
        sides = [detail, detail_of(view), *(encoder.card.size for encoder in encoders)]
        if asked == AUTO and view is None:
            reading, offer = _read_for(data, options, own, features)
        else:
            reading = _read(data, options, own, max(sides), features)
    options = replace(options, backbone=backbone_for(reading, options.backbone))
    if view is None:
        check_shape(reading, input_format)
    of_items = _has_items(reading, options)
    if holds_documents(reading, options.view, options.length, options.best_reference):
        opened = _of_documents(reading, options, view, input_format, tell)
    elif reading.store.values is not None:
        _check_seen_as_is(reading.name, options, None if of_items else view)
        opened = _in_groups(reading, options, parts, seen, input_format, view)
    else:
        opened = _in_classes(data, reading, options, parts, seen, input_format, view, tell, offer)
    if options.label_names and opened.family.as_classes is None:
        raise _without_names(reading.name)
    _check_strict(reading, opened.left_out, options.strict)
    return opened


def _of_documents(
    reading: Reading,
    options: DataOptions,
    view: FittedView | None,
    input_format: InputFormat | None,
    tell: Tell | None,
) -> OpenedData:
    """The family of a reading of documents with summaries."""
    return OpenedData(*document_family(
        reading, split_seed=options.split_seed, length=options.length,
        best=options.best_reference, view=view, input_format=input_format,
        encoder=_encoder_of_texts(reading, options), tell=tell,
    ))  # fmt: skip


def _encoder_of_texts(reading: Reading, options: DataOptions) -> Encoder | None:
    """The encoder that is named for documents; none unless one is, whatever is installed."""
    if options.backbone in (NONE, AUTO):
        return None
    found = named(options.backbone, "texts", download=options.download)
    if len(found) != 1:
        raise DataError(
            f"{reading.name} has documents, which are seen through one backbone of texts; got "
            f"{len(found)}: name one with --backbone, or leave it away"
        )
    return found[0]


def _to_generate(data: Any, options: DataOptions, **known: Any) -> OpenedData:
    """The same classes, of which new images are to be made; no encoder sees them."""
    if objective(options.objective or "").name != GENERATION.name:
        raise DataError(
            f"data say by themselves whether tasks are of {options.objective}; leave --objective "
            "away, or ask for generation"
        )
    if options.backbone not in (NONE, AUTO) or options.view is not None:
        raise DataError("images are generated as they are; leave --backbone and --view away")
    opened = open_data(data, replace(options, objective=None, backbone=NONE), **known)
    if isinstance(opened.family, GenerationFamily):
        return opened
    classes = opened.family.as_classes
    if classes is None:
        raise DataError(f"generation is about classes of images; {opened.family.name} has none")
    family = generation_family(classes)
    grey = family.input_format.levels
    side = " x ".join(map(str, reversed(family.input_format.shape[1:])))
    colours = "black and white" if grey == 2 else f"{grey} levels of each channel"
    note = f"images are generated at {side} pixels, in {colours}"
    return replace(opened, family=family, notes=(*opened.notes, note))


def _as_given(data: TaskFamily | str, options: DataOptions) -> OpenedData:
    """A family that needs no reading: one that was given, or that is drawn at random."""
    name = data if isinstance(data, str) else data.name
    _check_seen_as_is(name, options)
    if options.label_names:
        raise _without_names(name)
    if isinstance(data, str):
        return OpenedData(_DRAWN[data](), FAMILIES[data].summary)
    return OpenedData(data, "a family")


def _without_names(name: str) -> DataError:
    return DataError(f"{name} has no classes with names; leave --use-label-names away")


def _has_items(reading: Reading, options: DataOptions) -> bool:
    """Whether a reading is of ratings; raises `DataError` if a table of theirs is for nothing."""
    of_items = kind_of(reading.store.inputs) == ITEMS
    for name in ("items", "users"):
        if getattr(options, name) is not None and not of_items:
            raise DataError(f"{reading.name} has no ratings of items; leave --{name} away")
    return of_items


def _in_groups(
    reading: Reading,
    options: DataOptions,
    parts: Mapping[str, Sequence[str]] | None,
    seen: Seen | None,
    input_format: InputFormat | None,
    view: FittedView | None,
) -> OpenedData:
    """The family of a reading with real targets; items are seen once users are split."""
    family, left_out, known = group_family(
        reading, split_seed=options.split_seed, parts=parts, seen=seen, input_format=input_format
    )
    told: tuple[str, ...] = ()
    if _has_items(reading, options):
        family, told = with_items(family, view, options.items, options.users)
    return OpenedData(family, reading.kind, left_out, (*reading.notes, *told), known)


def _in_classes(
    data: Any,
    reading: Reading,
    options: DataOptions,
    parts: Mapping[str, Sequence[str]] | None,
    seen: Seen | None,
    input_format: InputFormat | None,
    view: FittedView | None,
    tell: Tell | None,
    offer: Offer | None,
) -> OpenedData:
    """The family of a reading whose tasks are classes: split, and only then seen in a view."""
    recognised = None
    if parts is None:
        check_enough(data, reading)
    else:
        store, copied = join_copied_classes(reading.store)
        reading = replace(reading, store=store, left_out=(*reading.left_out, *copied))
        recognised = recognise(store, seen, parts) if seen else recognise_by_name(store, parts)
    family, left_out = class_family(
        reading,
        split_seed=options.split_seed,
        split=recognised.split if recognised else None,
        input_format=input_format,
    )
    told: tuple[str, ...] = ()
    if options.label_names:
        family = with_label_names(family)
    if view is not None:
        family = in_view(family, view, tell)
    else:
        family, told = seen_as(
            family, options.view, options.backbone, tell, download=options.download,
            allowance=options.allowance, offer=offer,
        )  # fmt: skip
    notes = (*reading.notes, *told)
    return OpenedData(family, reading.kind, left_out, notes, recognised)


def _check_seen_as_is(name: str, options: DataOptions, view: FittedView | None = None) -> None:
    """Raises `DataError` if other views were asked for where there is only one."""
    if view is not None or options.view is not None:
        raise DataError(f"{name} is seen as it is; leave --view away")
    if options.backbone not in (NONE, AUTO):
        raise DataError(f"{name} is seen as it is; use --backbone none")


def _may_be_images(data: str | Path, backbone: str | Encoder) -> bool:
    """Whether an encoder of images may be of use: tables are none, and built-in images small.

    One that was named for them is opened all the same: what is wrong is said before they are drawn.
    """
    if isinstance(data, str) and _is_built_in(data):
        return backbone != AUTO
    return holds_images(Path(data))


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


def _read_for(
    data: str | Path,
    options: DataOptions,
    input_format: InputFormat | None,
    features: Sequence[str],
) -> tuple[Reading, Offer | None]:
    """The reading with images as large as `auto` wants them, and what that is; None for others."""
    offers: list[Offer] = []

    def side(num_images: int) -> int:
        if not offers:
            offers.append(affordable("images", num_images, options.allowance))
        return offers[0].side

    reading = _read(data, options, input_format, side, features)
    return reading, offers[0] if offers else None


def read_as_asked(data: str | Path, options: DataOptions) -> Reading:
    """Returns what DATA, a built-in name or a path, is read as, without anything for backbones."""
    return _read(data, options, None, 0, ())


def _read(
    data: str | Path,
    options: DataOptions,
    input_format: InputFormat | None,
    detail: int | Callable[[int], int],
    features: Sequence[str],
) -> Reading:
    as_read: dict[str, Any] = {"image_size": options.image_size}
    if input_format is not None:
        as_read |= domain_of(input_format).as_read(input_format)
    image_size = as_read["image_size"]
    if isinstance(data, str) and _is_built_in(data):
        for name in ("classes_at", "value_range", "columns", "speaker_pattern"):
            if getattr(options, name):
                flag = name.replace("_", "-")
                raise DataError(f"--{flag} is for data of your own; leave it away for '{data}'")
        if image_size is not None and not _SIDES[0] <= image_size <= _SIDES[1]:
            raise DataError(
                f"the images of '{data}' can be {_SIDES[0]} to {_SIDES[1]} pixels wide, "
                f"got {image_size}"
            )
        sized: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
        if data == "digits" and "channels" in as_read:
            sized["channels"] = as_read["channels"]
        reader = FAMILIES[data].read
        assert reader is not None
        return reader(**sized)
    if isinstance(data, str) and not Path(data).exists() and data.isidentifier():
        near = unknown_name("family", data, FAMILIES)
        raise DataError(f"there is no file or folder '{data}', and {near}")
    return read(
        data, **as_read, strict=options.strict, classes_at=options.classes_at,
        value_range=options.value_range, columns=options.columns, detail=detail, features=features,
        speaker_pattern=options.speaker_pattern,
    )  # fmt: skip


def _is_built_in(name: str) -> bool:
    return name in FAMILIES and not (FAMILIES[name].downloaded and Path(name).exists())
