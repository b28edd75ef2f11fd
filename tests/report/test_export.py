"""Exports hold what the archive holds; a missing package is one line."""

from __future__ import annotations

import csv
import importlib.util
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaloop.core.errors import MetaloopError, OutputError, UnknownNameError
from metaloop.report import Records, read_run
from metaloop.report.export import FORMATS, export, send


@pytest.fixture(scope="module")
def large(large_folder: Path) -> Records:
    return read_run(large_folder)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_files_hold_every_record(large: Records, tmp_path: Path) -> None:
    folder = export(large, "csv", tmp_path / "tables")
    assert len(rows(folder, "candidates")) == len(large.candidates) == 300
    trials = rows(folder, "trials")
    assert [int(row["trial"]) for row in trials] == [trial.id for trial in large.trials]
    assert sum(float(row["cpu_seconds"]) for row in trials) == pytest.approx(
        sum(trial.trial.cpu_seconds for trial in large.trials)
    )
    results = [result for trial in large.trials for result in trial.trial.results]
    assert [float(row["value"]) for row in rows(folder, "results")] == [r.value for r in results]
    assert len(rows(folder, "verdicts")) == len(large.verdicts)
    assert rows(folder, "openings")[0]["value"] == ""  # broken off
    assert len(rows(folder, "curves")) == sum(len(t.trial.curve) for t in large.trials)
    assert {path.stem for path in folder.iterdir()} == {
        *("candidates", "trials", "results", "curves", "verdicts", "comparisons", "openings"),
        *("progress", "jobs", "backbones"),
    }
    assert [int(row["job"]) for row in rows(folder, "jobs")] == [job.id for job in large.jobs]


def test_cells_are_no_formulas_and_steer_nothing(bench: Any, tmp_path: Path) -> None:
    bench.add("protonet", None, status="failed", message="=cmd|' /C calc'!A0\x1b[2J")
    (row,) = rows(export(bench.records(), "csv", tmp_path / "tables"), "trials")
    assert row["message"] == "'=cmd|' /C calc'!A0\\x1b[2J"


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_there_is_never_written_over(to: str, small: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        export(small.records(), to, tmp_path / "mine")
    with pytest.raises(OutputError, match="no folder"):
        export(small.records(), to, tmp_path / "no" / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["mine", "run"] or sorted(
        path.name for path in tmp_path.iterdir()
    ) == ["mine", "run"]
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_unknown_format_names_the_near_one(small: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'optuna'"):
        export(small.records(), "optuan", tmp_path / "x")


@pytest.mark.parametrize("to", ["mlflow", "optuna", "tensorboard", "wandb"])
def test_a_missing_package_is_said_in_one_line_and_leaves_nothing(
    to: str, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == to]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, to, None)  # what an import of a missing package does
    with pytest.raises(MetaloopError, match=rf"pip install 'metaloop\[{to}\]'") as caught:
        export(small.records(), to, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="Optuna is not installed: metaloop[optuna]"
)
needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None,
    reason="TensorBoard is not installed: metaloop[tensorboard]",
)


@needs_optuna
def test_optuna_reads_the_study(bench: Any, tmp_path: Path) -> None:
    import optuna

    parent = bench.add("protonet", 0.6)
    bench.add("protonet", 0.7, [parent], "plan: x", rate=0.01, options={"scale": True})
    bench.add("ridge", None, status="diverged", message="nan", net="mlp")
    bench.add("maml", None, status="running", rate=0.5)
    path = export(bench.records(), "optuna", tmp_path / "study.db")
    study = optuna.load_study(study_name="run", storage=f"sqlite:///{path}")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    best = study.best_trial
    assert best.value == 0.7 and best.params["plan.learning_rate"] == 0.01
    assert best.params["learner"] == "protonet" and best.params["learner.scale"] is True
    assert best.intermediate_values == {100: 0.7}
    assert best.user_attrs["parents"] == [parent] and best.user_attrs["operator"] == "plan: x"
    assert study.user_attrs["metric"] == "accuracy"
    assert study.user_attrs["plan.optimiser"] == "adamw"  # the same for all
    assert study.trials[2].user_attrs["message"] == "nan"


@needs_optuna
def test_an_error_is_minimised_in_the_study(bench: Any, tmp_path: Path) -> None:
    import optuna

    bench.add("protonet", 0.6, metric="mse")
    path = export(bench.records(), "optuna", tmp_path / "study.db")
    study = optuna.load_study(study_name="run", storage=f"sqlite:///{path}")
    assert study.direction == optuna.study.StudyDirection.MINIMIZE


@needs_tensorboard
def test_tensorboard_reads_the_events(small: Any, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = export(small.records(), "tensorboard", tmp_path / "events")
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 4 and names[-1] == "best_so_far"
    assert names[1].startswith("0002-protonet-conv4-")
    events = EventAccumulator(str(folder / names[1])).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (50, pytest.approx(1.2)),
        (100, pytest.approx(0.8)),
    ]
    best = EventAccumulator(str(folder / "best_so_far")).Reload().Scalars("accuracy")
    assert [event.value for event in best] == [pytest.approx(0.7), pytest.approx(0.75)]


@needs_tensorboard
def test_the_same_records_give_the_same_events(large: Records, tmp_path: Path) -> None:
    first, second = (export(large, "tensorboard", tmp_path / name) for name in ("a", "b"))
    files = [path.relative_to(first) for path in sorted(first.rglob("*")) if path.is_file()]
    assert len(files) > 250
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="MLflow is not installed: metaloop[mlflow]"
)
needs_wandb = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="wandb is not installed: metaloop[wandb]"
)


def logged(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file: 7 bytes, then LevelDB's log format in blocks of 32 KiB."""
    content, place, record = path.read_bytes(), 7, b""
    assert content.startswith(b":W&B")
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""


@needs_mlflow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # MLflow's own, of libraries that it uses
def test_mlflow_reads_the_experiment(bench: Any, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    parent = bench.add("protonet", 0.6)
    bench.add("protonet", 0.7, [parent], "plan: x", rate=0.01, options={"scale": True})
    bench.add("ridge", None, status="diverged", message="nan", net="mlp")
    bench.add("maml", None, status="running", rate=0.5)
    path = export(bench.records(), "mlflow", tmp_path / "mlflow.db")
    assert [each.name for each in tmp_path.glob("*.db*")] == ["mlflow.db"]
    client = MlflowClient(tracking_uri=f"sqlite:///{path}")
    experiment = client.get_experiment_by_name("run")
    assert experiment.tags["metric"] == "accuracy"
    runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda r: r.info.run_name)
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED", "FAILED"]
    second = runs[1]
    assert second.data.params["plan.learning_rate"] == "0.01"
    assert second.data.params["learner"] == "protonet"
    assert second.data.metrics["search"] == 0.7
    assert second.data.tags["operator"] == "plan: x" and second.data.tags["parents"] == parent
    history = client.get_metric_history(second.info.run_id, "accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(100, 0.7)]
    assert runs[2].data.tags["message"] == "nan"
    with pytest.raises(OutputError, match="MLflow cannot write"):
        send(bench.records(), "mlflow", f"sqlite:///{path}")  # an experiment of this name is there


@needs_wandb
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # wandb's own, of libraries that it uses
def test_wandb_reads_the_offline_runs(bench: Any, tmp_path: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    bench.add("protonet", 0.6)
    bench.add("protonet", 0.7, rate=0.01)
    folder = export(bench.records(), "wandb", tmp_path / "runs")
    read: dict[str, dict[str, Any]] = {}
    for run in sorted(folder.iterdir()):
        assert {path.name for path in run.iterdir()} <= {f"run-{run.name[-8:]}.wandb", "files"}
        facts: dict[str, Any] = {"config": {}, "history": [], "summary": {}}
        (file,) = run.glob("*.wandb")
        name = ""
        for data in logged(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                name = record.run.display_name
                assert record.run.run_group == "run" and record.run.project == "metaloop"
                assert record.run.host == "metaloop"  # not the name of this machine
                for item in record.run.config.update:
                    facts["config"][item.key] = json.loads(item.value_json)
            if record.HasField("history"):
                items = record.history.item
                row = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in items}
                facts["history"].append(row)
            if record.HasField("summary"):
                for item in record.summary.update:
                    key = item.key or item.nested_key[0]
                    facts["summary"][key] = json.loads(item.value_json)
        read[name] = facts
    second = next(facts for name, facts in read.items() if name.startswith("0002 "))
    assert second["config"]["plan.learning_rate"] == 0.01
    assert second["summary"]["search"] == 0.7 and second["summary"]["status"] == "finished"
    told = [(row["_step"], row.get("accuracy")) for row in second["history"]]
    assert told == [(50, None), (100, 0.7)]  # the first has a loss alone
    best = read["best so far"]["history"]
    assert best[-1]["accuracy"] == 0.7  # of several in one second the last is what stays


def test_a_uri_is_for_mlflow_alone(small: Any) -> None:
    with pytest.raises(OutputError, match="csv is written to a path"):
        send(small.records(), "csv", "https://example.org")
