"""Summaries as a user types them: lengths, several inputs, odd documents, a summary too long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.made_documents import rows, write

import metaloop as ml
from metaloop.cli import run as run_command

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str]) -> Typed:
    """Returns what runs a command: exit code, stdout and stderr."""

    def command(*words: Any) -> tuple[int, str, str]:
        code = run_command([str(word) for word in words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def adapted(fitted: Any, tmp_path: Path) -> Path:
    """A model file that knows its five pairs."""
    path = tmp_path / "adapted.metaloop"
    fitted.save(path)
    return path


def test_empty_rows_and_files_are_left_out_and_counted(
    typed: Typed, adapted: Path, tmp_path: Path
) -> None:
    asked = rows(2, seed=3)
    table = write(tmp_path / "some.jsonl", [
        {"document": ""}, asked[0], {"document": [1, 2]}, {"document": " "}, asked[1],
    ])  # fmt: skip
    code, out, err = typed("predict", adapted, table, "--sentences", 1)
    assert code == 0 and out.splitlines() == [each["summary"] for each in asked]
    assert "left out: 2 x has no word in 'document'" in err and "row 1" in err and "row 4" in err
    assert "left out: 1 x a document that is a list has sentences, or turns" in err
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in (("a", "We show that it is so."), ("b", ""), ("c", "Other words are here.")):
        (folder / f"{name}.txt").write_text(text)
    code, out, err = typed("predict", adapted, folder, "--json")
    assert code == 0 and len(json.loads(out)["predictions"]) == 2
    assert "left out: 1 x has no word in it" in err and "b.txt" in err
    files = [folder / f"{name}.txt" for name in "abc"]
    code, out, err = typed("predict", adapted, *files)
    assert code == 0 and len(out.splitlines()) == 2 and "b.txt' has no word in it" in err
    code, out, err = typed("predict", adapted, files[1])
    assert code == 2 and out == "" and err.count("\n") == 1 and "has no word in it" in err
    nothing = write(tmp_path / "nothing.jsonl", [{"document": ""}, {"document": " "}])
    code, out, err = typed("predict", adapted, nothing, "--columns", "document=document")
    assert code == 2 and out == "" and err.count("\n") == 1


def test_columns_of_the_pairs_need_not_be_in_what_is_summarised(
    typed: Typed, model_file: Path, adapted: Path, tmp_path: Path
) -> None:
    pairs = write(
        tmp_path / "pairs.jsonl",
        [{"body": r["document"], "gist": r["summary"], "desk": "a"} for r in rows(5, seed=1)],
    )
    asked = rows(2, seed=3)
    new = write(tmp_path / "new.jsonl", [{"body": row["document"], "x": 1} for row in asked])
    named = ("--columns", "document=body,summary=gist,domain=desk")
    code, out, err = typed("predict", model_file, "--support", pairs, new, *named)
    assert code == 0 and out.splitlines() == [row["summary"] for row in asked], err
    for columns, said in (
        ("document=gone", "no column 'gone' for the role 'document'"),
        ("document=body,label=x", "label"),
        ("document=body,label=gone", "label"),
        ("document=body,summary=body", "two roles"),
    ):
        code, out, err = typed("predict", adapted, new, "--columns", columns)
        assert code == 2 and out == "" and said in err and err.count("\n") == 1


def test_a_folder_of_one_pair_is_a_support_and_of_a_folder_of_pairs_documents_are_summarised(
    typed: Typed, model_file: Path, adapted: Path, tmp_path: Path
) -> None:
    (row,) = rows(1, seed=3)
    place = tmp_path / "pairs"
    place.mkdir()
    (place / "a.txt").write_text(" ".join(row["document"]))  # type: ignore[arg-type]
    (place / "a.summary.txt").write_text(str(row["summary"]))
    code, out, err = typed("predict", model_file, "--support", place, place)
    assert code == 0 and len(out.splitlines()) == 1, err
    (place / "b.summary.txt").write_text("Nobody knows of what this is a summary.")
    code, out, err = typed("predict", adapted, place, "--json")
    assert code == 0, err
    told = json.loads(out)["predictions"]
    assert [Path(each["input"]).name for each in told] == ["a.txt", "b.summary.txt"]
    assert "left out: 1 x is the summary of another" in err and "a.summary.txt" in err
    code, out, _ = typed("predict", adapted, place / "a.summary.txt")
    assert code == 0 and out.strip() == row["summary"]


def test_json_says_of_each_document_whether_it_was_cut_or_is_there_whole(
    typed: Typed, adapted: Path, tmp_path: Path, json_contract: Any
) -> None:
    texts = ["We show it.", "One sentence. " + "Another " * 40 + "one.", "word " * 40 + "end."]
    table = write(tmp_path / "some.jsonl", [{"document": text} for text in texts])
    code, out, err = typed("predict", adapted, table, "--words", 6, "--json")
    assert code == 0, err
    json_contract.check("predict", json.loads(out))
    told = json.loads(out)["predictions"]
    assert [(each["whole"], each["cut"]) for each in told] == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip


def test_lengths_and_references_are_asked_for_in_every_command(
    typed: Typed, documents_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ratio.metaloop"
    few = ("--shots", 3, "--queries", 3, "-q")
    words = ("--learner", "lead", "--ratio", 0.3, "--out", out, *few)
    code, _, err = typed("train", documents_file, *words)
    assert code == 0, err
    article = tmp_path / "a.txt"
    article.write_text(" ".join(f"Word {n} of this is so." for n in range(10)))
    support = write(tmp_path / "pairs.jsonl", rows(5, seed=1))
    asked = ("predict", out, "--support", support, article)
    code, text, err = typed(*asked)
    assert code == 0 and text.strip() == " ".join(f"Word {n} of this is so." for n in range(3)), err
    assert len(typed(*asked, "--ratio", 0.6)[1].split()) == 36
    assert len(typed(*asked, "--words", 13)[1].split()) == 12
    assert len(typed(*asked, "--sentences", 4)[1].split()) == 24
    values = {}
    for length in (("--words", 8), ("--sentences", 2), ("--ratio", 0.5)):
        code, text, err = typed("evaluate", out, documents_file, *length, "--episodes", 8, "--json")
        assert code == 0, err
        values[length[0]] = json.loads(text)["value"]
    assert len(set(values.values())) == 3
    several = [{**row, "summary": [row["summary"], "nothing of it"]} for row in rows(60, seed=6)]
    table = write(tmp_path / "several.jsonl", several)
    told = []
    for how in ("mean", "best"):
        words = ("--references", how, "--episodes", 8, "--sentences", 1, "--json")
        code, text, err = typed("evaluate", out, table, *words)
        assert code == 0, err
        told.append(json.loads(text)["metrics"]["rouge1_oracle"]["value"])
    assert told == [pytest.approx(0.5, abs=0.05), pytest.approx(1.0)]
    code, _, err = typed("predict", *asked[1:], "--words", 4, "--ratio", 0.5)
    assert code == 2 and "an extract has one length" in err
    code, _, err = typed("evaluate", out, table, "--ratio", 1.5)
    assert code == 2 and "above 0 and at most 1" in err


@pytest.mark.parametrize("text", ["some words of it " * 120_000, "Some words of it. " * 120_000])
def test_two_megabytes_of_words_in_one_line_have_a_summary(
    text: str, typed: Typed, adapted: Path, tmp_path: Path
) -> None:
    (tmp_path / "large.txt").write_text(text)
    code, out, err = typed("predict", adapted, tmp_path / "large.txt", "--words", 60)
    assert code == 0 and 0 < len(out.split()) <= 60, err


def test_a_summary_that_is_longer_than_its_document_can_be_learned_from(
    typed: Typed, tmp_path: Path
) -> None:
    table = [
        {"document": f"Short thing {n}. Other {n}.", "summary": f"A long summary of {n} " * 9}
        for n in range(60)
    ]
    data, out = write(tmp_path / "long.jsonl", table), tmp_path / "long.metaloop"
    words = ("--learner", "sentence_ridge", "--budget", "3steps", "--shots", 3, "--queries", 3)
    code, _, err = typed("train", data, *words, "--out", out, "-q")
    assert code == 0, err
    pairs = write(tmp_path / "pairs.jsonl", table[:5])
    code, _, err = typed("fit", out, "--support", pairs, "--out", tmp_path / "fitted.metaloop")
    assert code == 0, err
    (tmp_path / "a.txt").write_text("Short thing 99. Other 99.")
    code, printed, err = typed("predict", tmp_path / "fitted.metaloop", tmp_path / "a.txt")
    assert code == 0 and printed == "Short thing 99. Other 99.\n" and "all of it" in err


def test_dialogues_are_taken_from_python_and_lists_of_others_are_refused(fitted: Any) -> None:
    turns = [{"speaker": "Ann", "text": "We show that it is so."}, {"speaker": "B", "text": "Oh."}]
    assert fitted.predict([turns]).tolist() == ["Ann: We show that it is so."]
    for odd in ([1, 2], [{"who": "Ann"}], {"text": "a"}, 7):
        with pytest.raises(ml.MetaloopError, match=r"X\[0\] is a"):
            fitted.predict([odd])
