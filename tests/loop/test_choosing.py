"""The benchmark of choosing: exact expectations, its one line without data, and its numbers."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from metaloop.core.randomness import numpy_stream

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "choosing.py"


@pytest.fixture(scope="module")
def choosing() -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("benchmark_of_choosing", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_matrix(path: Path, numbers: np.ndarray) -> None:
    """Writes a matrix in the format of OBOE."""
    header = "," + ",".join(f"\"{{'algorithm': 'A', 'n': {n}}}\"" for n in range(numbers.shape[1]))
    lines = [",".join(map(str, (index, *row))) for index, row in enumerate(numbers)]
    path.write_bytes(gzip.compress("\n".join([header, *lines, ""]).encode()))


def test_random_search_has_the_mean_over_all_draws(choosing: ModuleType) -> None:
    errors = numpy_stream(0, "errors").random((2, 17))
    expected = choosing.best_of_random(errors)
    for column, tried in enumerate(choosing.TRIED[:3]):
        draws = np.array(list(itertools.combinations(range(17), tried)))
        np.testing.assert_allclose(expected[:, column], errors[:, draws].min(axis=2).mean(axis=1))


def test_every_data_set_is_held_out_once_in_a_repeat(choosing: ModuleType) -> None:
    folds = list(choosing.fold_members(43, seed=0, repeat=3))
    assert sorted(np.concatenate(folds).tolist()) == list(range(43))


def test_without_data_there_is_one_line_and_exit_code_2() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "METALOOP_SHARED_DATA"}
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "METALOOP_SHARED_DATA" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "methods", "columns"),
    [
        (["--repeats", "2"], ["random", "best on average", "portfolio", "adaptive"], "1 4 8 16"),
        (["--equal-time"], ["portfolio", "adaptive", "adaptive per second"], "1 2 4"),
    ],
)
def test_json_is_one_object_with_every_method_and_a_table_is_printed_else(
    choosing: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    methods: list[str],
    columns: str,
) -> None:
    rng = numpy_stream(0, "errors")
    folder = tmp_path / "oboe_error_matrix"
    folder.mkdir()
    write_matrix(folder / "error_matrix.csv.gz", rng.random((30, 20)))
    write_matrix(folder / "runtime_matrix.csv.gz", rng.random((30, 20)))
    monkeypatch.setattr(sys, "argv", ["choosing.py", str(folder), *arguments, "--json"])
    choosing.main()
    result = json.loads(capsys.readouterr().out)
    for method in methods:
        assert list(result[method]) == columns.split()
        regrets = list(result[method].values())
        assert sorted(regrets, reverse=True) == regrets and regrets[-1] >= 0
    monkeypatch.setenv("METALOOP_SHARED_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["choosing.py", *arguments])
    choosing.main()
    table = capsys.readouterr().out
    assert all(f"| {method} | {result[method]['1']:.2f}" in table for method in methods)


@pytest.mark.long
def test_four_picks_beat_sixteen_random_ones_and_adaptive_picks_beat_the_portfolio(
    choosing: ModuleType, shared_data: Path
) -> None:
    matrix = choosing.read_matrix(shared_data / "oboe_error_matrix" / "error_matrix.csv.gz")
    result = choosing.figures(matrix, repeats=5, seed=0)
    assert result["portfolio"]["4"] <= 1.45
    for comparison in result["paired"].values():
        assert comparison["value"] + comparison["ci95"] < 0
