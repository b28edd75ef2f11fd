"""An MLflow experiment of a run: a run of its for every trial that has ended.

Choices of the candidate are parameters, the curve and the figure on `search` are metrics, what else
is known are tags. It is written by MLflow's own client: to a new SQLite file, or to the tracking
server of a URI, where an experiment of this name must not be yet.
Written with MLflow 3.17: mlflow.org/docs, `MlflowClient`.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from metaloop.archive import StoredTrial
from metaloop.core.errors import OutputError
from metaloop.report.differences import choices_of
from metaloop.report.export.extras import missing_extra
from metaloop.report.export.said import said_of
from metaloop.report.figures import printable, value_text
from metaloop.report.reading import Records
from metaloop.report.standing import label

_LONGEST = 500  # characters of a parameter or tag: what all servers take
_AT_ONCE = 100  # parameters, metrics or tags in one call
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "running": "RUNNING"}
_TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"


def write_experiment(records: Records, path: Path) -> None:
    """Writes an SQLite file, for `mlflow ui --backend-store-uri sqlite:///FILE`.

    Raises `MissingExtraError` where MLflow is not installed.
    """
    log_experiment(records, f"sqlite:///{path.absolute()}")


def log_experiment(records: Records, uri: str) -> None:
    """Writes to the tracking store of a URI. Raises `OutputError` where MLflow says that it cannot.

    Raises `MissingExtraError` where MLflow is not installed.
    """
    with _silent():
        try:
            from mlflow import MlflowClient, entities  # optional extra
            from mlflow.exceptions import MlflowException  # optional extra
        except ImportError as error:
            raise missing_extra("mlflow-skinny", "mlflow") from error
        try:
            client = MlflowClient(tracking_uri=uri)
            name = printable(records.name) or "run"
            experiment = client.create_experiment(name, tags={"metric": records.metric or ""})
            for stored in records.trials:
                if stored.trial.status != "running":
                    _write(client, entities, experiment, records, stored)
        except MlflowException as error:
            told = " ".join(str(error).split())
            raise OutputError(f"MLflow cannot write to '{uri}': {told[:300]}") from error
        finally:
            _let_go(uri)


@contextmanager
def _silent() -> Iterator[None]:
    """Inside, MLflow says nothing of its own libraries, and nothing to its makers."""
    before = os.environ.get(_TELEMETRY)
    os.environ[_TELEMETRY] = "true"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ[_TELEMETRY]
        else:
            os.environ[_TELEMETRY] = before


def _let_go(uri: str) -> None:
    """Closes what is open of a file: it gets its name, and may be removed."""
    if uri.startswith("sqlite"):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # optional extra

        engines: Any = getattr(SqlAlchemyStore, "_engine_map", {})
        engine = engines.pop(uri, None)
        if engine is not None:
            engine.dispose()


def _write(
    client: Any, entities: Any, experiment: str, records: Records, stored: StoredTrial
) -> None:
    trial, candidate = stored.trial, records.candidates[stored.trial.candidate]
    begun = _milliseconds(stored.started)
    run = client.create_run(
        experiment, begun, run_name=f"{stored.id:04d} {label(candidate.candidate)}"[:_LONGEST]
    )
    metric = records.metric or "value"
    metrics = [
        entities.Metric(name, value, begun + round(1000 * point.wall_seconds), point.step)
        for point in trial.curve
        for name, value in (("loss", point.loss), (metric, point.value))
        if value is not None and math.isfinite(value)
    ]
    ended = _milliseconds(stored.ended or stored.started)
    figures = [result.value for result in records.results_in(stored, "search", asked=True)]
    spent = {"cpu_seconds": trial.cpu_seconds, "search": figures[-1] if figures else math.nan}
    metrics += [
        entities.Metric(name, float(value), ended, trial.steps)
        for name, value in spent.items()
        if math.isfinite(value)
    ]
    values = choices_of(candidate.candidate)
    named = {name: value_text(value)[:_LONGEST] for name, value in values.items()}
    params = [entities.Param(name, text) for name, text in named.items()]
    tags = [entities.RunTag(name, text) for name, text in _tags(records, stored).items()]
    for start in range(0, max(len(metrics), len(params), len(tags)), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        client.log_batch(run.info.run_id, metrics[some], params[some], tags[some])
    client.set_terminated(run.info.run_id, _STATUS.get(trial.status, "FAILED"), ended)


def _tags(records: Records, stored: StoredTrial) -> Mapping[str, str]:
    said = said_of(records, stored)
    return {
        name: (" ".join(value) if isinstance(value, list) else str(value))[:_LONGEST]
        for name, value in said.items()
    }


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.fromisoformat(time).timestamp())
