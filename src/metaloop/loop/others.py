"""Further data to learn from (`--also`): what they may lend, in the target's shape and views.

A model file among them draws classes instead (`generated(...)` in data recipes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.families import DataOptions, OpenedData, open_data
from metaloop.catalogue.features import Tell
from metaloop.catalogue.sights import further_views, with_sights
from metaloop.catalogue.views import detail_of
from metaloop.core.errors import DataError
from metaloop.core.records import PARTS
from metaloop.core.sampler import Sampler
from metaloop.models import load_model
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.kept import view_of
from metaloop.tasks.merging import without_overlap
from metaloop.tasks.recognising import recognise, recognise_by_name
from metaloop.tasks.store import LeftOut

_MODEL = ".metaloop"


def open_others(
    also: Sequence[str | Path], opened: OpenedData, options: DataOptions, tell: Tell | None
) -> tuple[dict[str, OpenedData], tuple[LeftOut, ...]]:
    """Opens further data sets in the shape of the target's inputs; names are made different.

    What is sealed elsewhere is left out of what they lend, and is returned beside them.
    """
    others: dict[str, OpenedData] = {}
    wanted = opened.family.input_format
    size = domain_of(wanted).as_read(wanted).get("image_size")
    for path in also:
        how = DataOptions(size, options.split_seed, strict=options.strict)
        detail = max((detail_of(view) for view in further_views(opened.family)), default=0)
        other = open_data(
            path, how, view=view_of(opened.family), detail=detail, tell=tell,
            features=wanted.columns,
        )  # fmt: skip
        _check_other(other, opened)
        name = other.family.name
        while name in others:
            name += "'"
        others[name] = replace(other, family=replace(classes_of(other), name=name))
    return _without_overlap(opened, others, options.strict, tell) if others else (others, ())


def drawer_among(
    also: Sequence[str | Path], opened: OpenedData
) -> tuple[Path | None, tuple[str | Path, ...]]:
    """Returns the model file among further data, if there is one, and all others.

    Raises `DataError` for several, and for one that draws no such images or has learned from
    classes that are held back here; `ModelFileError` for one that cannot be read.
    """
    paths = [Path(path) for path in also if str(path).endswith(_MODEL) and Path(path).is_file()]
    if not paths:
        return None, tuple(also)
    if len(paths) > 1:
        raise DataError(f"--also takes one model that draws images, got {len(paths)}")
    (path,) = paths
    model, family = load_model(path), classes_of(opened)
    if not isinstance(model.learner, Sampler):
        raise DataError(
            f"'{path}' draws no images; train one that does: metaloop train DATA --objective "
            "generation"
        )
    drawn, wanted = model.input_format, family.input_format
    if (drawn.shape, drawn.polarity) != (wanted.shape, wanted.polarity):
        raise DataError(
            f"'{path}' draws images of shape {drawn.shape} ({drawn.polarity}), {family.name} has "
            f"{wanted.kind}s of shape {wanted.shape} ({wanted.polarity}): train it on this data"
        )
    store = family.as_read
    known = (
        recognise_by_name(store, model.parts)
        if model.seen is None
        else recognise(store, model.seen, model.parts)
    )
    held = np.concatenate([family.parts[part] for part in PARTS if part != "train"])
    leaked = np.intersect1d(known.split["train"], held)
    if len(leaked):
        raise DataError(
            f"'{path}' was trained on {len(leaked)} classes that are held back here (such as "
            f"{store.classes[int(leaked[0])].name!r}): train it on this data, split the same way"
        )
    return path, tuple(each for each in also if Path(each) != path)


def _without_overlap(
    opened: OpenedData, others: dict[str, OpenedData], strict: bool, tell: Tell | None
) -> tuple[dict[str, OpenedData], tuple[LeftOut, ...]]:
    """Returns the others without what is sealed elsewhere; those with nothing left are not used."""
    base, *further = [classes_of(each) for each in (opened, *others.values())]
    cleaned = without_overlap(base, further)
    overlap = tuple(item for each in cleaned for item in each.left_out)
    if strict and overlap:
        raise DataError(
            f"{overlap[0].count} x {overlap[0].what} would be left out ({overlap[0].reason}); "
            "mend the data given with --also or leave --strict away"
        )
    views = further_views(base)
    used = {
        name: replace(
            other,
            family=with_sights(each.family, views, tell),
            left_out=(*other.left_out, *each.left_out),
        )
        for (name, other), each in zip(others.items(), cleaned, strict=True)
        if len(each.family.parts["train"])
    }
    return used, overlap


def classes_of(opened: OpenedData) -> ClassFamily:
    """Returns the family as one of classes; `DataError` if its tasks are none."""
    classes = opened.family.as_classes
    if classes is None:
        raise DataError(
            f"{opened.family.name} has no classes to share; leave --also away: what real targets "
            "mean, and their scale, is each data set's own"
        )
    return classes


def _check_other(other: OpenedData, opened: OpenedData) -> None:
    name, target = other.family.name, opened.family.name
    for each in (opened, other):
        classes_of(each)
    came, wanted = other.family.input_format, opened.family.input_format
    if (came.kind, came.shape) != (wanted.kind, wanted.shape):
        raise DataError(
            f"{name}: {came.kind}s of shape {came.shape} cannot be learned from for {target}, "
            f"whose {wanted.kind}s have shape {wanted.shape}; leave --also {name} away"
        )
