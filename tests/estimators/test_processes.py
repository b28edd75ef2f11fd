"""Estimators that were used in a parent work in its forked children, and in joblib's processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from metaloop.core import forking
from metaloop.core.errors import MetaloopError
from metaloop.estimators import FewShotClassifier
from metaloop.models import Model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

_USED = """
import multiprocessing, sys, threading, joblib, numpy, torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from metaloop.estimators import FewShotClassifier

torch.set_num_threads(2)
data = dict(numpy.load("task.npz"))
fitted = {kind: FewShotClassifier(kind + ".metaloop").fit(data["support"], data["labels"])
          for kind in sys.argv[1:]}

def work(kind):
    again = clone(fitted[kind]).fit(data["support"], data["labels"])
    return fitted[kind].predict_proba(data["queries"]), again.predict_proba(data["queries"])

stop = threading.Event()

def busy():  # children are forked in the midst of calls of another thread
    while not stop.is_set():
        for kind in fitted:
            fitted[kind].predict_proba(data["queries"][:2])

if __name__ == "__main__":
    expected = {kind: work(kind) for kind in fitted}
    thread = threading.Thread(target=busy)
    thread.start()
    try:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map(work, list(fitted))
    finally:
        stop.set()
        thread.join()
    for kind, answers in zip(fitted, found, strict=True):
        for answer, right in zip(answers, expected[kind], strict=True):
            numpy.testing.assert_allclose(answer, right, atol=1e-4)
    print("forked")
    with joblib.parallel_backend("multiprocessing"):
        scores = [cross_val_score(fitted[kind], data["queries"], data["truth"], cv=2, n_jobs=jobs)
                  for jobs in (None, 2)]
    numpy.testing.assert_array_equal(*scores)
    print("joblib")
"""

KINDS = ["box_model", "image_maml"]


def test_what_was_used_in_the_parent_answers_the_same_in_children(
    request: pytest.FixtureRequest, task: dict[str, Any], tmp_path: Path
) -> None:
    for kind in KINDS:
        request.getfixturevalue(kind).save(tmp_path / f"{kind}.metaloop")
    np.savez(tmp_path / "task.npz", **task)
    (tmp_path / "used.py").write_text(_USED)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "used.py", *KINDS],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, errors = process.communicate(timeout=110)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            pytest.fail("it hangs")
    assert process.returncode == 0, errors
    assert printed.split() == ["forked", "joblib"]


@pytest.mark.parametrize("kind", ["image_model", *KINDS])
def test_a_fitted_estimator_can_be_sent_to_another_process(
    kind: str, request: pytest.FixtureRequest, task: dict[str, Any], tmp_path: Path
) -> None:
    fitted = FewShotClassifier(request.getfixturevalue(kind)).fit(task["support"], task["labels"])
    joblib.dump(fitted, tmp_path / "sent")
    received = joblib.load(tmp_path / "sent")
    np.testing.assert_array_equal(
        received.predict_proba(task["queries"]), fitted.predict_proba(task["queries"])
    )


def test_a_model_on_an_accelerator_is_refused_in_a_child(
    image_model: Model, task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    monkeypatch.setattr(forking, "_forked", True)
    monkeypatch.setattr(Model, "device", property(lambda model: torch.device("cuda")))
    for use in (
        lambda: fitted.predict(task["queries"]),
        lambda: fitted.fit(task["support"], task["labels"]),
    ):
        with pytest.raises(MetaloopError, match="a forked process cannot use"):
            use()
