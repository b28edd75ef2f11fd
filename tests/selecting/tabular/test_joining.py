"""Pipelines joined: within the time of a row and of the run, and figures of what is joined."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from tests.selecting.tabular.conftest import QUICK, run_of, small_task

from metaloop.core.budget import Budget
from metaloop.core.errors import MetaloopError
from metaloop.domains.tables.fitting import fit_pipeline
from metaloop.domains.tables.storing import can_store, restored
from metaloop.domains.tables.task import table_task
from metaloop.jobs import tabular
from metaloop.jobs.tabular import FINAL, TableRequest, last_fit, last_fit_in, table_works
from metaloop.selecting.tabular.ensembling import Told, cross_fitted, joined
from metaloop.selecting.tabular.finishing import ChosenPipelines, _fits, choose, fit_chosen, told_by
from metaloop.selecting.tabular.judging import calibration, figure_of, reliability
from metaloop.selecting.tabular.racing import TableRace, complete_folds, complete_rounds
from metaloop.selecting.tabular.running import TableRun, race_on
from metaloop.tasks.readers.tables import table_of


def test_who_was_too_slow_in_one_fold_is_chosen_by_none_of_the_others(finished: TableRun) -> None:
    best = choose(replace(finished, per_row=1.0)).weights
    slow = max(best, key=best.__getitem__)
    finished.race.entries[slow].row_seconds = 2.0
    assert slow not in choose(replace(finished, per_row=1.0)).weights


def test_what_is_shipped_keeps_the_limit_of_a_row_with_all_its_members(finished: TableRun) -> None:
    assert len(choose(finished).weights) > 1
    for entry in finished.race.entries.values():
        entry.row_seconds = 0.6e-3
    chosen, fitted = fit_chosen(finished, choose(replace(finished, per_row=1e-3)))
    assert len(fitted) == len(chosen.weights) == 1 and chosen.rule.too_slow
    assert chosen.told is not None and chosen.reason.endswith("a row would take longer than it may")
    assert len(choose(replace(finished, per_row=0.6e-3 * 4)).weights) > 1
    with pytest.raises(MetaloopError, match=r"too slow: 0\.6 ms a row.*larger --time-limit"):
        choose(replace(finished, per_row=0.5e-3))


def test_numbers_far_from_zero_are_joined_as_they_were_told(tmp_path: Path) -> None:
    X, y = load_diabetes(return_X_y=True)
    columns = {f"c{i}": X[:100, i] for i in range(4)}
    data = table_of({**columns, "y": y[:100] / 256 + 2.0**31}, "t")  # as seconds since 1970 are
    run = run_of(tmp_path, table_task(data, "y"), 12, "rmse")
    with run.executor:
        list(race_on(run))
        names = complete_folds(run.race, run.race.ranking())
        told = told_by(run, names)
    for fold in range(run.race.folds):
        inside = told.folds == fold
        off = told.outputs[names[0]][inside] - told.targets[inside]
        found = run.race.entries[names[0]].found[0, 0, fold].values[0]
        assert np.sqrt(np.mean(off**2)) == pytest.approx(found, rel=1e-4)


def test_of_few_rows_the_last_fits_have_what_was_learned_in_the_folds(finished: TableRun) -> None:
    chosen, fitted = fit_chosen(finished, choose(finished))
    race = finished.race
    assert all(len(one.parts) == 5 for one in fitted)
    assert race.parts("extra_trees") == 0 and replace(race, rows=2000).parts(fitted[0].name) == 0
    assert not any(one.parts for one in fit_chosen(replace(finished, per_row=1.0), chosen)[1])


def test_a_last_fit_has_as_many_folds_as_time_allows(finished: TableRun) -> None:
    name = complete_folds(finished.race, QUICK)[0]
    request = TableRequest(0, name, 0, bagged=True)
    assert len(last_fit(finished.known, request).parts) == finished.race.folds
    assert len(last_fit(finished.known, replace(request, seconds=1e-9)).parts) == 0


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_a_last_fit_is_kept_before_its_folds_are_learned(
    finished: TableRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*asked: Any) -> None:
        raise TimeoutError("its time was over")

    monkeypatch.setattr(tabular, "with_folds", ended)
    request = TableRequest(77, "svm", 0, bagged=True)
    with pytest.raises(TimeoutError):
        table_works(finished.folder)[FINAL](asdict(request), lambda content: None)
    kept = restored(last_fit_in(finished.folder, 77).read_bytes())
    frame = finished.known.frame
    expected = last_fit(finished.known, replace(request, bagged=False)).outputs(frame)
    assert np.array_equal(kept.outputs(frame), expected) and not kept.parts


def test_what_is_told_in_several_rounds_of_folds_is_their_mean(tmp_path: Path) -> None:
    run = run_of(tmp_path, small_task(True, 100), 60, "balanced_accuracy")
    with run.executor:
        list(race_on(run))
        assert complete_rounds(run.race, "svm") == [0, 1, 2]
        found = told_by(run, ["svm"])
    known, expected = run.known, np.zeros((len(run.known.targets), 2))
    for repeat in range(3):
        for fold in range(run.race.folds):
            learned, asked = known.rows(TableRequest(0, "svm", 0, repeat, fold))
            one = fit_pipeline("svm", known.frame.take(learned), known.targets[learned], 2, repeat)
            expected[asked] += one.outputs(known.frame.take(asked)) / 3
    order = np.concatenate([
        known.rows(TableRequest(0, "svm", 0, 0, fold))[1] for fold in range(run.race.folds)
    ])  # fmt: skip
    np.testing.assert_allclose(found.outputs["svm"], expected[order], atol=1e-6)
    assert np.array_equal(found.targets, known.targets[order])


def test_a_fit_that_cannot_be_ended_is_begun_only_where_it_should_end(
    finished: TableRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(finished, budget=Budget(wall_seconds=60.0), begun=time.perf_counter())
    names = list(QUICK[:3])
    rows = dict.fromkeys(names, 0)
    assert list(_fits(run, names, rows)) == names
    monkeypatch.setattr(TableRace, "predicted", lambda *asked: 3000.0)
    assert list(_fits(run, names, rows)) == names[:1]  # there must be something


def without(run: TableRun, late: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the last fits of a race end without one of the pipelines."""
    from metaloop.selecting.tabular import finishing

    usual = finishing._fits

    def fits(run: TableRun, names: list[str], *rest: Any, **more: Any) -> dict[str, Any]:
        return usual(run, [name for name in names if name != late], *rest, **more)

    monkeypatch.setattr(finishing, "_fits", fits)


def test_who_is_left_out_for_time_is_in_no_figure(
    finished: TableRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choose(finished)
    assert chosen.told is not None and len(chosen.weights) > 1
    late = next(iter(chosen.weights))
    perfect = np.eye(2)[chosen.told.targets.astype(int)]
    told = replace(chosen.told, outputs={**chosen.told.outputs, late: perfect})
    without(finished, late, monkeypatch)
    shipped, fitted = fit_chosen(finished, replace(chosen, told=told))
    figure, sure = figure_of(finished, shipped), calibration(shipped)
    assert [one.name for one in fitted] == list(shipped.weights) and late not in shipped.weights
    assert f"no time was left for {late}" in shipped.reason
    assert figure is not None and figure.value < 0.99
    assert sure is not None and all(row["right"] < 1 for row in sure["bins"][:-1])  # type: ignore[index]


def test_what_is_told_of_a_fold_is_by_weights_of_the_others() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 300)
    outputs = {f"guess {i}": rng.dirichlet([1, 1], 300) for i in range(12)}
    told = Told(outputs, targets, np.arange(300) % 3, np.ones(2) / 2, "accuracy", 0)
    crossed = cross_fitted(told)
    for fold in range(3):
        inside = told.folds == fold
        rule = joined(told.rows(~inside))
        expected = rule.plain(told.rows(inside).outputs, True)
        np.testing.assert_allclose(crossed.plain[inside], expected)
        assert crossed.of_folds[fold][0] == (expected.argmax(1) == targets[inside]).mean()
    flattered = (joined(told).plain(outputs, True).argmax(1) == targets).mean()
    assert np.mean([each[0] for each in crossed.of_folds]) < flattered
    chosen = ChosenPipelines(joined(told), "", told)
    assert calibration(chosen) == reliability(crossed.plain, targets)


@given(st.lists(st.floats(1e-4, 1e-2), min_size=6, max_size=6), st.floats(1e-2, 4e-2))
def test_members_keep_the_limit_of_a_row_together(seconds: list[float], limit: float) -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=60)
    outputs = {f"guess {i}": targets + rng.normal(size=60) for i in range(6)}
    took = dict(zip(outputs, seconds, strict=True))
    told = Told(outputs, targets, np.arange(60) % 3, np.ones(1), "rmse", 0, took, limit)
    rule = joined(told)
    assert sum(took[name] for name in rule.weights) <= limit * (1 + 1e-9)
    assert sum(rule.weights.values()) == pytest.approx(1)
    assert not set(rule.too_slow) & set(rule.weights)
    assert rule.too_slow or rule == joined(replace(told, limit=None))
    np.testing.assert_allclose(
        cross_fitted(told).plain[::3],
        joined(told.rows(told.folds != 0)).plain(told.rows(told.folds == 0).outputs, False),
    )


def test_reliability_is_what_is_counted_by_hand() -> None:
    shares = np.array([[0.95, 0.05], [0.92, 0.08], [0.35, 0.65], [0.35, 0.65]])
    found = reliability(shares, np.array([0, 1, 1, 0]))
    sure, right = found["bins"][1], found["bins"][0]  # type: ignore[index]
    assert sure == {"confidence": pytest.approx(0.935), "right": 0.5, "rows": 2}
    assert right == {"confidence": pytest.approx(0.65), "right": 0.5, "rows": 2}
    assert found["error"] == pytest.approx(0.5 * (0.935 - 0.5) + 0.5 * (0.65 - 0.5))
