"""`metaloop predict`: what a learner makes of inputs, after a few examples of each class."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaloop.api.speaking import warn
from metaloop.cli import options
from metaloop.cli import predict_options as own
from metaloop.cli.output import print_json
from metaloop.core.errors import DataError, ModelFileError

if TYPE_CHECKING:
    import numpy as np

    from metaloop.cli.inputs import Inputs
    from metaloop.estimators import (
        FewShotClassifier,
        FewShotRegressor,
        TrainedClassifier,
        TrainedTable,
    )
    from metaloop.tasks.readers.options import ReadOptions
    from metaloop.tasks.value_range import ValueRange

_TOLD_FROM = 1000  # texts: of fewer nobody asks how long one took
_USUAL_WINDOW, _USUAL_STEP = "1s", "0.1s"
_NONE = "-"


def predict(
    model: options.ModelFile, inputs: own.Asked = None, support: own.Support = None,
    classes_at: options.SupportClassesAt = None, value_range: options.AskedRange = None,
    columns: options.Columns = None, text: options.TextColumn = None,
    label: options.LabelColumn = None, domain: options.DomainColumn = None,
    use_label_names: options.UseLabelNames = False, skip_unreadable: own.SkipUnreadable = False,
    window: own.Window = None, step: own.Step = None, microphone: own.Microphone = False,
    reject: own.Reject = None, top: own.Top = None, exclude_seen: own.ExcludeSeen = True,
    explain: own.Explain = False, csv: own.Csv = None, words: options.Words = None,
    sentences: options.Sentences = None, ratio: options.Ratio = None, seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Tell classes apart that the learner has never seen: label, probability and input per line.

    A learner of functions learns one from a support with real targets: value and input per line. A
    learner of summaries learns from a few documents with theirs: the summary of each input.
    """
    given = dict(locals())
    from metaloop.cli.ratings import ranked
    from metaloop.cli.summaries import told_of_documents
    from metaloop.cli.tabular import told_table
    from metaloop.estimators import TrainedTable
    from metaloop.tasks.readers.options import ReadOptions

    extent, named = options.value_range(value_range), options.columns(columns, text, label, domain)
    asked = ReadOptions(classes_at=classes_at, value_range=extent, columns=named)
    if top is not None or explain:
        estimator = _ready(model, support, asked, use_label_names)
        _write(ranked(estimator, model, inputs, top, exclude_seen, explain, as_json))
        return
    _check_inputs(inputs, microphone, window is not None, step is not None)
    estimator = _ready(model, support, asked, use_label_names)
    if told_table(estimator, model, inputs or [], csv, as_json, given):
        return
    assert not isinstance(estimator, TrainedTable)
    _check_skipping(estimator, model, inputs, skip_unreadable)
    least = None if reject is None else _threshold(estimator, model, reject)
    if reject is None and getattr(estimator, "classes_", None) is not None:
        _warn_of_one_class(estimator.classes_)
    if inputs is None or window is not None:
        from metaloop.cli.listening import Hearing

        width, every = window or _USUAL_WINDOW, step or _USUAL_STEP
        hearing = Hearing(width, every, least, skip_unreadable)
        hearing.tell(estimator, model, inputs, as_json)
        return
    told = told_of_documents(estimator, model, inputs, named, (words, sentences, ratio), as_json)
    if told is not None:
        _write(told)
        return
    if not as_json and _streams(estimator, inputs, named, least):
        return
    report = _told(estimator, inputs, named, extent, skip_unreadable, least)
    rows = report["predictions"]
    _write({"model": str(model), **report} if as_json else [_line(row) for row in rows])


def _told(
    estimator: FewShotClassifier | FewShotRegressor | TrainedClassifier,
    inputs: list[Path],
    named: Mapping[str, str | Sequence[str]] | None,
    extent: ValueRange | None,
    skip_unreadable: bool,
    least: float | None,
) -> dict[str, Any]:
    """Returns what is said of all inputs, with the classes where there are any, and how long."""
    from metaloop.cli.inputs import model_of, range_of, read_inputs
    from metaloop.estimators import FewShotRegressor

    began = time.monotonic()
    groups = read_inputs(inputs, model_of(estimator), named)
    rows: list[dict[str, Any]] = []
    report: dict[str, Any] = {"predictions": rows}
    if isinstance(estimator, FewShotRegressor):
        rows += [row for each in groups for row in _values(estimator, each)]
    else:
        report["classes"] = estimator.classes_.tolist()
        known = range_of(estimator, extent)
        for group in groups:
            rows += _labels(estimator, group, known, skip_unreadable, least)
    seconds = time.monotonic() - began
    report["seconds_per_prediction"] = seconds / len(rows) if rows else None
    return report


def _write(told: dict[str, Any] | list[str]) -> None:
    if isinstance(told, dict):
        print_json(told)
    else:
        sys.stdout.writelines(f"{line}\n" for line in told)


def _streams(
    estimator: FewShotClassifier | FewShotRegressor | TrainedClassifier,
    inputs: list[Path],
    columns: Mapping[str, str | Sequence[str]] | None,
    least: float | None,
) -> bool:
    """Writes a line for each input as soon as it is known, where they are read so; else False.

    Of many it says how long one took.
    """
    from metaloop.cli.inputs import model_of, streamed_inputs
    from metaloop.estimators import FewShotRegressor

    groups = streamed_inputs(inputs, model_of(estimator), columns)
    if groups is None or isinstance(estimator, FewShotRegressor):
        return False
    count, began = 0, time.monotonic()
    for group in groups:
        for row in _labels(estimator, group, None, False, least):
            sys.stdout.write(f"{_line(row)}\n")
        sys.stdout.flush()
        count += len(group.names)
    seconds = time.monotonic() - began
    if count >= _TOLD_FROM:
        each = 1000 * seconds / count
        sys.stderr.write(f"{count:,} texts in {seconds:.1f} s, {each:.3f} ms each\n")
    return True


def _check_inputs(
    inputs: list[Path] | None, microphone: bool, windowed: bool, stepped: bool
) -> None:
    if microphone == bool(inputs):
        raise DataError(
            "name inputs to be told apart, or --top N of a model of ratings, or listen to the "
            "microphone alone"
        )
    if stepped and not (windowed or microphone):
        raise DataError(
            "--step is how far apart the windows of --window TIME are; give that as well, or leave "
            "--step away"
        )


def _check_skipping(
    estimator: FewShotClassifier | FewShotRegressor | TrainedClassifier,
    model: Path,
    inputs: list[Path] | None,
    skip_unreadable: bool,
) -> None:
    """Raises `ModelFileError` where no input is a file of its own that could be left out."""
    from metaloop.cli.inputs import in_files, model_of
    from metaloop.estimators import FewShotRegressor

    if not skip_unreadable:
        return
    if (
        inputs is None
        or isinstance(estimator, FewShotRegressor)
        or not in_files(model_of(estimator))
    ):
        raise ModelFileError(
            f"'{model}': --skip-unreadable leaves out files of images and recordings, and nothing "
            "else; leave it away"
        )


def _labels(
    estimator: FewShotClassifier | TrainedClassifier,
    group: Inputs,
    value_range: ValueRange | None,
    skip_unreadable: bool,
    least: float | None,
) -> list[dict[str, Any]]:
    """Returns what `--json` says of inputs that are told apart; `probability` is older.

    With `least` evidence, those that have no more than it are of none of the classes.
    """
    classes = estimator.classes_.tolist()
    predictions: list[dict[str, Any]] = []
    names, probabilities, evidence = _predict(
        estimator, group, value_range, skip_unreadable, least is not None
    )
    for place, (name, row) in enumerate(zip(names, probabilities, strict=True)):
        best, label = float(row.max()), classes[int(row.argmax())]
        prediction = {
            "input": name,
            "label": label,
            "confidence": best,
            "probability": best,
            "probabilities": row.tolist(),
        }
        if least is not None:
            known = float(evidence[place]) > least
            prediction |= {"label": label if known else None, "nearest": label, "known": known}
            prediction |= {"evidence": float(evidence[place]), "threshold": least}
        predictions.append(prediction)
    return predictions


def _line(row: Mapping[str, Any]) -> str:
    if "value" in row:
        return f"{row['value']}\t{row['input']}"
    label = _NONE if row["label"] is None else row["label"]
    return f"{label}\t{row['confidence']:.4f}\t{row['input']}"


def _warn_of_one_class(classes: np.ndarray) -> None:
    if len(classes) == 1:
        warn(f"only {classes[0]!s} is known, and everything is taken for it: give --reject 5%")


def _threshold(
    estimator: FewShotClassifier | FewShotRegressor | TrainedClassifier, model: Path, asked: str
) -> float:
    """Returns the least evidence that is accepted; `ModelFileError` where nothing says so."""
    from metaloop.core.rejection import parse_rate
    from metaloop.estimators import FewShotClassifier
    from metaloop.estimators.classifier import outside_text

    rate = parse_rate(asked)
    if not isinstance(estimator, FewShotClassifier):
        raise ModelFileError(
            f"'{model}' learns no classes from a few examples, so nothing tells how others would "
            "look to it; leave --reject away"
        )
    found = estimator.threshold(rate)
    if found.outside:
        warn(outside_text(found))
    return found.value


def _values(estimator: FewShotRegressor, group: Inputs) -> list[dict[str, Any]]:
    """Returns what `--json` says of inputs with real values, of which no learner is more sure."""
    values = estimator.predict(group.X).tolist()
    return [
        {"input": name, "value": value, "confidence": None}
        for name, value in zip(group.names, values, strict=True)
    ]


def _ready(
    model: Path, support: Path | None, asked: ReadOptions, use_label_names: bool
) -> FewShotClassifier | FewShotRegressor | TrainedClassifier | TrainedTable:
    """Returns the fitted estimator: as the file has it, or fitted to the support."""
    from metaloop.api import load
    from metaloop.cli.fit import fitted
    from metaloop.estimators import (
        FewShotClassifier,
        FewShotGenerator,
        TrainedClassifier,
        TrainedTable,
    )

    estimator = load(model, value_range=asked.value_range)
    if isinstance(estimator, TrainedTable):
        return estimator
    if isinstance(estimator, FewShotGenerator):
        raise ModelFileError(
            f"'{model}' makes images and predicts nothing: metaloop generate MODEL --support DIR"
        )
    if isinstance(estimator, TrainedClassifier):
        if support is not None or asked.classes_at is not None or use_label_names:
            raise ModelFileError(
                f"'{model}' knows its {len(estimator.classes_)} classes; leave --support, "
                "--classes-at and --use-label-names away"
            )
        return estimator
    adapted = hasattr(estimator, "task_")
    if adapted and support is not None:
        known = isinstance(estimator, FewShotClassifier)
        what = f", to {len(estimator.classes_)} classes" if known else ""
        raise ModelFileError(
            f"'{model}' is adapted already{what}; leave --support away, or give the learner it was "
            f"made from"
        )
    if adapted and (asked.classes_at is not None or use_label_names):
        flag = "--use-label-names" if use_label_names else "--classes-at"
        raise ModelFileError(f"'{model}' is adapted already; {flag} is for --support")
    if adapted:
        return estimator
    if support is None:
        raise ModelFileError(
            f"'{model}' is a learner: show it examples of the classes with --support DIR, or of "
            "a function with --support FILE.csv"
        )
    return fitted(estimator, support, asked, use_label_names)[0]


def _predict(
    estimator: FewShotClassifier | TrainedClassifier,
    group: Inputs,
    value_range: ValueRange | None,
    skip_unreadable: bool,
    evidence: bool,
) -> tuple[list[str], Any, Any]:
    """Returns names, probabilities, and evidence if it is asked for.

    Files are looked at one by one only if one is damaged.
    """
    from metaloop.cli.inputs import as_sources, can_listen, model_of, unreadable
    from metaloop.cli.recordings import heard
    from metaloop.estimators import FewShotClassifier

    def told(sources: Any) -> tuple[Any, Any]:
        probabilities = estimator.predict_proba(sources)
        if not evidence or not isinstance(estimator, FewShotClassifier):
            return probabilities, ()
        return probabilities, estimator.score_known(sources)

    if can_listen(model_of(estimator)):
        assert isinstance(group.X, tuple)
        sound = heard(group.names, group.X)
        _left_out(sound.reasons, skip_unreadable)
        for note in sound.notes:
            warn(note)
        return sound.names, *(told(sound.samples) if sound.names else ([], []))
    if not isinstance(group.X, list):
        return group.names, *told(group.X)
    input_format = model_of(estimator).read_format
    try:
        return group.names, *told(as_sources(group.X, input_format, value_range))
    except DataError:
        bad = unreadable(group.X, input_format, value_range)
        if not bad:
            raise
    _left_out(list(bad.values()), skip_unreadable)
    fine = [place for place in range(len(group.X)) if place not in bad]
    names = [group.names[place] for place in fine]
    sources = as_sources([group.X[place] for place in fine], input_format, value_range)
    return names, *(told(sources) if fine else ([], []))


def _left_out(reasons: Sequence[str], skip_unreadable: bool) -> None:
    """Says why inputs are left out; raises `DataError` where nobody asked for that."""
    if reasons and not skip_unreadable:
        more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
        raise DataError(f"{reasons[0]}{more}; --skip-unreadable leaves such inputs out")
    for reason in reasons:
        warn(f"left out: {reason}")
