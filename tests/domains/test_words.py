"""Texts as words in their order: the view `tokens`, its net, and its random changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import catalogue_candidates
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.nets import build_net
from metaloop.catalogue.sights import seen_as
from metaloop.catalogue.space import space_of
from metaloop.catalogue.view_limits import check_view
from metaloop.core.columns import Texts
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec
from metaloop.domains.text import words
from metaloop.engine.word_augmentation import words as changed
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, Reading, Store

TEXTS = ["Play the song again", "play THE song, again!", "", "Ⅷ naïve 日本 🙂", "word " * 100]
ZEROS, ONES = (0.0,) * 4, (1.0,) * 4
FORMAT = InputFormat("tokens", words.SHAPE, ZEROS, ONES)


def test_words_are_numbers_of_their_parts_and_a_weight_for_how_rare_they_are() -> None:
    assets = words.fit([*TEXTS, "the end", "the beginning"])
    seen = words.see(assets, TEXTS)
    assert seen.shape == (5, *words.SHAPE)
    first, second, nothing, foreign, long = seen
    assert [int((text[3] > 0).sum()) for text in seen] == [4, 6, 0, 4, words.WORDS]
    assert torch.equal(first[:3, :3], second[:3, :3])  # upper case is no other word
    assert not nothing.any() and float(foreign.max()) < words.BUCKETS
    assert first[3, 1] < first[3, 0] < 1  # `the` is in more texts than `play`
    unseen = words.see(assets, ["plays"])[0]
    assert float(unseen[3, 0]) == pytest.approx(1)
    assert unseen[1, 0] == first[1, 0] and unseen[0, 0] != first[0, 0]  # begins as `play` does
    assert len(set(long[0].tolist())) == 1


def test_at_first_the_net_is_a_bag_of_words_and_a_text_without_words_is_zero() -> None:
    net = build_net(Choice("text_cnn", {"width": 256}), FORMAT)
    tensors = net.init(torch_stream(0, "net"))
    texts = words.see(words.fit(TEXTS), ["red wine", "wine red", "blue sky", ""])
    features = net(tensors, texts)[0]
    assert features.shape == (4, 256) and net.num_features == 256
    assert torch.allclose(features[0], features[1], atol=1e-5)
    assert not features[3].any()
    cosine = torch.cosine_similarity(features[0], features[2], dim=0)
    assert abs(float(cosine)) < 0.3


def test_the_net_learns_the_order_of_words() -> None:
    """Two classes that have the same words and differ in their order alone."""
    rng = np.random.default_rng(0)
    names = [f"n{number}" for number in range(20)]
    pairs = [rng.choice(names, 2, replace=False) for _ in range(200)]
    ordered = [tuple(sorted(pair)) for pair in pairs]
    said = [f"{a} beats {b}" for a, b in ordered] + [f"{b} beats {a}" for a, b in ordered]
    labels = torch.arange(2).repeat_interleave(200)
    texts = words.see(words.fit(said), said)
    net = build_net(Choice("text_cnn", {"width": 32, "channels": 32, "dropout": 0.0}), FORMAT)
    tensors = {k: v.requires_grad_() for k, v in net.init(torch_stream(0, "net")).items()}
    head = torch.zeros(32, 2, requires_grad=True)
    optimiser = torch.optim.AdamW([*tensors.values(), head], 3e-3)
    for _ in range(100):
        loss = torch.nn.functional.cross_entropy(net(tensors, texts)[0] @ head, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    right = ((net(tensors, texts)[0] @ head).argmax(1) == labels).float().mean()
    assert float(right) > 0.9


def test_words_are_left_out_and_neighbours_exchanged_and_nothing_is_made_up() -> None:
    texts = words.see(words.fit(TEXTS), ["one two three four five six seven eight"] * 200)
    dropped = changed(texts, torch_stream(0, "a"), drop=0.25, swap=0.0)
    assert torch.equal(dropped[:, :3], texts[:, :3])
    assert 0.2 < float((dropped[:, 3, :8] == 0).float().mean()) < 0.3
    swapped = changed(texts, torch_stream(0, "a"), drop=0.0, swap=0.25)
    assert not torch.equal(swapped, texts)
    assert torch.equal(swapped.sort(-1).values, texts.sort(-1).values)  # the same, elsewhere
    assert not swapped[:, 3, 8:].any()  # nothing stands behind the end
    moved = (swapped[:, 0, :8] != texts[:, 0, :8]).float().mean()
    assert 0.2 < float(moved) < 0.6
    assert (changed(texts, torch_stream(0, "a"), drop=0.99)[:, 3] > 0).any(1).all()
    assert torch.equal(changed(texts, torch_stream(0, "a"), drop=0.0, swap=0.0), texts)


def test_nothing_but_words_is_changed_and_no_classes_are_mixed() -> None:
    assert generator_arms(FORMAT) == ()
    for candidate in catalogue_candidates(FORMAT, TaskSpec(5, 1, 15, FORMAT.shape)):
        if candidate.plan.style == "none":
            continue
        assert candidate.net.name == "text_cnn" and candidate.plan.augmentation.name == "words"
        dimensions = {each.name for each in space_of(candidate, FORMAT)}
        assert {"drop", "swap", "width", "channels"} <= dimensions


def _family() -> ClassFamily:
    texts = [f"say word{label} and thing{label} {take}" for label in range(16) for take in range(6)]
    infos = tuple(ClassInfo(f"c{label}") for label in range(16))
    store = Store(Texts.of(texts), torch.arange(16).repeat_interleave(6), infos)
    return class_family(Reading("said", "texts", store))[0]


def test_texts_are_seen_as_words_too_or_alone_if_that_is_asked_for() -> None:
    seen, told = seen_as(_family(), None, "none")
    assert seen.views == ("", "tokens")
    assert seen.seen("tokens").input_format == FORMAT
    assert any("words in their order" in line for line in told)
    alone, _ = seen_as(_family(), "tokens", "none")
    assert alone.view is not None and alone.views == ("",) and alone.input_format == FORMAT
    assert set(check_view(alone.view, FORMAT)) == {words.IDF}


def test_the_net_says_what_it_takes() -> None:
    vectors = InputFormat("vector", (4,), ZEROS, ONES)
    with pytest.raises(MetaloopError, match="--view tokens"):
        build_net(Choice("text_cnn"), vectors)
    with pytest.raises(MetaloopError, match="share from 0"):
        build_net(Choice("text_cnn", {"dropout": 1.0}), FORMAT)
