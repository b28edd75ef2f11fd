"""`evaluate`: a trained learner on frozen episodes, every look at `test` on record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from metaloop.api.figures import Figures, OpenTask
from metaloop.api.learned import LearnResult
from metaloop.api.progress import Progress, style_of
from metaloop.api.trained import TrainResult
from metaloop.catalogue.families import DataOptions, OpenedData, data_name
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.encoder import Encoder
from metaloop.core.errors import InputError, unknown_name
from metaloop.core.extracts import asked_best, asked_length
from metaloop.core.own import NOTHING_OWN, Own
from metaloop.core.records import PARTS, Part, Result
from metaloop.estimators import FewShotClassifier, FewShotGenerator, FewShotRegressor
from metaloop.modelfile import file_hash
from metaloop.models import Model, evaluate_model, evaluate_open, load_model, open_for
from metaloop.tasks.kept import class_parts
from metaloop.tasks.value_range import ValueRange

SPEAKER = "speaker"  # what support and queries can differ in

Estimator = FewShotClassifier | FewShotRegressor | FewShotGenerator
Evaluated = str | os.PathLike[str] | LearnResult | TrainResult | Estimator | Model


@dataclass(frozen=True)
class _Subject:
    """A model, what it is called on record, and the archive that its looks at `test` go to."""

    model: Model
    name: str
    archive: Path | None


def evaluate(
    model: Evaluated, data: Any, *, part: str = "test", ways: int | None = None,
    shots: int | None = None, queries: int | None = None, episodes: int = 1000,
    archive: str | Path | None = None, classes_at: int | None = None,
    value_range: ValueRange | None = None, columns: Mapping[str, str | Sequence[str]] | None = None,
    speaker_pattern: str | None = None, users: str | Path | None = None, words: int | None = None,
    sentences: int | None = None, ratio: float | None = None, references: str | None = None,
    use_label_names: bool = False, allow_seen: bool = False,
    apart: str | None = None, strict: bool = False, open_set: bool = False,
    net: nn.Module | None = None, learner: BlackBoxLearner | None = None,
    backbone: Encoder | None = None, progress: bool | None = None,
) -> Figures:  # fmt: skip
    """Returns the figures of a model on tasks of `data`: frozen episodes, two 95 % intervals.

    The arguments are those of `metaloop evaluate`. `model`: a model file, what `learn` or `train`
    returned, or an estimator, of which the learner is meant, not the task that it was fitted to.
    Classes that it was trained or chosen on are known again and stay in their parts; all others are
    `test`. A look at `test` is recorded in `archive`, by default `archive.sqlite` beside the model
    file; of a model that was never written, only if `archive` is given. `apart="speaker"`: a task's
    support is of one speaker, its queries of others. `open_set`: ask about other classes, too, and
    measure how those are told from the task's (docs/measuring.md). `net`, `learner`, `backbone`: of
    your own, where the file needs one. Raises `MetaloopError` for all that the caller can mend.

    >>> import metaloop as ml
    >>> trained = ml.train("sinusoid", "maml", budget="20steps", shots=10, queries=10)
    >>> figures = ml.evaluate(trained, "sinusoid", episodes=20)
    >>> figures.metric, figures.episodes, figures.shots
    ('mse', 20, 10)
    """
    chosen, voices = _part(part), _voices(apart)
    options = DataOptions(
        classes_at=classes_at,
        value_range=value_range,
        columns=columns,
        strict=strict,
        speaker_pattern=speaker_pattern,
        users=users,
        length=asked_length(words, sentences, ratio),
        best_reference=asked_best(references),
        label_names=use_label_names,
    )
    with Progress(style_of(progress)) as shown:
        shown.status(f"evaluating on {data_name(data)}")
        subject = _subject(model, Own(net, learner, backbone))
        opened = open_for(subject.model, data, options, part=chosen, allow_seen=allow_seen)
        shown.left_out(opened.left_out)
        result, asked = _measured(
            subject, opened, open_set, part=chosen, ways=ways, shots=shots, queries=queries,
            episodes=episodes, archive=archive or subject.archive, apart=voices,
        )  # fmt: skip
    recognised = opened.recognised
    counts = None if recognised is None else dict(recognised.counts)
    classes = class_parts(opened.family).get(chosen, ())
    return Figures.of(
        result, counts, subject.model.backbones, asked, apart, use_label_names, classes
    )


def _voices(apart: str | None) -> bool:
    """Whether support and queries are to differ in their speakers."""
    if apart not in (None, SPEAKER):
        raise unknown_name("what is kept apart", str(apart), (SPEAKER,))
    return apart is not None


def _measured(
    subject: _Subject, opened: OpenedData, open_set: bool, *, apart: bool, **asked: Any
) -> tuple[Result, OpenTask | None]:
    if not open_set:
        result = evaluate_model(subject.model, opened, subject=subject.name, apart=apart, **asked)
        return result, None
    if apart:
        raise InputError("open tasks are not measured with speakers apart; leave one of them away")
    found = evaluate_open(subject.model, opened, subject=subject.name, **asked)
    return found.result, OpenTask(found.others, found.rate, found.outside)


def _part(name: str) -> Part:
    for part in PARTS:
        if part == name:
            return part
    raise unknown_name("part", name, PARTS)


def _subject(model: Evaluated, own: Own) -> _Subject:
    if isinstance(model, LearnResult):
        return _of_file(model.path, own if own != NOTHING_OWN else model.own)
    if isinstance(model, TrainResult):
        if model.out is not None:
            return _Subject(model.trained, file_hash(model.out), _beside(model.out))
        return _in_memory(model.trained)
    if isinstance(model, Model):
        return _in_memory(model)
    if isinstance(model, (FewShotClassifier, FewShotRegressor, FewShotGenerator)):
        if model.model is None:
            raise InputError(
                f"a {type(model).__name__} without a model has learned from no other tasks; "
                "evaluate one that was loaded or trained"
            )
        return _subject(model.model, own)
    return _of_file(Path(model), own)


def _of_file(path: Path, own: Own) -> _Subject:
    return _Subject(load_model(path, own), file_hash(path), _beside(path))


def _in_memory(model: Model) -> _Subject:
    return _Subject(model, model.candidate.identity, None)


def _beside(path: Path) -> Path:
    return path.parent / "archive.sqlite"
