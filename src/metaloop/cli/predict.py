"""`metaloop predict`: what a learner makes of inputs, after a few examples of each class."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.errors import warn
from metaloop.cli.output import print_json
from metaloop.core.errors import DataError, ModelFileError

if TYPE_CHECKING:
    from metaloop.cli.inputs import Inputs
    from metaloop.estimators import FewShotClassifier
    from metaloop.tasks.value_range import ValueRange


def predict(
    model: options.ModelFile,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Images, folders of images, .npz or .npy arrays."),
    ],
    support: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Examples of the classes: one folder of images each (one image is enough), a zip "
            "of that, or an .npz with X and y. Not for a model that 'fit' wrote.",
        ),
    ] = None,
    classes_at: options.SupportClassesAt = None,
    value_range: options.AskedRange = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Warn of inputs that cannot be read and go on; without, nothing is predicted.",
        ),
    ] = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Tell classes apart that the learner has never seen: label, probability and input per line."""
    from metaloop.cli.inputs import input_format_of, range_of, read_inputs

    declared = options.value_range(value_range)
    estimator = _ready(model, support, classes_at, declared)
    known = range_of(estimator, declared)
    groups = read_inputs(inputs, input_format_of(estimator))
    predicted: list[tuple[str, Any, Sequence[float]]] = []
    for group in groups:
        names, probabilities = _predict(estimator, group, known, skip_unreadable)
        for name, row in zip(names, probabilities, strict=True):
            predicted.append((name, estimator.classes_.tolist()[int(row.argmax())], row.tolist()))
    if as_json:
        print_json(
            {
                "model": str(model),
                "classes": estimator.classes_.tolist(),
                "predictions": [
                    {"input": name, "label": label, "probability": max(row), "probabilities": row}
                    for name, label, row in predicted
                ],
            }
        )
        return
    for name, label, row in predicted:
        sys.stdout.write(f"{label}\t{max(row):.4f}\t{name}\n")


def _ready(
    model: Path, support: Path | None, classes_at: int | None, declared: ValueRange | None
) -> FewShotClassifier:
    """Returns the fitted estimator: as the file has it, or fitted to the support."""
    from metaloop.cli.fit import fitted
    from metaloop.estimators import FewShotClassifier

    estimator = FewShotClassifier.load(model, value_range=declared)
    adapted = hasattr(estimator, "classes_")
    if adapted and support is not None:
        raise ModelFileError(
            f"'{model}' is adapted already, to {len(estimator.classes_)} classes; leave --support "
            f"away, or give the learner it was made from"
        )
    if adapted and classes_at is not None:
        raise ModelFileError(f"'{model}' is adapted already; --classes-at is for --support")
    if adapted:
        return estimator
    if support is None:
        raise ModelFileError(
            f"'{model}' is a learner: show it examples of the classes with --support DIR"
        )
    return fitted(estimator, support, classes_at, declared)[0]


def _predict(
    estimator: FewShotClassifier,
    group: Inputs,
    value_range: ValueRange | None,
    skip_unreadable: bool,
) -> tuple[list[str], Any]:
    """Returns names and probabilities; files are looked at one by one only if one is damaged."""
    from metaloop.cli.inputs import as_sources, input_format_of, unreadable

    if not isinstance(group.X, list):
        return group.names, estimator.predict_proba(group.X)
    input_format = input_format_of(estimator)
    try:
        return group.names, estimator.predict_proba(as_sources(group.X, input_format, value_range))
    except DataError:
        bad = unreadable(group.X, input_format, value_range)
        if not bad:
            raise
    reasons = list(bad.values())
    if not skip_unreadable:
        more = f" (and {len(bad) - 1:,} more)" if len(bad) > 1 else ""
        raise DataError(f"{reasons[0]}{more}; --skip-unreadable leaves such inputs out")
    for reason in reasons:
        warn(f"left out: {reason}")
    fine = [place for place in range(len(group.X)) if place not in bad]
    names = [group.names[place] for place in fine]
    sources = as_sources([group.X[place] for place in fine], input_format, value_range)
    return names, estimator.predict_proba(sources) if fine else []
