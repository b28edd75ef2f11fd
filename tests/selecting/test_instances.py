"""A scenario as ASlib writes it, made small: what is read, what is learned, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from tests.scenarios import DESCRIPTION, write_scenario

from metaloop.core.errors import DataError
from metaloop.selecting.instances.judging import judged
from metaloop.selecting.instances.reading import described, is_scenario, read_scenario


def test_a_scenario_is_read_with_its_costs_limit_features_and_folds(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s")
    assert is_scenario(folder)
    made = read_scenario(folder)
    assert (made.name, made.limit, made.algorithms) == ("SMALL", 100.0, ("fast", "slow"))
    assert made.feature_names == ("size", "kind") and np.isnan(made.features[3, 1])
    np.testing.assert_array_equal(made.scores[:2], [[20.0, 1000.0], [1000.0, 20.0]])
    np.testing.assert_array_equal(made.feature_seconds, np.full(60, 1.5))
    assert sorted(np.unique(made.folds)) == [1, 2, 3, 4, 5]


def test_a_feature_that_tells_closes_nearly_the_whole_gap(tmp_path: Path) -> None:
    found = judged(read_scenario(write_scenario(tmp_path / "s")), trees=30)
    assert found.gap.closed > 0.9
    assert found.gave_up == 0 and set(found.chosen) == {"fast", "slow"}


def test_features_that_tell_nothing_do_little_harm(tmp_path: Path) -> None:
    found = judged(read_scenario(write_scenario(tmp_path / "s", informative=False)), trees=30)
    assert found.gap.low < 0.2 and found.gap.closed < 0.5


def test_descriptions_are_mappings_and_lists_by_indentation() -> None:
    about = described(DESCRIPTION)
    assert about["performance_type"] == ["runtime"] and about["algorithm_cutoff_memory"] == "?"
    assert about["feature_steps"] == {
        "Pre": {"provides": ["size"]},
        "more": {"provides": ["kind"], "requires": ["Pre"]},
    }


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s")
    (folder / "cv.arff").unlink()
    assert not is_scenario(folder)
    with pytest.raises(DataError, match=r"cv\.arff is missing"):
        read_scenario(folder)


def test_run_times_without_a_limit_are_refused(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s")
    text = DESCRIPTION.replace("algorithm_cutoff_time: 100", "algorithm_cutoff_time: '?'")
    (folder / "description.txt").write_text(text)
    with pytest.raises(DataError, match="positive number of seconds"):
        read_scenario(folder)


def test_an_instance_without_a_fold_is_refused(tmp_path: Path) -> None:
    folder = write_scenario(tmp_path / "s")
    lines = (folder / "cv.arff").read_text().splitlines()
    (folder / "cv.arff").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(DataError, match="2 instances no fold"):
        read_scenario(folder)
