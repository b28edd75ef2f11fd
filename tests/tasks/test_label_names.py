"""The name of a class in every support: shown beside its examples, and never asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop
from metaloop.api.figures import Figures
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.columns import Texts, take
from metaloop.core.errors import DataError
from metaloop.core.records import Choice
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.label_names import with_label_names
from metaloop.tasks.recognising import seen_of
from metaloop.tasks.store import ClassInfo, Reading, Store

CLASSES, EACH = 12, 5


def family(named: str = "card_{}") -> ClassFamily:
    words = [f"{colour}_{kind}" for colour in ("red", "blue", "grey") for kind in "abcd"]
    texts = [f"example {k} about {word}" for word in words for k in range(EACH)]
    infos = tuple(ClassInfo(named.format(word)) for word in words)
    store = Store(Texts.of(texts), torch.arange(CLASSES).repeat_interleave(EACH), infos)
    return class_family(Reading("cards", "texts", store))[0]


def test_every_support_has_the_name_of_each_class_and_no_query_is_one() -> None:
    shown = with_label_names(family())
    spec = shown.spec(2, 1, 3)
    episodes = shown.sample("train", spec, 30, np.random.default_rng(0))
    assert episodes.support.examples.shape == (30, 2 * 2)
    texts = [str(text) for text in take(shown.store.inputs, torch.arange(len(shown.store)))]
    for task in range(30):
        classes = [shown.store.classes[c].name for c in episodes.units[task]]
        support = [texts[row] for row in episodes.support.examples[task]]
        assert support[1::2] == [name.replace("_", " ") for name in classes]
        queries = [texts[row] for row in episodes.query.examples[task]]
        assert all(text.startswith("example") for text in (*support[::2], *queries))
    assert episodes.support.labels[0].tolist() == [0, 0, 1, 1]


def test_with_names_it_is_other_content_with_the_same_examples() -> None:
    plain = family()
    shown = with_label_names(plain)
    assert shown.digest != plain.digest and shown.name == "cards, names shown"
    assert len(shown.store) == len(plain.store) + CLASSES
    for part in ("train", "test"):
        assert np.array_equal(shown.labelled(part)[0], plain.labelled(part)[0])
    assert np.array_equal(seen_of(shown).prints, seen_of(plain).prints)
    fewer = shown.store.without(np.array([3]), np.array([0]))
    assert len(fewer.examples_of[0]) == EACH - 1 and (fewer.name_of >= 0).all()
    assert fewer.name_of[3] == len(fewer) - CLASSES + 1 + 3


def test_workers_draw_the_same_episodes(tmp_path: Path) -> None:
    opened = open_data(_reading(), DataOptions(label_names=True, view="words"))
    shown = opened.family
    back = load_shipped(ship_family(shown, tmp_path / "family"))
    spec = shown.spec(2, 1, 3)
    one, other = (f.sample("test", spec, 5, np.random.default_rng(1)) for f in (shown, back))
    assert one.list_hash == other.list_hash
    assert one.support.examples.shape == (5, 4)


def _reading() -> Reading:
    return Reading("cards", "texts", family().store)


def test_names_that_say_nothing_and_inputs_that_are_no_texts_are_refused() -> None:
    numbers = Store(
        Texts.of([f"text {k}" for k in range(40)]),
        torch.arange(8).repeat_interleave(5),
        tuple(ClassInfo(str(k)) for k in range(8)),
    )
    with pytest.raises(DataError, match="whose names say nothing, such as '0'"):
        open_data(Reading("numbers", "texts", numbers), DataOptions(label_names=True))
    for data, why in (
        ("glyphs", "names of classes are texts, and glyphs has none"),
        ("sinusoid", "sinusoid has no classes with names"),
    ):
        with pytest.raises(DataError, match=why):
            open_data(data, DataOptions(label_names=True))


def test_a_model_is_trained_and_measured_with_names(tmp_path: Path) -> None:
    how: dict[str, Any] = {"use_label_names": True, "progress": False}
    made = metaloop.train(
        _reading(), "nearest_centroid", view="words", ways=2, budget="1steps", **how
    )
    assert made.trained.candidate.net == Choice("raw", {"view": "unit"})
    figures = metaloop.evaluate(made, _reading(), ways=2, episodes=20, **how)
    assert "names of classes shown" in str(figures)
    assert figures.to_json()["label_names"] and Figures.from_json(figures.to_json()).label_names
    plain = metaloop.evaluate(made, _reading(), ways=2, episodes=20, progress=False)
    assert "names of classes" not in str(plain) and not plain.label_names
    assert plain.protocol.data_hash != figures.protocol.data_hash
