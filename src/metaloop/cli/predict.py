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
    from metaloop.cli.inputs import input_format_of, read_inputs

    estimator = _ready(model, support)
    groups = read_inputs(inputs, input_format_of(estimator))
    predicted: list[tuple[str, Any, Sequence[float]]] = []
    for group in groups:
        names, probabilities = _predict(estimator, group, skip_unreadable)
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


def _ready(model: Path, support: Path | None) -> FewShotClassifier:
    """Returns the fitted estimator: as the file has it, or fitted to the support."""
    from metaloop.cli.inputs import input_format_of, read_support
    from metaloop.estimators import FewShotClassifier

    estimator = FewShotClassifier.load(model)
    adapted = hasattr(estimator, "classes_")
    if adapted and support is not None:
        raise ModelFileError(
            f"'{model}' is adapted already, to {len(estimator.classes_)} classes; leave --support "
            f"away, or give the learner it was made from"
        )
    if adapted:
        return estimator
    if support is None:
        raise ModelFileError(
            f"'{model}' is a learner: show it examples of the classes with --support DIR"
        )
    return estimator.fit(*read_support(support, input_format_of(estimator)))


def _predict(
    estimator: FewShotClassifier, group: Inputs, skip_unreadable: bool
) -> tuple[list[str], Any]:
    """Returns names and probabilities; files are looked at one by one only if one is damaged."""
    from metaloop.cli.inputs import input_format_of, unreadable

    try:
        return group.names, estimator.predict_proba(group.X)
    except DataError:
        if not isinstance(group.X, list):
            raise
        bad = unreadable(group.X, input_format_of(estimator))
        if not bad:
            raise
    reasons = list(bad.values())
    if not skip_unreadable:
        more = f" (and {len(bad) - 1:,} more)" if len(bad) > 1 else ""
        raise DataError(f"{reasons[0]}{more}; --skip-unreadable leaves such inputs out")
    for reason in reasons:
        warn(f"left out: {reason}")
    fine = [path for path in group.X if path not in bad]
    return [str(path) for path in fine], estimator.predict_proba(fine) if fine else []
