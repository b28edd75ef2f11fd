"""`metaloop fit`: an adapted model, which needs no support later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaloop.api.speaking import tell, warn
from metaloop.cli import options
from metaloop.cli.output import print_json

if TYPE_CHECKING:
    from metaloop.estimators import FewShotClassifier
    from metaloop.tasks.value_range import ValueRange


def fit(
    model: options.ModelFile,
    support: options.Support,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model file to write.")],
    keep_support: Annotated[
        bool,
        typer.Option(
            "--keep-support/--no-keep-support",
            help="Keep the examples in the file, so that classes can be added from Python.",
        ),
    ] = True,
    classes_at: options.SupportClassesAt = None,
    value_range: options.AskedRange = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Adapt MODEL to the classes of a support folder and write the adapted model."""
    from metaloop.api.destination import check_destination
    from metaloop.estimators import FewShotClassifier

    check_destination(out)
    declared = options.value_range(value_range)
    estimator = FewShotClassifier.load(model, value_range=declared)
    estimator.set_params(keep_support=keep_support)
    estimator, examples = fitted(estimator, support, classes_at, declared)
    estimator.save(out)
    classes = estimator.classes_.tolist()
    if as_json:
        print_json(
            {
                "model": str(out),
                "classes": classes,
                "examples": examples,
                "support_kept": keep_support,
            }
        )
    else:
        print(f"{len(classes)} classes from {examples} examples\nmodel  {out}")


def fitted(
    estimator: FewShotClassifier,
    support: Path,
    classes_at: int | None,
    value_range: ValueRange | None,
) -> tuple[FewShotClassifier, int]:
    """Returns the estimator fitted to a support, and of how many examples; says how it was read."""
    from metaloop.cli.inputs import input_format_of, read_support
    from metaloop.tasks.readers.options import ReadOptions

    asked = ReadOptions(classes_at=classes_at, value_range=value_range)
    read = read_support(support, input_format_of(estimator), asked)
    for note in read.notes:
        tell(f"read so: {note}")
    for item in read.left_out:
        warn(f"left out: {item.count} x {item.reason}: {item.what}")
    return estimator.fit(read.X, read.labels), len(read.labels)
