"""Numbers are printed with their intervals, text without anything that steers."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.records import Choice
from metaloop.core.units import why_not_new
from metaloop.report.figures import (
    choice_text,
    estimate,
    figure,
    gain,
    intervals_text,
    printable,
    shortened,
    table_note,
    value_text,
)


@pytest.mark.parametrize(
    ("metric", "value", "ci95", "text"),
    [
        ("accuracy", 0.941, 0.004, "94.1 ± 0.4 %"),
        ("accuracy", 1.0, 0.0, "100.0 ± 0.0 %"),
        ("accuracy", 0.5, math.inf, "50.0 %"),
        ("accuracy", math.nan, 0.1, "not finite"),
        ("mse", 0.11312, 0.00418, "0.1131 ± 0.0042 mse"),
        ("mse", 0.0, math.nan, "0.000 mse"),
        ("mse", 1234.5, 12.0, "1234 ± 12 mse"),
    ],
)
def test_a_figure_is_printed_to_the_place_its_interval_reaches(
    metric: str, value: float, ci95: float, text: str
) -> None:
    assert estimate(metric, value, ci95) == text


def test_a_gain_has_a_sign() -> None:
    assert gain("accuracy", 0.021, 0.003) == "+2.1 ± 0.3 points"
    assert gain("accuracy", -0.021, 0.003) == "−2.1 ± 0.3 points"
    assert gain("mse", 0.5) == "+0.500 mse"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ci95_new": 0.0312, "units": 12}, "70.0 ± 1.0 % (± 3.1 new)"),
        ({"ci95_new": 0.3, "units": 12, "metric": "mse"}, "0.700 ± 0.010 mse (± 0.300 new)"),
        ({"ci95_new": None, "units": 1}, "70.0 ± 1.0 %"),
        ({"ci95_new": math.inf, "units": 2}, "70.0 ± 1.0 %"),
        ({"ci95_new": 0.01, "units": 200}, "70.0 ± 1.0 %"),  # each episode a function: the same
    ],
)
def test_the_interval_for_new_classes_stands_beside_that_on_these(
    changes: dict[str, Any], text: str, result: Any
) -> None:
    assert figure(result(0.7, **changes)) == text


def test_the_intervals_are_said_in_words(result: Any) -> None:
    both = intervals_text(result(0.7, ci95_new=0.03, units=12))
    assert "on these 12 classes" in both and "new classes of the family" in both
    assert "cannot be told" in intervals_text(result(0.7))
    assert "Each episode is a new task" in intervals_text(result(0.7, ci95_new=0.01, units=200))
    assert table_note([None, result(0.7)]) == ""


def test_why_there_is_no_interval_for_new_units_is_said(result: Any) -> None:
    assert why_not_new(result(0.7, ci95_new=0.03, units=12)) is None
    shared = result(0.4, metric="rouge1", units=1)
    assert "nothing is known of new domains" in intervals_text(shared)
    assert "over documents" in intervals_text(shared) and "these" not in intervals_text(shared)
    domains = intervals_text(result(0.4, metric="rouge1", ci95_new=0.03, units=12))
    assert "over documents" in domains and "these 12 are a sample" in domains
    alone = intervals_text(result(0.7, units=1))
    assert alone == "± is on this class; one class says nothing of others."


def test_a_table_says_what_its_second_intervals_are(result: Any) -> None:
    assert table_note([None, result(0.7, ci95_new=0.03, units=12)]) == (
        "± is on the classes of that part, (± new) for new classes of the family."
    )
    assert table_note([result(0.7, ci95_new=0.03, units=12, metric="rouge1")]) == (
        "± is over the documents of that part, (± new) for new domains of the family."
    )


@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_printable_never_steers(text: str) -> None:
    shown = printable(text)
    unseen = {character for character in shown if unicodedata.category(character)[0] == "C"}
    assert {unicodedata.category(character) for character in unseen} <= {"Cf", "Cn", "Co"}
    assert {c for c in unseen if unicodedata.category(c) == "Cf"} <= {"\u200c", "\u200d"}
    assert not set(shown) & {"\x1b", "\n", "\r", "\x00", "\u202e", "\u2066", "\x9b"}
    assert printable(shown) == shown
    shown.encode("utf-8")


@given(st.text(), st.integers(1, 50))
def test_what_is_shortened_fits(text: str, length: int) -> None:
    assert len(shortened(text, length)) <= length


def test_ordinary_names_of_all_scripts_stay_as_they_are() -> None:
    for name in ("ProtoNet", "Жук", "日本語", "می‌خواهم", "नमस्ते", "👩‍🔬", "a b", "x²"):
        assert printable(name) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.003, "0.003"),
        (True, "yes"),
        (None, "none"),
        ([], "none"),
        ([1, "a"], "1, a"),
        ({"name": "rotate", "options": {"degrees": 90}}, "rotate(degrees=90)"),
        ({"a": 1}, "a=1"),
    ],
)
def test_values_read_like_text(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_a_choice_is_a_name_with_its_options() -> None:
    assert choice_text(Choice("ridge")) == "ridge"
    assert choice_text(Choice("ridge", {"strength": 0.1, "norm": True})) == (
        "ridge(strength=0.1, norm=yes)"
    )
