"""Word2Vec, FastText and Doc2Vec of Gensim, trained on the training texts: three views of texts.

    word2vec, fasttext    x = sum of v(w) over a text's words w / their number,  x <- x / |x|
    doc2vec               x = argmax  mean of log s(u_w . x) over its words
                                      + K * sum over words n of p_n log s(-u_n . x) - r/2 |x|^2

Gensim trains; what it has learned is tensors in the model file, and seeing needs no Gensim. A
word that is not known has no vector, but in FastText that of its runs of letters. Differs in
doc2vec (the distributed bag of words): Gensim infers by random steps from a start that hangs on the
process, here the expectation over its noise p is climbed from zero, so that a text is always the
same. Few texts teach little: tf-idf is usually far ahead (LOG.md).

Mikolov et al. 2013, arXiv:1310.4546; Bojanowski et al. 2017, arXiv:1607.04606; Le and Mikolov 2014,
arXiv:1405.4053.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import ModelFileError, missing_extra
from metaloop.guests.gensim.vectors import EXTRA
from metaloop.nets.frozen_texts import MOST_CHARACTERS

FEATURES = 100
MOST_WORDS = 50_000
BUCKETS = 1 << 14  # of runs of letters
_SMALLEST, _LARGEST = 3, 6  # letters of a run, with the marks that begin and end a word
_NEGATIVE = 10  # K
_TRAINED_WORDS = 2_000_000  # seen in all epochs, if these are 5 to 40
_PENALTY = 0.1  # r
_STEPS = 50
_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")

Assets = dict[str, Tensor]
Shape = tuple[tuple[int, ...], torch.dtype]
_WORDS: dict[str, Shape] = {
    "words": ((-1,), torch.uint8), "vectors": ((-1, FEATURES), torch.float32),
}  # fmt: skip
EXPECTED: Mapping[str, dict[str, Shape]] = {
    "word2vec": _WORDS,
    "fasttext": {**_WORDS, "letters": ((BUCKETS, FEATURES), torch.float32)},
    "doc2vec": {**_WORDS, "noise": ((-1,), torch.float32)},
}


def fit(texts: Sequence[str], kind: str) -> Assets:
    """Returns what Gensim's model of that kind learns from texts; -1 in `EXPECTED` is any number.

    The same texts give the same. Raises `MissingExtraError` without Gensim.
    """
    try:
        from gensim.models import FastText, Word2Vec  # optional extra
        from gensim.models.doc2vec import Doc2Vec, TaggedDocument  # optional extra
    except ImportError as error:
        raise missing_extra(f"view '{kind}'", EXTRA) from error
    cut = [words for words in map(_words, texts) if words] or [["none"]]
    epochs = int(np.clip(_TRAINED_WORDS // sum(map(len, cut)), 5, 40))
    shared: dict[str, Any] = {
        "vector_size": FEATURES, "min_count": 1, "max_final_vocab": MOST_WORDS, "epochs": epochs,
        "negative": _NEGATIVE, "window": 5, "workers": 1, "seed": 1,
    }  # fmt: skip
    if kind == "doc2vec":
        tagged = [TaggedDocument(words, [place]) for place, words in enumerate(cut)]
        model = Doc2Vec(tagged, dm=0, **shared)
        counts = [model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key]
        noise = np.array(counts, np.float64) ** 0.75
        assets = {"vectors": model.syn1neg, "noise": noise / noise.sum()}
    elif kind == "fasttext":
        runs = {"bucket": BUCKETS, "min_n": _SMALLEST, "max_n": _LARGEST}
        model = FastText(cut, sg=1, **runs, **shared)
        assets = {"vectors": model.wv.vectors, "letters": model.wv.vectors_ngrams}
    else:
        model = Word2Vec(cut, sg=1, **shared)
        assets = {"vectors": model.wv.vectors}
    found = {name: torch.from_numpy(np.array(v, np.float32)) for name, v in assets.items()}
    words = "\n".join(model.wv.index_to_key).encode()
    return {**found, "words": torch.frombuffer(bytearray(words), dtype=torch.uint8)}


def see(assets: Mapping[str, Tensor], texts: Sequence[str]) -> Tensor:
    """Returns float32 `[N, FEATURES]` of unit length; zeros for a text without a known word."""
    words = assets["words"].numpy().tobytes().decode("utf-8", "replace").split("\n")
    vectors = assets["vectors"].numpy()
    if len(words) != len(vectors) or len(assets.get("noise", words)) != len(words):
        raise ModelFileError(
            f"the model file is damaged: it has {len(words)} words and vectors of {len(vectors)}"
        )
    place_of = {word: place for place, word in enumerate(words)}
    out = np.zeros((len(texts), FEATURES), np.float32)
    for row, text in enumerate(texts):
        found = [_vector(assets, place_of, word) for word in _words(text)]
        known = [vector for vector in found if vector is not None]
        if known:
            seen = np.stack(known).astype(np.float64)
            x = _inferred(seen, assets) if "noise" in assets else seen.mean(0)
            out[row] = x / max(float(np.linalg.norm(x)), 1e-12)
    return torch.from_numpy(out)


def runs_of_letters(word: str) -> list[int]:
    """Returns the buckets of a word's runs of letters, as Gensim and fastText have them."""
    marked = f"<{word}>"
    return [
        _hash(marked[start : start + length].encode()) % BUCKETS
        for start in range(len(marked))
        for length in range(_SMALLEST, min(_LARGEST, len(marked) - start) + 1)
    ]


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:MOST_CHARACTERS].lower())


def _vector(assets: Mapping[str, Tensor], place_of: dict[str, int], word: str) -> Any:
    place = place_of.get(word)
    if place is not None:
        return assets["vectors"].numpy()[place]
    runs = runs_of_letters(word) if "letters" in assets else []
    return assets["letters"].numpy()[runs].mean(0) if runs else None


def _inferred(u_WD: np.ndarray, assets: Mapping[str, Tensor]) -> np.ndarray:
    """The vector of a document of these words: gradient steps as long as curvature allows."""
    u_VD, noise = assets["vectors"].numpy(), _NEGATIVE * assets["noise"].numpy()
    curvature = ((u_WD**2).sum(1).mean() + noise @ (u_VD**2).sum(1)) / 4 + _PENALTY
    x = np.zeros(FEATURES)
    for _ in range(_STEPS):
        pulled = (1 - _sigmoid(u_WD @ x)) @ u_WD / len(u_WD)
        pushed = (noise * _sigmoid(u_VD @ x)) @ u_VD
        x += (pulled - pushed - _PENALTY * x) / curvature
    return x


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))


def _hash(letters: bytes) -> int:
    """FNV-1a of 32 bits; bytes above 127 are negative there, as in fastText."""
    value = 2166136261
    for byte in letters:
        value ^= byte if byte < 128 else byte + 0xFFFFFF00
        value = (value * 16777619) & 0xFFFFFFFF
    return value
