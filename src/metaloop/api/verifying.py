"""`verify`: whether the figures that a model file holds can be had again from the data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaloop.api.progress import Progress, style_of
from metaloop.api.tabular import refused_together
from metaloop.archive import Archive
from metaloop.catalogue.families import FAMILIES, DataOptions, data_name
from metaloop.core.errors import DataError, ModelFileError
from metaloop.core.records import Result
from metaloop.core.strict_json import json_values
from metaloop.domains.tables.task import table_task
from metaloop.modelfile import file_hash, read_model
from metaloop.models import Model, evaluate_model, load_model, open_for
from metaloop.models.classifier import Classifier, classifier_from_file
from metaloop.models.tabular import TabularModel, tabular_from_file
from metaloop.selecting.retesting import sealed_images
from metaloop.selecting.tabular.judging import tested
from metaloop.tasks.readers.tables import Table, read_table, table_of
from metaloop.tasks.value_range import ValueRange

_OF_INTERVAL = 0.1  # other machines round otherwise: a few queries of ten thousands fall elsewhere
ARCHIVE_NAME = "archive.sqlite"


@dataclass(frozen=True)
class Verified:
    """A figure of the file and the same measured now; `holds`, and if not, why not.

    It holds if the episodes are the same, by their hash, and the values are no further apart than a
    tenth of the half-width of the interval on the classes at hand.
    """

    part: str
    ways: int
    shots: int
    metric: str
    stored: float
    ci95: float
    measured: float | None
    holds: bool
    reason: str

    def __str__(self) -> str:
        task = f"{self.ways}-way {self.shots}-shot" if self.ways else f"{self.shots} examples"
        task = task if self.shots else "all that was sealed"
        now = "not measured" if self.measured is None else f"{self.measured:.5f}"
        said = "holds" if self.holds else f"does not hold: {self.reason}"
        stored = f"{self.metric} {self.stored:.5f} ± {self.ci95:.5f}"
        return f"{self.part}, {task}: {stored}, now {now}: {said}"

    def to_json(self) -> dict[str, Any]:
        """Returns it as `--json` prints it."""
        return dict(json_values(vars(self)))


@dataclass(frozen=True)
class Verification:
    """What was found of every figure in a model file that has a list of episodes."""

    model: str
    data: str
    figures: tuple[Verified, ...]

    @property
    def holds(self) -> bool:
        """Whether all of them hold."""
        return all(each.holds for each in self.figures)

    def to_json(self) -> dict[str, Any]:
        """Returns it as `--json` prints it."""
        figures = [each.to_json() for each in self.figures]
        return {"model": self.model, "data": self.data, "holds": self.holds, "figures": figures}


def verify(
    model: str | os.PathLike[str],
    data: Any = None,
    *,
    archive: str | Path | None = None,
    classes_at: int | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    speaker_pattern: str | None = None,
    users: str | Path | None = None,
    split_seed: int = 0,
    groups: str | None = None,
    ignore: Sequence[str] = (),
    test: Any = None,
    image_size: int | None = None,
    value_range: ValueRange | None = None,
    progress: bool | None = None,
) -> Verification:
    """Returns whether each figure in a model file holds, measured anew on the episodes it names.

    `data`: what the model was trained on; without, the built-in family of that name. Of a model of
    `select` the sealed part is told again: what decided that part is asked for here as it was there
    (`split_seed`; of tables `groups`, `ignore`, `test`; of images `image_size`, `value_range`).
    Looks at `test` are recorded in `archive`, by default the one beside the file, as `evaluate`
    does. Raises `MetaloopError` for a file without figures, for options that are not for such a
    model, and where the data cannot be read or found.
    """
    path = Path(model)
    path = path / "model.metaloop" if path.is_dir() else path
    content = read_model(path)
    kept = archive if archive is not None else path.parent / ARCHIVE_NAME
    of_rows: dict[str, Any] = {"groups": groups, "ignore": tuple(ignore), "test": test}
    of_columns: dict[str, Any] = {"columns": columns, "speaker_pattern": speaker_pattern}
    of_columns["users"] = users
    of_images: dict[str, Any] = {"classes_at": classes_at, "value_range": value_range}
    if content.kind == "table":
        refused_together({**of_images, **of_columns, "image_size": image_size}, "a table")
        return _of_table(
            path, tabular_from_file(content), data, kept, split_seed=split_seed, **of_rows
        )
    if content.kind == "classifier":
        refused_together({**of_rows, **of_columns}, "a model that 'select' has made of images")
        return _of_images(
            path, classifier_from_file(content), data, kept, split_seed=split_seed,
            image_size=image_size, **of_images,
        )  # fmt: skip
    of_select = {**of_rows, "split_seed": split_seed, "image_size": image_size}
    refused_together(of_select, "a few-shot model, whose file has its parts and its image size")
    options = DataOptions(**of_images, **of_columns)
    return _of_episodes(path, data, kept, options, progress)


def _of_episodes(
    path: Path, data: Any, kept: str | Path, options: DataOptions, progress: bool | None
) -> Verification:
    """Measures a few-shot model again on the episodes that each of its figures is of."""
    loaded = load_model(path)
    if not loaded.results:
        raise ModelFileError(f"'{path}' holds no figures; 'metaloop evaluate' measures it")
    data = _data_of(loaded) if data is None else data
    with Progress(style_of(progress)) as shown:
        shown.status(f"verifying on {data_name(data)}")
        opened = open_for(loaded, data, options, part="search")
        found = []
        for stored in loaded.results:
            how = stored.protocol
            try:
                result = evaluate_model(
                    loaded, opened, part=how.part, ways=how.ways, shots=how.shots,
                    queries=how.queries, episodes=stored.episodes, archive=kept,
                    subject=file_hash(path),
                )  # fmt: skip
            except DataError as error:
                found.append(_compared(stored, None, str(error)))
                continue
            found.append(_compared(stored, result))
    return Verification(str(path), data_name(data), tuple(found))


def _of_table(
    path: Path, model: TabularModel, data: Any, kept: str | Path, *, split_seed: int,
    groups: str | None, ignore: Sequence[str], test: Any,
) -> Verification:  # fmt: skip
    """Tells the sealed rows of a table again; what folds said hangs on fits that are not kept."""
    stored = _sealed_figure(path, model.results)
    if data is None:
        raise _no_data(model.training.data_name, "table")
    table = _table(data, "data")
    task = table_task(
        table, model.target, groups=groups, ignored=ignore,
        test=None if test is None else _table(test, "test"), split_seed=split_seed,
        objective="classification" if model.classes else "regression",
    )  # fmt: skip
    if task.digest != stored.protocol.data_hash:
        reason = _other("rows", task.digest, stored.protocol.data_hash, "table")
        return Verification(str(path), table.name, (_compared(stored, None, reason),))
    with Archive.open_or_create(kept) as record:
        opening = record.record_opening(file_hash(path), "verify", stored.protocol)
        frame = task.frame.take(task.test)
        now, _ = tested(task, model.outputs(frame), model.plain_outputs(frame), model.metric)
        record.finish_opening(opening, now)
    return Verification(str(path), table.name, (_compared(stored, now),))


def _of_images(
    path: Path, model: Classifier, data: Any, kept: str | Path, **how: Any
) -> Verification:
    """Tells the sealed images of a labelled set again; `how` is that of `sealed_images`."""
    stored = _sealed_figure(path, model.results)
    if data is None:
        raise _no_data(model.training.data_name, "data")
    sealed = sealed_images(model, data, **how)
    if sealed.protocol.data_hash != stored.protocol.data_hash:
        reason = _other("images", sealed.protocol.data_hash, stored.protocol.data_hash, "data set")
        return Verification(str(path), sealed.name, (_compared(stored, None, reason),))
    with Archive.open_or_create(kept) as record:
        opening = record.record_opening(file_hash(path), "verify", stored.protocol)
        now = sealed.told_by(model)
        record.finish_opening(opening, now)
    return Verification(str(path), sealed.name, (_compared(stored, now),))


def _sealed_figure(path: Path, results: Sequence[Result]) -> Result:
    tests = [each for each in results if each.protocol.part == "test"]
    if not tests:
        raise ModelFileError(f"'{path}' holds no figure on a sealed part, which alone can be told")
    return tests[0]


def _table(data: Any, name: str) -> Table:
    is_path = isinstance(data, str | os.PathLike)
    return read_table(Path(data)) if is_path else table_of(data, name)


def _no_data(name: str, what: str) -> DataError:
    return DataError(
        f"name the {what} that the model was fitted to ('{name}'): metaloop verify MODEL "
        f"{what.upper()}"
    )


def _other(what: str, digest: str, stored: str, whole: str) -> str:
    return (
        f"the {what} are others (digest {digest[:12]}, stored {stored[:12]}): another {whole}, or "
        "one that was read or split by other options than 'select' was given"
    )


def _compared(stored: Result, now: Result | None, reason: str = "") -> Verified:
    holds, how = False, stored.protocol
    if now is not None:
        if now.protocol.list_hash != how.list_hash:
            reason = (
                f"the episodes are others (list {now.protocol.list_hash[:12]}, stored "
                f"{how.list_hash[:12]}): other data, read otherwise, or split otherwise"
            )
        elif abs(now.value - stored.value) > max(_OF_INTERVAL * stored.ci95, 1e-6):
            reason = "the value is another on the same episodes"
        else:
            holds = True
    return Verified(
        how.part, how.ways, how.shots, stored.metric, stored.value, stored.ci95,
        None if now is None else now.value, holds, reason,
    )  # fmt: skip


def _data_of(model: Model) -> str:
    """The family that a model was trained on, where that is a built-in one."""
    name = model.training.data_name
    if name not in FAMILIES:
        raise DataError(
            f"name the data that the model was trained on ('{name}'): metaloop verify MODEL DATA"
        )
    return name
