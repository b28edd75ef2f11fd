"""The race on tables: what is proposed, what is believed, how it ends; small, in this process."""

from __future__ import annotations

import io
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from tests.selecting.tabular.conftest import QUICK, run_of, small_task

from metaloop.core.budget import Budget
from metaloop.core.errors import ModelFileError
from metaloop.domains.tables.explaining import explain
from metaloop.domains.tables.fitting import FittedPipeline, fit_pipeline
from metaloop.domains.tables.frame import Column, Frame
from metaloop.domains.tables.pipelines import TABLE_PIPELINES, offered
from metaloop.domains.tables.scoring import TABLE_METRICS, unit_of
from metaloop.domains.tables.storing import can_store, restored, stored
from metaloop.domains.tables.task import table_task
from metaloop.jobs.tabular import FoldResult, even_order
from metaloop.selecting.tabular.beliefs import Context, Seen, expected_of
from metaloop.selecting.tabular.finishing import choose, fit_chosen
from metaloop.selecting.tabular.judging import figure_of
from metaloop.selecting.tabular.knowledge import informed, on_scale
from metaloop.selecting.tabular.racing import TableRace, complete_folds, complete_rounds
from metaloop.selecting.tabular.running import TableRun, race_on
from metaloop.tasks.readers.tables import table_of


def test_a_race_ends_with_pipelines_that_are_better_than_guessing(finished: TableRun) -> None:
    chosen, fitted = fit_chosen(finished, choose(finished))
    figure = figure_of(finished, chosen)
    assert figure is not None and figure.value > 0.85 and figure.ci95 > 0
    assert figure.ci95_new is not None and figure.ci95_new >= figure.ci95
    assert len(fitted) == len(chosen.weights) and sum(chosen.weights.values()) == pytest.approx(1)
    assert len(complete_folds(finished.race, finished.race.ranking())) >= 2


def test_what_is_nice_to_have_is_left_where_others_take_the_time(tmp_path: Path) -> None:
    run = run_of(tmp_path, small_task(True), 2, "accuracy")
    with run.executor:
        assert run.has_time_for(1e9)  # a budget in steps has no clock
        run.budget = Budget(wall_seconds=60.0)
        run.begun = time.perf_counter() - 59.0
        assert run.has_time_for(2.5)
        kept, run.slowed = run.kept_back, 6.0
        assert not run.has_time_for(2.5) and kept < run.kept_back <= 9.0


def test_targets_in_random_order_end_at_chance(tmp_path: Path) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    mixed = np.random.default_rng(0).permutation(y[:200])
    columns = {f"c{i}": X[:200, i] for i in range(6)}
    run = run_of(
        tmp_path, table_task(table_of({**columns, "y": mixed}, "t"), "y"), 20, "balanced_accuracy"
    )
    with run.executor:
        list(race_on(run))
        figure = figure_of(run, choose(run))
    assert figure is not None and figure.ci95_new is not None
    assert abs(figure.value - 0.5) < figure.ci95_new < 0.2


def test_steps_are_kept_and_the_same_seed_gives_the_same_race(tmp_path: Path) -> None:
    told = []
    for name in ("a", "b"):
        run = run_of(tmp_path / name, small_task(False), 6, "rmse")
        with run.executor:
            told.append([(e.request.pipeline, e.context, e.result.values) for e in race_on(run)
                         if e.result])  # fmt: skip
    assert told[0] == told[1] and len(told[0]) == 6


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_the_unit_of_a_target_changes_nothing_in_a_race(metric: str, tmp_path: Path) -> None:
    X, y = load_diabetes(return_X_y=True)
    columns = {f"c{i}": X[:120, i] for i in range(4)}
    told = []
    for exponent in (0, -20, 20):  # powers of two are exact
        data = table_of({**columns, "y": np.ldexp(y[:120], exponent)}, "t")
        run = run_of(tmp_path / str(exponent), table_task(data, "y"), 12, metric)
        with run.executor:
            told.append([(ended.request.pipeline, ended.context) for ended in race_on(run)])
    assert len(told[0]) == 12 and told[1] == told[0] and told[2] == told[0]


@pytest.mark.parametrize("metric", [n for n, one in TABLE_METRICS.items() if not one.for_classes])
def test_a_metric_of_numbers_is_in_the_unit_of_the_target_or_in_none(metric: str) -> None:
    how, rng = TABLE_METRICS[metric], np.random.default_rng(0)
    targets = rng.normal(size=50)
    told = targets + 0.1 * rng.normal(size=50)
    for factor in (2.0**-60, 2.0**60):
        unit = 1.0 if metric == "r2" else factor
        assert how.value(factor * told, factor * targets) == unit * how.value(told, targets)
        expected = unit * how.deviation(told, targets)
        assert how.deviation(factor * told, factor * targets) == expected
        scaled = unit * unit_of(metric, targets)
        assert unit_of(metric, factor * targets) == scaled
    same = np.full(50, 0.1)
    assert unit_of(metric, same) == 1 and np.isfinite(how.value(told, same))


def test_errors_of_other_tables_are_compared_in_whatever_unit_these_were_told() -> None:
    found = []
    for factor in (1.0, 2.0**-40):
        errors = {
            "svm": {(0,): Seen(3 * factor, 0.1 * factor)},
            "knn": {(0,): Seen(4 * factor, 0.0)},
        }
        found.append(on_scale(errors, "log"))
    assert found[0] == found[1]
    assert found[0]["knn"][0,] - found[0]["svm"][0,] == pytest.approx(np.log(4 / 3))


def test_who_fails_takes_part_no_more_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metaloop.jobs import tabular

    def failing(name: str, *rest: Any) -> Any:
        if name == "svm":
            raise ValueError("no such kernel")
        return fit_pipeline(name, *rest)

    monkeypatch.setattr(tabular, "fit_pipeline", failing)
    run = run_of(tmp_path, small_task(True), 12, "accuracy")
    with run.executor:
        failed = [e for e in race_on(run) if e.result is None]
    assert [e.request.pipeline for e in failed] == ["svm"]
    assert "no such kernel" in run.race.entries["svm"].failed
    assert "svm" not in choose(run).weights


def test_what_tells_rows_too_slowly_is_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, small_task(True), 8, "accuracy", per_row=1e-9)
    with run.executor:
        assert all("too slow" in e.message for e in race_on(run))


def test_a_fold_says_how_long_a_row_takes_what_has_learned_from_all() -> None:
    known = race(1000)
    one = replace(result(0.9, 800), tell_seconds=0.2, checked=200)
    assert known.timed("logistic", one) == pytest.approx(1e-3)
    assert known.timed("knn", one) == pytest.approx(1e-3 * 1000 / 800)  # it looks at every row
    known.timed("logistic", replace(one, tell_seconds=0.1))
    assert known.entries["logistic"].row_seconds == pytest.approx(1e-3)


def race(rows: int, names: tuple[str, ...] = QUICK) -> TableRace:
    return TableRace(expected_of(names, True), rows, 10, 2, "accuracy", 0)


def result(value: float, rows: int = 100, seconds: float = 0.1) -> FoldResult:
    return FoldResult((value,), (0.02,), rows, 100, seconds, 0.0)


def test_few_rows_are_told_by_several_rounds_of_folds_and_many_begin_small() -> None:
    assert len(race(300).steps) == 15 and len(race(600).steps) == len(race(5000).steps) == 5
    many = race(500_000)
    assert [step.most for step in many.steps[:4]] == [2000, 2000, 16_000, 128_000]
    assert many.folds == 3


def test_a_fold_that_is_easier_flatters_nobody() -> None:
    known = race(300, ("logistic", "svm"))
    for fold, easy in enumerate((0.0, 0.1, 0.1, 0.1)):
        known.take("svm", (0, 0, fold), result(0.75 + easy), "", 0.1)
    known.take("logistic", (0, 0, 0), result(0.80), "", 0.1)
    assert known.ranking()[0] == "logistic"


def test_a_race_in_steps_goes_by_no_clock() -> None:
    told = []
    for slow in QUICK:
        known, asked = race(300), []
        for number in range(12):
            request = known.propose(None, late=number > 6)
            assert request is not None
            context = known.begin(request, number)
            one = result(0.8 + 0.01 * QUICK.index(request.pipeline), 240)
            took = replace(one, fit_seconds=30.0 if request.pipeline == slow else 0.001)
            known.take(request.pipeline, context, took, "", 0.1)
            asked.append((request.pipeline, context))
        told.append(asked)
    assert all(asked == told[0] for asked in told)


def test_where_the_first_was_ended_the_quickest_is_next() -> None:
    known = race(9000, ("extra_trees", "naive_bayes", "logistic", "mlp"))
    known.take("extra_trees", (0, 0, 0), None, "ended after 20 s", 20.0)
    asked = known.propose(20.0, cheap=0.01)
    assert asked is not None and asked.pipeline == "naive_bayes"


def test_a_kind_that_has_not_told_all_rows_comes_before_more_of_the_same() -> None:
    names = ("svm", "svm/hard", "svm/wide", "extra_trees")
    known = race(2000, names)
    for name in names:
        value, seconds = 0.9 if name == "svm" else 0.3, 0.15 if name == "extra_trees" else 0.1
        known.take(name, (0, 0, 0), result(value, 1600, seconds), "", seconds)
    for fold in range(1, 5):
        known.take("svm", (0, 0, fold), result(0.9, 1600), "", 0.1)
    asked = []
    while (request := known.propose(60.0)) is not None:
        context = known.begin(request, len(asked))
        known.take(request.pipeline, context, result(0.3, 1600, 0.1), "", 0.1)
        asked.append(request.pipeline)
    assert asked[:4] == ["extra_trees"] * 4 and len(asked) == 12


def test_who_can_tell_all_rows_in_a_moment_need_not_wait() -> None:
    names = (*QUICK, "mlp", "gradient_boosting", "hist_boosting")
    known = race(1000, names)
    for place, name in enumerate(names):
        slow = name not in QUICK
        known.take(
            name, (0, 0, 0), result(0.9 - 0.001 * place, 800, 5.0 if slow else 0.01), "", 1.0
        )
    asked = known.propose(60.0, cheap=0.3)
    assert asked is not None and asked.pipeline == QUICK[0]


def race_to_the_end(known: TableRace, **limits: Any) -> list[tuple[str, Context]]:
    """What is begun, each fold a tenth of a second, until nothing is proposed."""
    asked = []
    while (request := known.propose(60.0, cheap=0.01, **limits)) is not None:
        context = known.begin(request, len(asked))
        value = 0.9 if request.pipeline == "svm" else 0.3  # nobody else can be the best
        known.take(request.pipeline, context, result(value, 240), "", 0.1)
        asked.append((request.pipeline, context))
    return asked


def test_while_there_is_time_all_tell_all_rows_and_of_few_rows_once_more() -> None:
    known = race(300)
    asked = race_to_the_end(known)
    assert all(complete_rounds(known, name) == [0, 1, 2] for name in QUICK)
    rounds = [context[1] for _, context in asked]
    assert rounds == sorted(rounds) and len(asked) == len(QUICK) * 15
    known = race(2000)
    assert len(race_to_the_end(known)) == len(QUICK) * 5


@pytest.mark.parametrize(("left", "completes"), [(10.0, False), (15.0, True)])
def test_who_cannot_tell_all_rows_in_what_is_left_does_not_go_on(
    left: float, completes: bool
) -> None:
    known = race(2000, ("svm", "mlp"))
    known.take("svm", (0, 0, 0), result(0.9, 1600), "", 0.1)
    known.take("mlp", (0, 0, 0), result(0.3, 1600, 3.0), "", 3.0)  # four more folds: 12 seconds
    asked = []
    while (request := known.propose(20.0, cheap=0.01, left=left)) is not None:
        took = 3.0 if request.pipeline == "mlp" else 0.1
        left -= took
        context = known.begin(request, len(asked))
        value = 0.9 if request.pipeline == "svm" else 0.3
        known.take(request.pipeline, context, result(value, 1600, took), "", took)
        asked.append(request.pipeline)
    assert asked.count("svm") == 4 and asked.count("mlp") == 4 * completes


def test_what_would_take_too_long_is_not_begun() -> None:
    known = race(100_000, ("svm", "logistic"))
    known.take("svm", (0, 0, 0), result(0.9, 2000, 1.0), "", 1.0)
    assert known.predicted("svm", 20_000) == pytest.approx(100, rel=0.1)
    for _ in range(4):
        request = known.propose(5.0)
        if request is None:
            break
        context = known.begin(request, 0)
        assert request.pipeline == "logistic" or request.most <= 2000
        known.take(request.pipeline, context, result(0.8, 2000, 0.01), "", 0.1)


@pytest.mark.parametrize("metric", TABLE_METRICS)
def test_better_answers_have_better_values_in_every_metric(metric: str) -> None:
    how, rng = TABLE_METRICS[metric], np.random.default_rng(0)
    if how.for_classes:
        targets = rng.integers(0, 3, 200)
        sure = np.eye(3)[targets] * 0.9 + 0.05
        guessed = rng.dirichlet(np.ones(3), 200)
    else:
        targets = rng.normal(size=200)
        sure, guessed = targets + 0.01, rng.normal(size=200)
    assert how.sign * how.value(sure, targets) > how.sign * how.value(guessed, targets)
    assert how.deviation(guessed, targets) > 0


@pytest.mark.parametrize(("rows", "classes"), [(2000, 2), (2000, 200), (9000, 1000), (90_000, 5)])
def test_forests_are_no_larger_than_memory(rows: int, classes: int) -> None:
    from metaloop.domains.tables import fitting

    learner = TABLE_PIPELINES["random_forest"].make(True, 0)
    fitting._kept_small(learner, rows, classes)
    leaves = rows / learner.min_samples_leaf
    assert learner.n_estimators * 1.5 * leaves * classes <= 1.1 * fitting._SHARES
    assert 50 <= learner.n_estimators <= 200
    if (rows, classes) == (2000, 2):
        assert (learner.n_estimators, learner.min_samples_leaf) == (200, 1)


def test_every_beginning_of_the_order_has_all_classes_evenly() -> None:
    layers = np.array([0] * 90 + [1] * 9 + [2])
    order = even_order(layers, np.random.default_rng(0))
    assert sorted(order) == list(range(100))
    counts = np.bincount(layers[order[:20]], minlength=3)
    assert abs(counts[0] - 18) <= 1 and counts[1] >= 1 and counts[2] == 1


FRAME = Frame(
    (Column("a", "number"), Column("w", "category", ("u", "v"))),
    {"a": np.r_[np.nan, np.linspace(-1, 1, 59)], "w": np.tile(np.int32([0, 1, -1]), 20)},
)


STORED_QUICKLY = ("hist_boosting", "lightgbm", "svm", "knn", "logistic")


def fitted(name: str, classes: int) -> FittedPipeline:
    numbers = np.nan_to_num(FRAME.values["a"])
    targets = (numbers > 0).astype(np.int64) if classes else numbers * 3 + 1
    return fit_pipeline(name, FRAME, targets, classes, 0)


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in STORED_QUICKLY else pytest.mark.long)
        for name in TABLE_PIPELINES
        if name in offered(True, 2)
    ],
)
def test_every_pipeline_goes_through_a_file_and_tells_the_same(name: str) -> None:
    for classes in (2, 0) if name in offered(False, 0) else (2,):
        one = fitted(name, classes)
        back = restored(stored(one))
        assert np.array_equal(back.outputs(FRAME), one.outputs(FRAME))
        assert np.isfinite(one.outputs(FRAME)).all()


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_folds_beside_a_fit_count_half_and_go_through_a_file() -> None:
    whole, others = fitted("logistic", 2), [fitted("logistic", 2), fitted("logistic", 2)]
    others[0].learner.coef_[:] = 0.0
    bag = replace(whole, parts=tuple(others))
    told = [one.outputs(FRAME) for one in (whole, *others)]
    np.testing.assert_allclose(bag.outputs(FRAME), told[0] / 2 + (told[1] + told[2]) / 4)
    back = restored(stored(bag))
    assert len(back.parts) == 2 and np.array_equal(back.outputs(FRAME), bag.outputs(FRAME))
    for strange in (fitted("svm", 2), replace(whole, states={}), bag):
        with pytest.raises(ModelFileError, match="of several kinds"):
            restored(stored(replace(whole, parts=(strange,))))


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_what_is_packed_is_smaller_and_tells_the_same() -> None:
    one = fitted("hist_boosting", 2)
    packed, plain = stored(one), stored(one, packed=False)
    assert 3 * len(packed) < len(plain)
    assert np.array_equal(restored(packed).outputs(FRAME), restored(plain).outputs(FRAME))


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_what_is_fitted_of_columns_that_are_alike_is_few_files() -> None:
    rng = np.random.default_rng(0)
    schema = (*(Column(f"c{place}", "number") for place in range(300)), *FRAME.schema)
    many = {column.name: rng.normal(size=60) for column in schema[:300]}
    frame = Frame(schema, {**many, **FRAME.values})
    one = fit_pipeline("naive_bayes", frame, np.arange(60) % 2, 2, 0)
    data = stored(one)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert len(file.namelist()) < 40
    back = restored(data)
    assert set(back.states) == set(one.states)
    assert np.array_equal(back.outputs(frame), one.outputs(frame))


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_a_tree_that_leads_out_of_itself_and_a_strange_type_are_refused() -> None:
    import skops.io

    one = fitted("hist_boosting", 2)
    one.learner._predictors[0][0].nodes["left"][0] = 10_000_000
    with pytest.raises(ModelFileError, match="leads out of itself"):
        restored(stored(one))
    data = skops.io.dumps({"name": Path("x")})
    with pytest.raises(ModelFileError, match="not trusted"):
        restored(data)
    with pytest.raises(ModelFileError, match="damaged"):
        restored(b"PK nothing")


def test_a_folder_that_holds_another_table_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for for_classes, metric in ((True, "accuracy"), (False, "rmse")):
        run = run_of(Path("same"), small_task(for_classes), 1, metric)
        with run.executor:
            assert [ended.message for ended in race_on(run)] == [""]
        values = [r.values[0] for e in run.race.entries.values() for r in e.found.values()]
        assert len(values) == 1 and (values[0] <= 1) == for_classes


def test_what_was_best_on_other_tables_is_expected_to_be_best_and_tried_first() -> None:
    names = ("logistic", "svm", "knn")
    prior = expected_of(names, True)
    seen = [{"logistic": 0.5, "svm": 0.45, "knn": 0.2}] * 8
    after = informed(prior, seen)
    assert prior.means.argmin() != 2 and after.means.argmin() == 2
    known = TableRace(after, 300, 10, 2, "accuracy", 0)
    request = known.propose(None, 10.0)
    assert request is not None and request.pipeline == "knn"


class Line(FittedPipeline):
    """Tells 3 a + 10 where the word is `u`, 3 a elsewhere."""

    def outputs(self, frame: Frame) -> np.ndarray:
        values = 3 * frame.values["a"] + 10 * (frame.values["w"] == 0)
        return np.asarray(values, float)


def test_partial_dependence_and_importance_are_what_a_line_says() -> None:
    rng = np.random.default_rng(0)
    frame = Frame(FRAME.schema, {"a": rng.normal(size=60), "w": np.tile(np.int32([0, 1, 1]), 20)})
    line = Line("line", 0, {}, None)
    told = explain(line, frame, line.outputs(frame), "rmse", np.ones(1), 0.0, np.inf, 0)
    assert told["complete"] and told["value"] == 0
    curves = {curve["column"]: curve for curve in told["curves"]}
    along = curves["a"]
    np.testing.assert_allclose(along["answers"][0], 3 * np.array(along["at"]) + 10 / 3)
    words = dict(zip(curves["w"]["at"], curves["w"]["answers"][0], strict=True))
    mean = 3 * frame.values["a"].mean()
    assert words["u"] == pytest.approx(mean + 10) and words["v"] == pytest.approx(mean)
    losses = {row["column"]: row["loss"] for row in told["importances"]}
    # two shuffled values differ by the root of twice the variance, on average
    assert losses["a"] == pytest.approx(3 * frame.values["a"].std() * np.sqrt(2), rel=0.2)
    assert losses["w"] == pytest.approx(10 * np.sqrt(2 * 2 / 9), rel=0.2)
