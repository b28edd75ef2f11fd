"""Views of texts that Gensim trains on training texts: word2vec, fasttext, doc2vec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.core.errors import MissingExtraError, ModelFileError
from metaloop.guests.gensim import trained

ABOUT = (
    "parcel invoice password refund delivery account card loan flight hotel luggage weather "
    "recipe oven garden tomato größe straße"
)
FRAMES = ("where is my {}", "the {} does not work", "I lost my {}!", "tell me of {}s", "a {} now")
TEXTS = [frame.format(about) for about in ABOUT.split() for frame in FRAMES]
KINDS = tuple(trained.EXPECTED)


@pytest.fixture(scope="module")
def gensim() -> Any:
    return pytest.importorskip("gensim.models", reason="pip install 'metaloop[gensim]'")


@pytest.fixture(scope="module")
def assets(gensim: Any) -> dict[str, dict[str, torch.Tensor]]:
    return {kind: trained.fit(TEXTS, kind) for kind in KINDS}


@pytest.mark.parametrize(
    "kind", ["word2vec", *(pytest.param(k, marks=pytest.mark.long) for k in KINDS if k[0] != "w")]
)
def test_the_same_texts_teach_the_same(gensim: Any, assets: Any, kind: str) -> None:
    again = trained.fit(TEXTS, kind)
    assert set(again) == set(trained.EXPECTED[kind])
    assert all(torch.equal(again[name], assets[kind][name]) for name in again)


def test_a_new_word_has_the_vector_that_fasttext_makes_of_its_letters(
    gensim: Any, assets: Any
) -> None:
    rows = assets["fasttext"]
    words = rows["words"].numpy().tobytes().decode().split("\n")
    known = gensim.fasttext.FastTextKeyedVectors(trained.FEATURES, 3, 6, trained.BUCKETS)
    known.add_vectors(words, rows["vectors"].numpy())
    known.vectors_ngrams = rows["letters"].numpy()
    for word in ("parcelled", "straßen", "größer", "мир"):
        found = trained.see(rows, [word])[0].numpy()
        wanted = known.get_vector(word)
        assert np.allclose(found, wanted / np.linalg.norm(wanted), atol=1e-4), word
    assert not trained.see(assets["word2vec"], ["zzz"]).any()


def test_documents_of_the_same_words_are_alike_and_their_order_does_not_count(assets: Any) -> None:
    found = trained.see(assets["doc2vec"], ["where is my card", "card my is where", "a loan now"])
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert float(found[0] @ found[1]) > float(found[0] @ found[2]) + 1e-4


def test_a_model_in_such_a_view_needs_no_gensim_to_be_used(
    gensim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "questions.csv"
    rows = [f"{text},about {text_of}" for text, text_of in zip(TEXTS, _labels(), strict=True)]
    table.write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    trained_model = ml.train(
        str(table), "protonet", view="fasttext", budget="3 steps", ways=2, shots=1, queries=2,
        out=tmp_path / "model.metaloop",
    )  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "gensim.models", None)
    with pytest.raises(MissingExtraError, match="gensim"):
        trained.fit(TEXTS, "word2vec")
    model = ml.load(tmp_path / "model.metaloop")
    fitted = model.fit(["pay the bill", "play a song"], ["pay", "play"])
    assert list(fitted.predict(["pay a bill", "play songs"])) == ["pay", "play"]
    assert trained_model.model is not None


def test_a_file_whose_words_are_not_its_vectors_is_refused(assets: Any) -> None:
    damaged = {**assets["word2vec"], "vectors": assets["word2vec"]["vectors"][:-1]}
    with pytest.raises(ModelFileError, match="words and vectors"):
        trained.see(damaged, ["card"])


def _labels() -> list[str]:
    return [about for about in ABOUT.split() for _ in FRAMES]
