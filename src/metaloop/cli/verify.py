"""`metaloop verify`: whether the figures in a model file can be had again."""

from __future__ import annotations

from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json

_Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA", help="What the model was trained on; not needed for a built-in family."
    ),
]


def verify(
    model: options.ModelFile,
    data: _Data = None,
    archive: options.Openings = None,
    classes_at: options.ClassesAt = None,
    columns: options.Columns = None,
    text: options.TextColumn = None,
    label: options.LabelColumn = None,
    domain: options.DomainColumn = None,
    speaker_pattern: options.SpeakerPattern = None,
    users: options.Users = None,
    split_seed: options.SplitSeed = 0,
    groups: options.Groups = None,
    ignore: options.Ignore = None,
    test: options.TestFile = None,
    image_size: options.ImageSize = None,
    value_range: options.AskedRange = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Measure MODEL again on the episodes its figures are of; exit with 1 if one does not hold.

    Of a model of 'select' the sealed part is told again; give the options that decided it there.
    """
    from metaloop.api.verifying import verify as verified

    found = verified(
        model, data, archive=archive, classes_at=classes_at, speaker_pattern=speaker_pattern,
        users=users, columns=options.columns(columns, text, label, domain), split_seed=split_seed,
        groups=groups, ignore=ignore or (), test=test, image_size=image_size,
        value_range=options.value_range(value_range), progress=not quiet,
    )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    else:
        for each in found.figures:
            print(each)
    return 0 if found.holds else 1
