"""A scenario as ASlib writes it, made small: what is read, what is learned, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from metaloop.core.errors import DataError
from metaloop.selecting.instances.judging import judged
from metaloop.selecting.instances.reading import described, is_scenario, read_scenario

DESCRIPTION = """scenario_id: SMALL
performance_measures:
    - runtime
maximize:
- false
performance_type:
    - runtime
algorithm_cutoff_time: 100
algorithm_cutoff_memory: '?'
feature_steps:
    Pre:
        provides:
            - size
    more:
        provides:
        - kind
        requires:
        - Pre
"""


def write(folder: Path, count: int = 60, informative: bool = True) -> Path:
    """Instances of which even ones are solved by `fast`, odd ones by `slow`, told by a feature."""
    folder.mkdir()
    (folder / "description.txt").write_text(DESCRIPTION)
    rng = np.random.default_rng(0)
    runs, values, costs, folds = [], [], [], []
    for place in range(count):
        even = place % 2 == 0
        for name, good in (("fast", even), ("slow", not even)):
            runs.append(f"'i {place}',1,{name},{20 if good else 100},{'ok' if good else 'timeout'}")
        told = even if informative else rng.random() < 0.5
        values.append(f"'i {place}',1,{rng.random():.3f},{'?' if place == 3 else float(told)}")
        costs.append(f"'i {place}',1,1.5,?")
        folds.append(f"'i {place}',1,{place // 2 % 5 + 1}")

    def arff(name: str, columns: str, rows: list[str]) -> None:
        header = "\n".join(f"@ATTRIBUTE {each}" for each in columns.split(", "))
        key = "@ATTRIBUTE instance_id STRING\n@ATTRIBUTE repetition NUMERIC"
        text = f"@RELATION r\n{key}\n{header}\n@DATA\n" + "\n".join(rows) + "\n"
        (folder / f"{name}.arff").write_text(text)

    arff(
        "algorithm_runs",
        "algorithm STRING, runtime NUMERIC, runstatus {ok|timeout}".replace("|", ","),
        runs,
    )
    arff("feature_values", "size NUMERIC, kind NUMERIC", values)
    arff("feature_costs", "Pre NUMERIC, more NUMERIC", costs)
    arff("cv", "fold NUMERIC", folds)
    return folder


def test_a_scenario_is_read_with_its_costs_limit_features_and_folds(tmp_path: Path) -> None:
    folder = write(tmp_path / "s")
    assert is_scenario(folder)
    made = read_scenario(folder)
    assert (made.name, made.limit, made.algorithms) == ("SMALL", 100.0, ("fast", "slow"))
    assert made.feature_names == ("size", "kind") and np.isnan(made.features[3, 1])
    np.testing.assert_array_equal(made.scores[:2], [[20.0, 1000.0], [1000.0, 20.0]])
    np.testing.assert_array_equal(made.feature_seconds, np.full(60, 1.5))
    assert sorted(np.unique(made.folds)) == [1, 2, 3, 4, 5]


def test_a_feature_that_tells_closes_nearly_the_whole_gap(tmp_path: Path) -> None:
    found = judged(read_scenario(write(tmp_path / "s")), trees=30)
    assert found.gap.closed > 0.9
    assert found.gave_up == 0 and set(found.chosen) == {"fast", "slow"}


def test_features_that_tell_nothing_do_little_harm(tmp_path: Path) -> None:
    found = judged(read_scenario(write(tmp_path / "s", informative=False)), trees=30)
    assert found.gap.low < 0.2 and found.gap.closed < 0.5


def test_descriptions_are_mappings_and_lists_by_indentation() -> None:
    about = described(DESCRIPTION)
    assert about["performance_type"] == ["runtime"] and about["algorithm_cutoff_memory"] == "?"
    assert about["feature_steps"] == {
        "Pre": {"provides": ["size"]},
        "more": {"provides": ["kind"], "requires": ["Pre"]},
    }


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "s")
    (folder / "cv.arff").unlink()
    assert not is_scenario(folder)
    with pytest.raises(DataError, match=r"cv\.arff is missing"):
        read_scenario(folder)


def test_run_times_without_a_limit_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "s")
    text = DESCRIPTION.replace("algorithm_cutoff_time: 100", "algorithm_cutoff_time: '?'")
    (folder / "description.txt").write_text(text)
    with pytest.raises(DataError, match="positive number of seconds"):
        read_scenario(folder)


def test_an_instance_without_a_fold_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "s")
    lines = (folder / "cv.arff").read_text().splitlines()
    (folder / "cv.arff").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(DataError, match="2 instances no fold"):
        read_scenario(folder)
