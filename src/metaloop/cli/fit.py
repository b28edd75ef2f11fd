"""`metaloop fit`: an adapted model, which needs no support later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.destination import check_destination
from metaloop.cli.output import print_json


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
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Adapt MODEL to the classes of a support folder and write the adapted model."""
    from metaloop.cli.inputs import input_format_of, read_support
    from metaloop.estimators import FewShotClassifier

    check_destination(out)
    estimator = FewShotClassifier.load(model)
    X, y = read_support(support, input_format_of(estimator))
    estimator.set_params(keep_support=keep_support).fit(X, y).save(out)
    classes = estimator.classes_.tolist()
    if as_json:
        print_json(
            {
                "model": str(out),
                "classes": classes,
                "examples": len(y),
                "support_kept": keep_support,
            }
        )
    else:
        print(f"{len(classes)} classes from {len(y)} examples\nmodel  {out}")
