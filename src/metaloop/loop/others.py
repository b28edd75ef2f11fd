"""Further data to learn from (`--also`): what they may lend, in the target's shape and views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.families import DataOptions, OpenedData, open_data
from metaloop.catalogue.features import Tell
from metaloop.catalogue.sights import further_views, with_sights
from metaloop.catalogue.views import detail_of
from metaloop.core.errors import DataError
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.kept import view_of
from metaloop.tasks.merging import without_overlap
from metaloop.tasks.store import LeftOut


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
