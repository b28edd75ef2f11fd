"""`metaloop fit`: an adapted model, which needs no support later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.speaking import tell, warn
from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.core.errors import DataError, ModelFileError

if TYPE_CHECKING:
    from metaloop.estimators import FewShotClassifier, FewShotRegressor
    from metaloop.tasks.readers.options import ReadOptions

    Estimator = FewShotClassifier | FewShotRegressor


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
    columns: options.Columns = None,
    text: options.TextColumn = None,
    label: options.LabelColumn = None,
    domain: options.DomainColumn = None,
    use_label_names: options.UseLabelNames = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Adapt MODEL to the classes (or the function) of a support and write the adapted model."""
    from metaloop.api import load
    from metaloop.api.destination import check_destination
    from metaloop.estimators import FewShotClassifier
    from metaloop.tasks.readers.options import ReadOptions

    check_destination(out)
    declared = options.value_range(value_range)
    estimator = _adaptable(load(model, value_range=declared), model)
    estimator.set_params(keep_support=keep_support)
    named = options.columns(columns, text, label, domain)
    asked = ReadOptions(classes_at=classes_at, value_range=declared, columns=named)
    estimator, examples = fitted(estimator, support, asked, use_label_names)
    estimator.save(out)
    classes = estimator.classes_.tolist() if isinstance(estimator, FewShotClassifier) else []
    if len(classes) == 1:
        warn(f"one class alone, {classes[0]!s}: predict --reject tells it from everything else")
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
        several = f"{len(classes)} classes" if len(classes) > 1 else "1 class"
        learned = several if classes else "a function"
        print(f"{learned} from {examples} examples\nmodel  {out}")


def _adaptable(estimator: Any, model: Path) -> Estimator:
    """Returns the estimator if `fit` is for it; raises `ModelFileError` for all others."""
    from metaloop.estimators import FewShotGenerator, TrainedClassifier, TrainedTable

    if isinstance(estimator, TrainedTable):
        raise ModelFileError(
            f"'{model}' is fitted to a table; select again to learn from other rows"
        )
    if isinstance(estimator, TrainedClassifier):
        raise ModelFileError(
            f"'{model}' is a classifier of its own {len(estimator.classes_)} classes, which learns "
            "no new ones; give a learner that 'metaloop learn' wrote"
        )
    if isinstance(estimator, FewShotGenerator):
        raise ModelFileError(
            f"'{model}' makes images from a support: metaloop generate MODEL --support DIR"
        )
    return estimator  # type: ignore[no-any-return]


def fitted(
    estimator: Estimator, support: Path, asked: ReadOptions, use_label_names: bool = False
) -> tuple[Estimator, int]:
    """Returns the estimator fitted to a support, and of how many examples; says how it was read.

    With `use_label_names` the name of each class is one more example of it. Raises `DataError` if
    the model takes no texts.
    """
    from metaloop.cli.inputs import in_words, model_of, read_support
    from metaloop.estimators import FewShotRegressor
    from metaloop.tasks.readers.names import as_text

    real = isinstance(estimator, FewShotRegressor)
    read = read_support(support, model_of(estimator), asked, real)
    for note in read.notes:
        tell(f"read so: {note}")
    for item in read.left_out:
        warn(f"left out: {item.count} x {item.reason}: {item.what}")
    X, labels = read.X, list(read.labels)
    if use_label_names:
        if not in_words(model_of(estimator)):
            raise DataError("--use-label-names is for models of texts; leave it away")
        names = sorted(set(labels))
        X, labels = [*X, *map(as_text, names)], [*labels, *names]
        tell("read so: the name of each class is one more example of it")
    of_user = {} if read.user is None else {"user": read.user}
    return estimator.fit(X, labels, **of_user), len(labels)
