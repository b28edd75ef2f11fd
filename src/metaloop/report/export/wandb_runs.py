"""Offline runs of Weights & Biases: one for every trial that has ended, and one of the best so far.

    FOLDER/offline-run-.../    what `wandb sync FOLDER/offline-run-*` sends, if anyone wants to

They are written by its own library, which needs no account for that and sends nothing. Choices of
the candidate are the config, the curve is the history over training steps, the figure on `search`
is in the summary. Runs of one metaloop run are one group.
Written with wandb 0.31: docs.wandb.ai, `wandb.init(mode="offline")`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from metaloop.archive import StoredTrial
from metaloop.report.differences import choices_of
from metaloop.report.export.extras import missing_extra
from metaloop.report.export.said import said_of
from metaloop.report.figures import printable, value_text
from metaloop.report.progress import progress_of
from metaloop.report.reading import Records
from metaloop.report.standing import label

_PROJECT = "metaloop"
_LONGEST_NAME = 120  # characters

Row = tuple[int, Mapping[str, float]]  # a step, and figures by name


def write_runs(records: Records, folder: Path) -> None:
    """Writes a folder of offline runs. Raises `MissingExtraError` where wandb is not installed."""
    try:
        import wandb  # optional extra
    except ImportError as error:
        raise missing_extra("wandb", "wandb") from error
    folder.mkdir()
    group, metric = printable(records.name) or "run", records.metric or "value"
    try:
        for stored in records.trials:
            if stored.trial.status == "running":
                continue
            candidate = records.candidates[stored.trial.candidate].candidate
            name = f"{stored.id:04d} {label(candidate)}"
            config = {key: _simple(value) for key, value in choices_of(candidate).items()}
            said = said_of(records, stored)
            figures = [r.value for r in records.results_in(stored, "search", asked=True)]
            if figures and math.isfinite(figures[-1]):
                said["search"] = figures[-1]
            _write(wandb, folder, group, name, config, _curve(stored, metric), said)
        leaders = progress_of(records).leaders
        best = [(round(dot.cpu_seconds), {metric: dot.result.value}) for dot in leaders]
        _write(wandb, folder, group, "best so far", {}, best, {"steps are": "CPU-seconds"})
    finally:
        wandb.teardown()
    _keep_runs_alone(folder)


def _write(
    wandb: Any,
    folder: Path,
    group: str,
    name: str,
    config: Mapping[str, Any],
    history: Iterable[Row],
    summary: Mapping[str, Any],
) -> None:
    settings = wandb.Settings(
        mode="offline", console="off", silent=True, disable_git=True, disable_code=True,
        x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True,
        x_save_requirements=False, host=_PROJECT,
    )  # fmt: skip
    run = wandb.init(
        project=_PROJECT, dir=folder, name=name[:_LONGEST_NAME], group=group,
        config=dict(config), settings=settings, reinit="create_new",
    )  # fmt: skip
    last = -1
    for step, figures in history:
        if figures and step >= last:
            run.log(dict(figures), step=step)
            last = step
    run.summary.update(dict(summary))
    run.finish()


def _curve(stored: StoredTrial, metric: str) -> Iterable[Row]:
    for point in stored.trial.curve:
        figures = {"loss": point.loss, metric: point.value}
        yield (
            point.step,
            {name: v for name, v in figures.items() if v is not None and math.isfinite(v)},
        )


def _simple(value: Any) -> Any:
    is_simple = value is None or isinstance(value, bool | int | float)
    return value if is_simple else value_text(value)


def _keep_runs_alone(folder: Path) -> None:
    """Leaves the runs in the folder, without logs that tell of this machine."""
    inside = folder / "wandb"
    for run in sorted(inside.glob("offline-run-*")):
        for name in ("logs", "tmp"):
            shutil.rmtree(run / name, ignore_errors=True)
        shutil.move(run, folder / run.name)
    shutil.rmtree(inside, ignore_errors=True)
