"""Which classes a backbone was trained on, as far as their names tell."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from metaloop.core.leagues import EncoderCard
from metaloop.core.pretraining import imagenet_1k, pretraining_json, seen_before, seen_sentence

CARD = EncoderCard("net", "images", 8, "0" * 16, knows="ImageNet-1k")
TABBY, DOG = "n02123045", "n02084071"  # a class of ImageNet-1k; one that only larger ones have


def counts(knows: str, *classes: str) -> tuple[int, int, int]:
    found = seen_before(replace(CARD, knows=knows), classes)
    assert found.classes == len(classes) == found.seen + found.others + found.not_known
    return found.seen, found.others, found.not_known


@pytest.mark.parametrize(
    ("knows", "classes", "told"),
    [
        ("ImageNet-1k", [TABBY, DOG, "cat"], (1, 1, 1)),
        ("imagenet-1k", [TABBY, DOG], (1, 1, 0)),
        ("ILSVRC/imagenet-1k", [TABBY, DOG], (1, 1, 0)),
        ("ImageNet-22k, ImageNet-1k", [TABBY, DOG], (1, 0, 1)),  # DOG may be among the others
        ("ImageNet-1k and a web of texts", [TABBY, DOG], (1, 0, 1)),
        ("someone/pictures, ILSVRC/imagenet-1k", [TABBY, DOG], (1, 0, 1)),
        ("mini-imagenet-1k", [TABBY, DOG], (0, 0, 2)),
        ("ImageNet-22k", [TABBY, DOG], (0, 0, 2)),
        ("unknown", [TABBY, "cat"], (0, 0, 2)),
        ("ImageNet-1k", [], (0, 0, 0)),
        ("ImageNet-1k", [f"animals/{TABBY}_tabby", f"{TABBY}0", "n0212304"], (1, 0, 2)),
    ],
)
def test_names_tell_what_was_seen_where_they_are_numbers_of_wordnet(
    knows: str, classes: list[str], told: tuple[int, int, int]
) -> None:
    assert counts(knows, *classes) == told


def test_a_sentence_counts_what_is_no_news_and_is_silent_where_nothing_is_known() -> None:
    told = [seen_before(CARD, [TABBY, DOG]), seen_before(replace(CARD, name="other"), ["cat"])]
    assert seen_sentence(told) == (
        "By their names 1 of the 2 classes of the test are among what net was trained on."
    )
    assert seen_sentence(told[1:]) == ""


def test_there_is_an_entry_for_each_backbone_and_none_without() -> None:
    assert pretraining_json([], [TABBY]) == []
    assert pretraining_json([CARD], [TABBY]) == [
        {
            "name": "net", "knows": "ImageNet-1k",
            "classes": 1, "seen": 1, "others": 0, "not_known": 0,
        }
    ]  # fmt: skip


def test_the_list_is_that_of_imagenet() -> None:
    assert len(imagenet_1k()) == 1000
    assert min(imagenet_1k()) == "n01440764" and max(imagenet_1k()) == "n15075141"
    found = find_spec("timm")
    if found is not None and found.origin is not None:
        names = Path(found.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
        assert not names.is_file() or imagenet_1k() == {*names.read_text().split()}
