"""Texts by the command line: none of these, names of classes, one label, lists without end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaloop.cli import texts

Command = Callable[..., Any]


def test_what_is_none_of_the_classes_is_rejected(
    command: Command, model_of_texts: Path, tmp_path: Path
) -> None:
    support, asked = tmp_path / "s.csv", tmp_path / "asked.txt"
    known = [
        f"{said} the {word}" for said in ("open", "clean", "mend") for word in ("window", "horse")
    ]
    support.write_text("text,label\n" + "\n".join(f"{text},{text.split()[-1]}" for text in known))
    asked.write_text("clean the window\nfive theorems of algebra\nBerlin 1871\n")
    words = ("predict", model_of_texts, asked, "--support", support, "--reject")

    rows = {rate: command(*words, rate, "--json").json["predictions"] for rate in ("1%", "50%")}

    for own, *others in rows.values():
        assert own["nearest"] == "window" and own["known"]
        assert own["evidence"] > max(other["evidence"] for other in others)
        for row in (own, *others):
            assert row["known"] == (row["evidence"] > row["threshold"])
            assert row["label"] == (row["nearest"] if row["known"] else None)
    assert rows["1%"][0]["threshold"] > rows["50%"][0]["threshold"]
    assert not all(row["known"] for row in rows["1%"])
    assert [line.split("\t")[0] for line in command(*words, "1%").out.splitlines()] == [
        row["label"] or "-" for row in rows["1%"]
    ]


def test_tasks_of_texts_are_asked_about_other_classes(
    command: Command, model_of_texts: Path, questions: Path, json_contract: Any
) -> None:
    asked = ("--open", "--ways", "2", "--shots", "2", "--queries", "2", "--episodes", "50")
    told = command("evaluate", model_of_texts, questions, *asked, "--json").json
    json_contract.check("evaluate", told)
    assert told["metric"] == "auroc" and told["value"] > 0.5
    assert {"recall", "false_alarms", "kept"} <= set(told["metrics"])
    assert "false_alarms_per_hour" not in told["metrics"]


def test_evaluate_and_learn_show_the_names_of_classes_if_asked(
    command: Command,
    model_of_texts: Path,
    questions: Path,
    tmp_path: Path,
    quick_catalogue: None,
) -> None:
    asked = ("--ways", "4", "--shots", "1", "--queries", "2", "--episodes", "60", "--json")
    plain = command("evaluate", model_of_texts, questions, *asked).json
    shown = command("evaluate", model_of_texts, questions, *asked, "--use-label-names").json
    assert shown["value"] > plain["value"]  # the names are the words of the questions
    assert shown["label_names"] and not plain["label_names"]
    out = tmp_path / "run"
    quick = ("--budget", "20steps", "--workers", "1", "--ways", "4", "--queries", "2", "--quiet")
    report = command("learn", questions, *quick, "--use-label-names", "--out", out, "--json").json
    assert report["test"]["value"] > 0.5


def test_one_label_alone_is_refused_in_one_line(
    command: Command, model_of_texts: Path, tmp_path: Path
) -> None:
    path = tmp_path / "one.csv"
    path.write_text("text,label\n" + "\n".join(f"text {n},same" for n in range(9)))
    for words in (
        ("data", path),
        ("learn", path, "--budget", "1s", "--quiet"),
    ):
        assert "class" in command(*words).error
    fitted = command("fit", model_of_texts, "--support", path, "--out", tmp_path / "x.metaloop")
    assert fitted.code == 0 and "one class alone, same: predict --reject" in fitted.err


def test_a_list_of_texts_is_read_in_the_memory_of_a_few_thousand(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("w") as file:
        file.writelines(f"{number} {'where is my parcel ' * 5}\n" for number in range(120_000))
    tracemalloc.start()

    count = sum(len(some) for _, some in texts.streamed_texts([path], None))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 120_000
    assert peak < 6 << 20  # the file has 12 MB, and its lines as strings 18


@pytest.mark.long
def test_many_texts_are_told_in_the_memory_of_few(
    command: Command, model_of_texts: Path, tmp_path: Path
) -> None:
    support, path = tmp_path / "s.csv", tmp_path / "long.txt"
    support.write_text("text,label\nthe window,window\nmy horse,horse\n")
    peaks = []
    for number in (5_000, 40_000):
        path.write_text("is the window open\na horse\n" * (number // 2))
        tracemalloc.start()
        told = command("predict", model_of_texts, path, "--support", support)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert told.out.count("\n") == number and "ms each" in told.err
        del told
    assert peaks[1] < peaks[0] + (12 << 20)  # what was printed, which the test itself holds
