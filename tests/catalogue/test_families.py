"""DATA becomes a family: names, readings, models' formats, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metaloop.catalogue.families import FAMILIES, DataOptions, open_data
from metaloop.core.errors import DataError, EpisodeError, MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.tasks.kept import class_parts
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import Reading


def reading(features: int = 3) -> Reading:
    rows = np.random.default_rng(0).normal(size=(60, features))
    return read_arrays(rows, np.repeat(np.arange(12), 5), name="table")


def test_built_in_names_are_families() -> None:
    assert isinstance(open_data("sinusoid").family, SinusoidFamily)
    digits = open_data("digits")
    assert class_parts(digits.family)["train"]
    assert set(FAMILIES) == {"digits", "glyphs", "omniglot", "sinusoid", "synthetic_tables"}


def test_a_family_stays_what_it_is() -> None:
    family = SinusoidFamily()
    assert open_data(family).family is family


def test_a_wrong_name_is_neither_a_path_nor_a_family() -> None:
    with pytest.raises(DataError, match=r"no file or folder 'glyph'.*did you mean 'glyphs'"):
        open_data("glyph")


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing_here"):
        open_data(tmp_path / "nothing_here")


def test_inputs_of_another_shape_than_the_models_are_refused() -> None:
    model = InputFormat("vector", (4,), (0.0,) * 4, (1.0,) * 4)
    with pytest.raises(MetaloopError, match=r"shape \(4,\), table has \(3,\)"):
        open_data(reading(), input_format=model)


def test_a_models_format_replaces_the_measured_one() -> None:
    model = InputFormat("vector", (3,), (9.0,) * 3, (2.0,) * 3)
    assert open_data(reading(), input_format=model).family.input_format == model


def test_strict_refuses_what_would_be_left_out() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[::5] = rows[0]  # every class has this example
    doubled = read_arrays(rows, np.repeat(np.arange(12), 5), name="table")
    opened = open_data(doubled)
    assert sum(item.count for item in opened.left_out) > 0
    with pytest.raises(DataError, match="would be left out"):
        open_data(doubled, DataOptions(strict=True))


def test_parts_are_named_by_their_classes() -> None:
    parts = class_parts(open_data(reading()).family)
    assert sorted(name for names in parts.values() for name in names) == sorted(
        str(k) for k in range(12)
    )
    again = class_parts(open_data(reading(), parts=parts).family)  # type: ignore[arg-type]
    assert again == parts
    assert class_parts(SinusoidFamily()) == {}


def test_a_folder_wins_over_a_family_that_would_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "omniglot").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no images found"):
        open_data("omniglot")


def test_a_part_without_classes_says_where_they_are() -> None:
    family = open_data(reading(), parts={"train": ("of another data set",)}).family
    with pytest.raises(EpisodeError, match=r"part 'train' has no classes.*all in part 'test'"):
        family.spec(5, 1, part="train")
