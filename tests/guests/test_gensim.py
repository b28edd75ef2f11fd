"""Word vectors of Gensim as an encoder: small real ones, trained and saved as users do it."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.errors import DataError
from metaloop.guests.gensim import as_encoder, gensim_encoder

SENTENCES = [
    "pay the invoice of the parcel", "the parcel has an invoice", "Berlin has a concert",
    "a ticket for the concert in Berlin", "pay for the ticket", "größe der Straße",
]  # fmt: skip


@pytest.fixture(scope="module")
def gensim() -> Any:
    return pytest.importorskip("gensim.models", reason="pip install 'metaloop[gensim]'")


@pytest.fixture(scope="module")
def word2vec(gensim: Any) -> Any:
    words = [sentence.split() for sentence in SENTENCES] * 5
    return gensim.Word2Vec(words, vector_size=7, min_count=1, workers=1, seed=1)


@pytest.fixture(scope="module")
def fasttext(gensim: Any) -> Any:
    words = [sentence.split() for sentence in SENTENCES] * 5
    return gensim.FastText(words, vector_size=6, min_count=1, bucket=300, workers=1, seed=1)


def _mean(vectors: Any, *words: str) -> np.ndarray:
    return np.mean([vectors[word] for word in words], axis=0)


def test_a_text_is_the_mean_of_its_words(word2vec: Any) -> None:
    encoder = as_encoder(word2vec.wv, knows="six sentences")
    found = encoder.encode(("Pay the invoice, please!", "berlin", "Berlin", "", "zzz 🎉 مرحبا"))
    expected = _mean(word2vec.wv, "pay", "the", "invoice")
    assert np.allclose(found[0].numpy(), expected, atol=1e-6)
    assert np.allclose(found[2].numpy(), word2vec.wv["Berlin"], atol=1e-6)
    assert not found[[1, 3, 4]].any()  # there is a Berlin, and no berlin
    assert encoder.encode(()).shape == (0, 7)
    assert (encoder.card.takes, encoder.card.knows) == ("texts", "six sentences")


def test_vectors_of_fasttext_make_one_of_a_new_word(fasttext: Any) -> None:
    found = as_encoder(fasttext.wv).encode(("parcels", "PARCELS"))
    assert np.allclose(found[0].numpy(), fasttext.wv["parcels"], atol=1e-6)
    assert torch.equal(found[0], found[1]) and found[0].any()


def _saved_whole(vectors: Any, path: Path) -> Path:
    vectors.save(str(path / "own.kv"))
    return path / "own.kv"


def _saved_apart(vectors: Any, path: Path) -> Path:
    vectors.save(str(path / "own.kv"), sep_limit=1)
    assert list(path.glob("own.kv.*.npy"))
    return path / "own.kv"


def _saved_as(name: str, binary: bool) -> Callable[[Any, Path], Path]:
    def save(vectors: Any, path: Path) -> Path:
        vectors.save_word2vec_format(str(path / name), binary=binary)
        return path / name

    return save


SAVED = {
    "whole": _saved_whole,
    "apart": _saved_apart,
    "text": _saved_as("own.txt", False),
    "binary": _saved_as("own.bin", True),
    "packed": _saved_as("own.vec.gz", False),
}


@pytest.mark.parametrize("save", SAVED.values(), ids=SAVED)
def test_a_file_gives_what_the_vectors_give(
    save: Callable[[Any, Path], Path], word2vec: Any, tmp_path: Path
) -> None:
    path = save(word2vec.wv, tmp_path)
    encoder = open_backbone(f"gensim:{path}", takes="texts")
    texts = ("the parcel", "größe der Straße", "nothing here")
    expected = as_encoder(word2vec.wv).encode(texts)
    torch.testing.assert_close(encoder.encode(texts), expected, atol=1e-5, rtol=1e-4)
    assert encoder.card.name == f"gensim:{path}" and encoder.card.version.startswith("gensim 4")


@pytest.mark.parametrize("save", [_saved_whole, _saved_apart])
def test_a_file_of_fasttext_knows_the_letters_of_new_words(
    save: Callable[[Any, Path], Path], fasttext: Any, tmp_path: Path
) -> None:
    encoder = gensim_encoder(save(fasttext.wv, tmp_path))
    texts = ("the parcels", "Konzert", "pay")
    expected = as_encoder(fasttext.wv).encode(texts)
    torch.testing.assert_close(encoder.encode(texts), expected, atol=1e-5, rtol=1e-4)


class _Harmful:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm"),))


def test_what_a_pickle_asks_for_is_not_done(
    word2vec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.kv").write_bytes(pickle.dumps(_Harmful()))
    with pytest.raises(DataError, match="it was not run"):
        gensim_encoder(tmp_path / "bad.kv")
    assert not (tmp_path / "harm").exists()
    word2vec.save(str(tmp_path / "model"))
    with pytest.raises(DataError, match=r"save the vectors: model\.wv\.save"):
        gensim_encoder(tmp_path / "model")


def _without_arrays(path: Path) -> None:
    for file in path.parent.glob("own.kv.*.npy"):
        file.unlink()


@pytest.mark.parametrize(
    ("saved", "harm", "told"),
    [
        ("text", lambda p: p.write_text("3000000 300\nword 1 2\n"), "which it has not"),
        ("text", lambda p: p.write_text("2 3\na 1 2 3\nb 1 2\n"), "damaged"),
        ("text", lambda p: p.write_text("2 2\na 1 nan\nb 1 2\n"), "not finite"),
        ("text", lambda p: p.write_text(""), "no file of word vectors"),
        ("text", lambda p: p.write_text("some words, not vectors"), "no file of word vectors"),
        ("binary", lambda p: p.write_bytes(p.read_bytes()[:60]), "no file of word vectors"),
        ("packed", lambda p: p.write_bytes(gzip.compress(b"9 9\n")[:12]), "no file of word"),
        ("whole", lambda p: p.write_bytes(p.read_bytes()[:200]), "no file of word vectors"),
        ("whole", lambda p: p.write_bytes(pickle.dumps([1, 2])), "holds something else"),
        ("apart", _without_arrays, "is not beside it"),
        ("text", lambda p: p.unlink(), "there is no file"),
    ],
)
def test_a_file_with_something_wrong_is_told_in_one_line(
    saved: str, harm: Callable[[Path], Any], told: str, word2vec: Any, tmp_path: Path
) -> None:
    path = SAVED[saved](word2vec.wv, tmp_path)
    harm(path)
    with pytest.raises(DataError, match=told) as error:
        gensim_encoder(path)
    assert "\n" not in str(error.value)


def test_what_are_no_vectors_is_refused(word2vec: Any) -> None:
    with pytest.raises(DataError, match="KeyedVectors, got a Word2Vec"):
        as_encoder(word2vec)
