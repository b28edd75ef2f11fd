"""Documents with summaries as they are found: tables, folders, parts, and what is no such data."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.errors import DataError
from metaloop.tasks.documents import REPEATS, TWICE, dealt
from metaloop.tasks.readers import read
from metaloop.tasks.readers.languages import language_of
from metaloop.tasks.readers.sentences import (
    as_document,
    beginning,
    is_dialogue,
    number_of_words,
    sentences_in,
)
from metaloop.tasks.readers.summaries import (
    BETWEEN,
    DOCUMENT,
    KIND,
    REFERENCES,
    document_of,
)

pytest.importorskip("sentencex", reason="needs metaloop[summaries]: sentencex")


def references(path: Path) -> list[str]:
    inputs = read(path).store.inputs
    assert isinstance(inputs, dict)
    return [text.replace(BETWEEN, "|") for text in inputs[REFERENCES].take(slice_of(inputs))]  # type: ignore[union-attr]


def documents(path: Path) -> list[str]:
    inputs = read(path).store.inputs
    assert isinstance(inputs, dict)
    return list(inputs[DOCUMENT].take(slice_of(inputs)))  # type: ignore[union-attr]


def slice_of(inputs: dict[str, object]) -> object:
    import torch

    return torch.arange(len(inputs[REFERENCES]))  # type: ignore[arg-type]


def test_columns_are_told_by_their_names_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text(
        "id,article,highlights,section\n"
        + "".join(f"{i},First thing {i}. Second thing.,A thing,sport\n" for i in range(4))
    )
    found = read(file)
    assert found.kind == KIND and len(found.store) == 4
    assert "document 'article', summary 'highlights', domain 'section'" in found.notes[0]


def test_a_summary_may_be_a_list_or_in_several_columns(tmp_path: Path) -> None:
    listed, apart = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    listed.write_text('{"document": "One. Two.", "summary": ["x y", "z"]}\n' * 2)
    apart.write_text('{"dialogue": "A: b\\nB: c", "summary1": "x y", "summary2": "z"}\n' * 2)
    assert references(listed) == references(apart) == ["x y|z"] * 2


def test_given_sentences_stay_and_others_are_split() -> None:
    assert as_document("Profits of Acme Inc. rose 7.5%. It sold more.").count("\n") == 1
    assert as_document("#Person1#: Hi. You?\n#Person2#: Fine.").split("\n")[0].endswith("You?")
    assert is_dialogue(["Ann: hello", "Ben: hi"]) and not is_dialogue(["Note: this", "and that"])


def test_dialogues_that_are_lists_become_turns(tmp_path: Path) -> None:
    turns = [{"speaker": "Ann", "text": "Hello.  How are you?"}, {"speaker": "Ben", "text": ""},
             {"speaker": "Ben", "text": "Fine. And you?"}, {"text": "They laugh."}]  # fmt: skip
    others = [{"role": "user", "content": "Hi."}, {"role": "system", "content": "Hi to you."}]
    rows = [{"dialogue": turns, "summary": "All fine."}, {"dialogue": others, "summary": "Hi."}]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert documents(file) == [
        "Ann: Hello. How are you?\nBen: Fine. And you?\nThey laugh.",
        "user: Hi.\nsystem: Hi to you.",
    ]


@pytest.mark.parametrize(
    "odd", [[1, 2], [["a"]], [{"who": "Ann"}], ["a", {"text": "b"}], [{"text": 3}], [None]]
)
def test_lists_of_anything_else_are_no_documents(odd: list[Any], tmp_path: Path) -> None:
    rows = [{"document": odd, "summary": "x y"}, {"document": ["One.", "Two."], "summary": "x y"}]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = read(tmp_path / "a.jsonl")
    assert len(found.store) == 1
    (left,) = found.left_out
    assert left.what == "row 1" and "has sentences, or turns with speaker and text" in left.reason
    (tmp_path / "b.jsonl").write_text(f"{json.dumps(rows[0])}\n")
    with pytest.raises(DataError, match="turns with speaker and text") as error:
        read(tmp_path / "b.jsonl", columns={"document": "document", "summary": "summary"})
    assert "\n" not in str(error.value)


def test_what_only_begins_like_a_list_is_a_text(tmp_path: Path) -> None:
    assert document_of("[1] According to them it is so. It is.").count("\n") == 1
    assert document_of('["One.", "Two."]') == "One.\nTwo."


def test_a_mixed_table_with_empty_rows_counts_them(tmp_path: Path) -> None:
    rows = [
        {"document": "One. Two.", "summary": "x"},
        {"document": "", "summary": "x"},
        {"document": ["One.", "Two."], "summary": ["x", "y"]},
        {"document": "Three.", "summary": "  "},
        {"document": None, "summary": "x"},
        {"document": [], "summary": "x"},
        {"document": "Three.", "summary": []},
        {"document": "<p>Three.</p>", "summary": "x"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = read(tmp_path / "a.jsonl")
    assert len(found.store) == 3
    counted = {item.reason: item.count for item in found.left_out}
    assert counted == {"a: document is empty": 3, "a: summary is empty": 2}


def test_parquet_has_documents_as_texts_lists_and_turns(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pip install 'metaloop[tables]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    turns = [[{"speaker": "Ann", "text": "Hello."}, {"speaker": "Ben", "text": "Bye."}]] * 2
    for name, column, said in (
        ("texts", ["One thing. Two things."] * 2, "One thing.\nTwo things."),
        ("lists", [["One thing.", "Two things."]] * 2, "One thing.\nTwo things."),
        ("turns", turns, "Ann: Hello.\nBen: Bye."),
    ):
        file = tmp_path / f"{name}.parquet"
        table = arrow.table({"document": column, "summary": [["x y", "z"], ["x"]]})
        parquet.write_table(table, file)
        assert documents(file) == [said] * 2
        assert references(file) == ["x y|z", "x"]


@pytest.mark.parametrize(
    ("text", "language", "sentences"),
    [
        ("Profits of Acme Inc. rose and that is what the owners of it want. It sold.", "en", 2),
        ("Das ist z. B. ein Satz von Dr. Meier. Er kam am 3. Mai nach Bonn und blieb.", "de", 2),
        ("El Sr. López vino con la Sra. Pérez y los niños. Fin de la historia.", "es", 2),
        ("Это правда, что он пришёл. Потом ушёл.", "ru", 2),
        ("これは一つ目の長い文章です。そしてこれが二つ目の文章です。", "ja", 2),
        ("你好世界。今天天气很好。我们去公园散步吧！", "zh", 3),
        ("यह एक वाक्य है। यह दूसरा है।", "hi", 2),
        ("Barbo lenco tikdo movfo rasgo dunho. Barco lendo.", "en", 2),
        ("", "en", 0),
    ],
)
def test_sentences_end_by_the_rules_of_the_language_of_the_text(
    text: str, language: str, sentences: int
) -> None:
    assert language_of(text) == language
    assert len(sentences_in(text)) == sentences


def test_two_megabytes_in_one_line_are_read_with_and_without_signs() -> None:
    for text in ("some words of it " * 120_000, "Some words of it. " * 120_000):
        start = time.process_time()
        found = sentences_in(text)
        assert time.process_time() - start < 20
        assert sum(map(number_of_words, found)) == 480_000
        assert max(map(number_of_words, found)) <= 120


def test_the_beginning_of_a_sentence_is_never_empty() -> None:
    assert beginning("One two, three four.", 2) == "One two…"
    assert beginning("One two three.", 0) == "On…"
    assert beginning("是" * 100, 3) == "是" * 6 + "…"
    assert beginning("是" * 100 + " and, more", 51) == "是" * 100 + " and…"


def test_a_labelled_table_of_texts_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    lines = [f"some text of number {i},class {i % 9}" for i in range(36)]
    file.write_text("text,target\n" + "\n".join(lines) + "\n")
    assert read(file, columns={"text": "text", "label": "target"}).kind == "table, texts"


def test_folders_of_pairs_are_read_both_ways(tmp_path: Path) -> None:
    for top, text in (("News Articles", "One thing. Two things."), ("Summaries", "One thing.")):
        for name in ("a", "b", "c"):
            place = tmp_path / "two" / top / "sport" / f"{name}.txt"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    (tmp_path / "beside").mkdir()
    for name in ("a", "b"):
        (tmp_path / "beside" / f"{name}.txt").write_text("One thing. Two things.")
        (tmp_path / "beside" / f"{name}.summary.txt").write_text("One thing.")
    (tmp_path / "beside" / "alone.txt").write_text("Nobody knows.")
    two, beside = read(tmp_path / "two"), read(tmp_path / "beside")
    assert len(two.store) == 3 and two.store.classes[0].name == "sport"
    assert len(beside.store) == 2 and beside.left_out[0].reason == "a file without a partner"


def test_a_document_may_have_several_files_of_summaries_either_way(tmp_path: Path) -> None:
    files = {
        "two/articles/a.txt": "Of a. Another.", "two/articles/b.txt": "Of b. Another.",
        "two/articles/c_summary.txt": "Of c. Another.", "two/articles/a.text": "Of no pair.",
        "two/summaries/a.summary2.txt": "second", "two/summaries/a.summary1.txt": "first",
        "two/summaries/a.txt": "plain", "two/summaries/b_reference.txt": "of b",
        "two/summaries/c_summary.txt": "of c",
        "beside/a.txt": "Of a. Another.", "beside/a.summary1.txt": "first",
        "beside/a.summary2.txt": "second", "beside/b.txt": "Of b. Another.",
        "beside/b.summary.txt": "of b", "beside/b.text": "Of no pair.",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert references(tmp_path / "two") == ["first|second|plain", "of b", "of c"]
    assert references(tmp_path / "beside") == ["first|second", "of b"]
    for folder in ("two", "beside"):
        assert [item.count for item in read(tmp_path / folder).left_out] == [1]


def test_files_of_a_folder_are_the_parts_that_their_names_say(tmp_path: Path) -> None:
    for part, count in (("train", 40), ("dev", 12), ("test", 10)):
        lines = [
            f'{{"document": "{part} thing {i}. Another.", "summary": "thing {i}"}}\n'
            for i in range(count)
        ]
        (tmp_path / f"set.{part}.jsonl").write_text("".join(lines))
    (tmp_path / "set.hidden.test.jsonl").write_text('{"document": "No summary here."}\n')
    found = read(tmp_path)
    assert found.left_out[0].reason == "a table without documents and summaries"
    parted = dealt(found)
    sizes = {
        part: len(parted.store.examples_of[groups[0]]) for part, groups in parted.parts.items()
    }
    assert sizes["train"] == 40 and sizes["test"] == 10
    assert sizes["search"] + sizes["promotion"] == 12 and parted.by_document


def test_with_enough_domains_parts_share_none(tmp_path: Path) -> None:
    lines = [
        f'{{"document": "Thing {i}. Another.", "summary": "thing", "topic": "t{i % 10}"}}\n'
        for i in range(100)
    ]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    parted = dealt(read(tmp_path / "a.jsonl"))
    names = [{parted.store.classes[i].name for i in groups} for groups in parted.parts.values()]
    assert not parted.by_document and sum(map(len, names)) == len(set().union(*names)) == 10


def test_a_repeat_is_on_one_side_and_a_document_has_its_part_wherever_it_is(tmp_path: Path) -> None:
    lines = [f'{{"document": "Thing {i}. Another.", "summary": "thing {i}"}}\n' for i in range(80)]
    (tmp_path / "a.jsonl").write_text("".join(lines + lines[:20]))
    (tmp_path / "b.jsonl").write_text("".join(reversed(lines)))
    one, other = dealt(read(tmp_path / "a.jsonl")), dealt(read(tmp_path / "b.jsonl"))
    assert dict(zip(one.hashes.tolist(), one.part_of.tolist(), strict=True)) == dict(
        zip(other.hashes.tolist(), other.part_of.tolist(), strict=True)
    )
    assert not any(item.reason == REPEATS for item in one.left_out) and len(one.store) == 80


def test_a_document_is_once_in_a_task_with_all_that_was_said_of_it(tmp_path: Path) -> None:
    pytest.importorskip("rouge_score", reason="needs metaloop[summaries]: rouge-score")
    few = [f"small {i % 3}" if i < 30 else "large" for i in range(90)]  # the small ones are joined
    rows = [
        {"document": f"Thing {i}. Another.", "summary": f"thing {i}", "topic": few[i]}
        for i in range(90)
    ]
    again = [{**row, "summary": ["another", row["summary"]], "topic": f"small {i % 2}"}
             for i, row in enumerate(rows[:30])]  # fmt: skip
    spaced = [{**row, "document": f"  {row['document']} "} for row in rows[30:60]]
    (tmp_path / "a.jsonl").write_text(
        "".join(f"{json.dumps(row)}\n" for row in [*rows, *again, *spaced])
    )
    found = dealt(read(tmp_path / "a.jsonl"))
    (twice,) = found.left_out
    assert twice.reason == TWICE and twice.count == 60 and twice.what.startswith("document 91")
    assert len(found.store) == len(found.hashes) == len({*found.hashes.tolist()}) == 90
    assert isinstance(found.store.inputs, dict)
    said = found.store.inputs[REFERENCES].all()  # type: ignore[union-attr]
    assert said[:30] == tuple(BETWEEN.join((f"thing {i}", "another")) for i in range(30))
    assert said[30:] == tuple(f"thing {i}" for i in range(30, 90))
    family: Any = open_data(tmp_path / "a.jsonl", DataOptions()).family
    texts = family.raw.inputs[DOCUMENT].all()
    episodes = family.sample("train", family.spec(0, 3, 9, "train"), 50, np.random.default_rng(0))
    for task in range(50):
        sides = [
            side.examples[task][side.mask[task]] for side in (episodes.support, episodes.query)
        ]
        shown, asked = ({texts[row] for row in rows.tolist()} for rows in sides)
        assert not shown & asked


def test_documents_are_counted_once_where_there_have_to_be_enough(tmp_path: Path) -> None:
    line = '{{"document": "Thing {0}. Another.", "summary": "thing {0}", "topic": "t{1}"}}\n'
    few, many = tmp_path / "few.jsonl", tmp_path / "many.jsonl"
    few.write_text("".join(line.format(i % 20, 0) for i in range(200)))
    with pytest.raises(DataError, match="has 20 documents with summaries"):
        dealt(read(few))
    many.write_text("".join(line.format(i % 60, i % 10) for i in range(120)))  # six a topic
    assert dealt(read(many)).by_document


def test_a_repeat_in_another_published_part_stays_in_the_first_of_them(tmp_path: Path) -> None:
    for part, start in (("train", 0), ("test", 30)):
        lines = [
            f'{{"document": "Thing {i}. Another.", "summary": "{part} {i}"}}\n'
            for i in range(start, start + 40)
        ]
        (tmp_path / f"set.{part}.jsonl").write_text("".join(lines))
    found = dealt(read(tmp_path))
    assert [(item.reason, item.count) for item in found.left_out] == [(REPEATS, 10)]
    assert isinstance(found.store.inputs, dict)
    assert not any(BETWEEN in text for text in found.store.inputs[REFERENCES].all())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (['{"document": "", "summary": "x"}'] * 3, "no document has a summary"),
        (['{"document": "One. Two.", "summary": ""}'] * 3, "no document has a summary"),
    ],
)
def test_rows_without_either_are_counted_and_nothing_left_is_an_error(
    rows: list[str], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=said):
        read(file)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"body": "One. Two.", "note": "x"}\n')
    with pytest.raises(DataError, match="no summary among them; name it"):
        read(file, columns={"document": "body"})


def test_odd_documents_become_sentences_all_the_same() -> None:
    body = "<body><p>One thing.</p><p>Two &amp; more.</p></body>"
    page = f"<html><head><style>p{{}}</style></head>{body}</html>"
    assert as_document(page) == "One thing.\nTwo & more."
    assert as_document("你好世界。今天天气很好。我们去公园散步吧！").count("\n") >= 1
    assert as_document("   \n ") == "" and as_document("One") == "One"
    page = (
        "<p>Seen.</p><SCRIPT>if (a<b) '</p>'</script ><p>Too.</p><style>never closed <p>Last.</p>"
    )
    assert as_document(page) == "Seen.\nToo.\nnever closed\nLast."
    endless = as_document("word " * 400)
    assert all(number_of_words(line) <= 120 for line in endless.split("\n"))
    assert sum(map(number_of_words, endless.split("\n"))) == 400


def test_a_page_of_nothing_but_beginnings_is_read_in_no_time() -> None:
    page = "<html><body>" + "<script>" * 100_000 + "Some words.</body></html>"
    start = time.process_time()
    assert as_document(page) == "Some words."
    assert time.process_time() - start < 5  # a search for the end of each takes minutes


def test_words_of_scripts_without_spaces_are_two_letters() -> None:
    assert number_of_words("これは文章です。") == 3 and number_of_words("是") == 1
    assert number_of_words("今天天气很好 and some more") == 6
    assert number_of_words("Donaudampfschifffahrtsgesellschaftskapitänsmütze fährt") == 2
    assert number_of_words("저는 학교에 갑니다") == 3 and number_of_words("   ") == 0
