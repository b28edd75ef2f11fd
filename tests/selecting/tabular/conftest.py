"""A small table, and a race of four quick pipelines on it in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from metaloop.core.budget import Budget
from metaloop.domains.tables.pipelines import offered
from metaloop.domains.tables.task import TableTask, table_task
from metaloop.selecting.tabular.running import TableRun, open_race, race_on
from metaloop.tasks.readers.tables import table_of

QUICK = ("logistic", "naive_bayes", "knn", "svm")


def small_task(for_classes: bool, rows: int = 200) -> TableTask:
    X, y = (load_breast_cancer if for_classes else load_diabetes)(return_X_y=True)
    columns = {f"c{i}": X[:rows, i] for i in range(6)}
    return table_task(table_of({**columns, "y": y[:rows]}, "t"), "y")


def run_of(folder: Path, task: TableTask, steps: int, metric: str, **asked: Any) -> TableRun:
    names = [n for n in QUICK if n in offered(bool(task.classes), len(task.classes))]
    return open_race(
        folder, task, metric=metric, budget=Budget(steps=steps), seed=0, workers=1,
        begun=time.perf_counter(), among=tuple(names), **asked,
    )  # fmt: skip


@pytest.fixture
def finished(tmp_path: Path) -> Iterator[TableRun]:
    run = run_of(tmp_path, small_task(True), 20, "balanced_accuracy")
    with run.executor:
        list(race_on(run))
        yield run
