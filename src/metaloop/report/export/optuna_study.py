"""An Optuna study of a run: every trial with the choices of its candidate as parameters.

The value is the trial's figure on `search`, the curve its intermediate values. Choices that are the
same for all candidates are attributes of the study. Trials still under way are left out.
Written with Optuna 5.0: optuna.readthedocs.io, `Study.add_trials`.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, final

from metaloop.archive import StoredTrial
from metaloop.core.records import Candidate
from metaloop.report.differences import choices_of
from metaloop.report.export.extras import missing_extra
from metaloop.report.export.said import said_of
from metaloop.report.figures import printable, scale_of, value_text
from metaloop.report.reading import Records

_ATTRIBUTE_LENGTH = 2000  # characters: Optuna keeps attributes in columns of 2,048


def write_study(records: Records, path: Path) -> None:
    """Writes an SQLite file with one study, named like the run.

    Raises `MissingExtraError` where Optuna is not installed.
    """
    try:
        import optuna  # optional extra
    except ImportError as error:
        raise missing_extra("optuna", "optuna") from error
    spoken = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path.absolute()}", engine_kwargs={"connect_args": {"factory": _Unsynced}}
        )
        try:
            _fill(optuna, storage, records)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(spoken)


@final
class _Unsynced(sqlite3.Connection):
    """Does not wait for the disk at each trial: the file gets its name when all is in it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA synchronous = OFF")


def _fill(optuna: Any, storage: Any, records: Records) -> None:
    direction = "maximize" if scale_of(records.metric).higher_is_better else "minimize"
    study = optuna.create_study(
        storage=storage, study_name=printable(records.name) or "run", direction=direction
    )
    ended = [trial for trial in records.trials if trial.trial.status != "running"]
    chosen = {
        identity: _parameters(records.candidates[identity].candidate)
        for identity in dict.fromkeys(trial.trial.candidate for trial in ended)
    }
    names = sorted({name for values in chosen.values() for name in values})
    distributions = {}
    for name in names:
        values = [values[name] for values in chosen.values() if name in values]
        if len(set(map(repr, values))) > 1 or len(values) < len(chosen):
            distributions[name] = _distribution(optuna, values)
        elif values:
            study.set_user_attr(name, values[0])
    study.set_user_attr("metric", records.metric)
    study.add_trials(
        [
            _trial(optuna, records, trial, chosen[trial.trial.candidate], distributions)
            for trial in ended
        ]
    )


def _trial(
    optuna: Any,
    records: Records,
    stored: StoredTrial,
    chosen: Mapping[str, Any],
    distributions: Mapping[str, Any],
) -> Any:
    trial = stored.trial
    own = {name: distributions[name] for name in chosen if name in distributions}
    value = _value(records, stored)
    complete = trial.status == "finished" and value is not None
    states = optuna.trial.TrialState
    made = optuna.trial.create_trial(
        state=states.COMPLETE if complete else states.FAIL,
        value=value if complete else None,
        params={name: chosen[name] for name in own},
        distributions=own,
        user_attrs=_attributes(records, stored),
        intermediate_values={
            point.step: float(point.value)
            for point in trial.curve
            if point.value is not None and math.isfinite(point.value)
        },
    )
    made.datetime_start = _local(stored.started)
    made.datetime_complete = _local(stored.ended or stored.started)
    return made


def _attributes(records: Records, stored: StoredTrial) -> dict[str, Any]:
    said = said_of(records, stored)
    return {
        name: value[:_ATTRIBUTE_LENGTH] if isinstance(value, str) else value
        for name, value in said.items()
    }


def _value(records: Records, stored: StoredTrial) -> float | None:
    """The trial's latest figure on `search` of the target data, if there is one."""
    values = [result.value for result in records.results_in(stored, "search", asked=True)]
    return values[-1] if values and math.isfinite(values[-1]) else None


def _parameters(candidate: Candidate) -> dict[str, Any]:
    """The choices of a candidate as parameters; what is no simple value becomes text."""
    return {
        name: value if value is None or isinstance(value, bool | int | float) else value_text(value)
        for name, value in choices_of(candidate).items()
    }


def _distribution(optuna: Any, values: list[Any]) -> Any:
    """A range that holds all values where they are numbers, else the set of them."""
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return optuna.distributions.IntDistribution(min(values), max(values))
    if kinds <= {int, float} and all(map(math.isfinite, values)):
        return optuna.distributions.FloatDistribution(float(min(values)), float(max(values)))
    return optuna.distributions.CategoricalDistribution(_distinct(values))


def _distinct(values: list[Any]) -> list[Any]:
    """Each value once, with False and 0 (and True and 1) kept apart."""
    return list({(type(value), value): value for value in values}.values())


def _local(time: str) -> datetime:
    """Optuna's times are local ones, without a zone."""
    return datetime.fromisoformat(time).astimezone().replace(tzinfo=None)
