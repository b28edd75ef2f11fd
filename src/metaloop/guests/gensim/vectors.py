"""Gensim: word vectors of your own as a frozen encoder of texts, the mean of a text's words.

    features of a text = sum of v(w) / number of its words w that have a vector

`gensim:FILE` reads what `KeyedVectors.save` wrote, those of FastText too, and the format of
word2vec (text, or binary in a `.bin`; each also `.gz`). A word is looked up as it is written, then
in small letters. Vectors of FastText make one of a new word's letters; other new words do not
count, and a text without a known word is all zeros.

Gensim's own files are pickles. They are read by metaloop as arrays and words, and nothing in them
is run. Řehůřek and Sojka 2010; FastText: Bojanowski et al. 2017, arXiv:1607.04606.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from metaloop.core.columns import Taken
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.core.pickled import ARRAYS, UnsafePickleError, Vocabulary, run_pickle
from metaloop.modelfile.checkpoint import MOST_BYTES, hash_of_weights
from metaloop.nets.frozen_texts import MOST_CHARACTERS, checked_texts

EXTRA = "gensim"
_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")
_MOST_RATIO = 1100  # of what gzip can make of a byte
_FEWEST_BYTES = {False: 2, True: 4}  # of a number, as text and in binary

CITATION = """@inproceedings{rehurek2010software,
  title = {Software Framework for Topic Modelling with Large Corpora},
  author = {Rehurek, Radim and Sojka, Petr},
  booktitle = {LREC Workshop on New Challenges for NLP Frameworks},
  year = {2010},
}"""


@final
class WordVectors(Encoder):
    """Gensim's `KeyedVectors` as an encoder."""

    def __init__(self, card: EncoderCard, vectors: Any) -> None:
        self.card = card
        self._vectors = vectors
        self._makes_new_ones = hasattr(vectors, "vectors_ngrams")

    def encode(self, inputs: Taken) -> Tensor:
        """Returns the mean vector of each text's words."""
        texts = checked_texts(inputs)
        encoded = np.zeros((len(texts), self.card.features), np.float32)
        for row, text in enumerate(texts):
            found = [self._vector(word) for word in _WORD.findall(text[:MOST_CHARACTERS])]
            known = [vector for vector in found if vector is not None]
            if known:
                encoded[row] = np.mean(known, axis=0, dtype=np.float64)
        return torch.from_numpy(encoded)

    def _vector(self, word: str) -> np.ndarray | None:
        for written in (word, word.lower()):
            if written in self._vectors.key_to_index:
                return np.asarray(self._vectors.get_vector(written))
        if not self._makes_new_ones:
            return None
        made = np.asarray(self._vectors.get_vector(word.lower()))
        return made if made.any() else None


def as_encoder(vectors: Any, name: str = "gensim:own", knows: str = "unknown") -> WordVectors:
    """Returns Gensim's `KeyedVectors` (or the `wv` of a model) as an encoder.

    `knows`: what they were trained on. A model file that needs them names `name` and the hash of
    the vectors; unless that is `gensim:FILE`, give them again: `load(path, backbone=...)`. Raises
    `DataError` for what has no vectors, and for vectors that are not finite.
    """
    table = getattr(vectors, "vectors", None)
    if not isinstance(table, np.ndarray) or table.ndim != 2 or not hasattr(vectors, "key_to_index"):
        raise DataError(f"expected Gensim's KeyedVectors, got a {type(vectors).__name__}")
    if not table.size or table.dtype.kind != "f" or not np.isfinite(table).all():
        raise DataError(f"the vectors of '{name}' are none, or not finite; get them anew")
    tensors = {"vectors": torch.from_numpy(np.array(table, np.float32))}
    if hasattr(vectors, "vectors_ngrams"):
        tensors["n-grams"] = torch.from_numpy(np.array(vectors.vectors_ngrams, np.float32))
    words = "\n".join(vectors.index_to_key).encode("utf-8", "surrogatepass")
    tensors["words"] = torch.frombuffer(bytearray(words or b"\0"), dtype=torch.uint8)
    card = EncoderCard(
        name=name,
        takes="texts",
        features=table.shape[1],
        weights=hash_of_weights(tensors),
        version=f"gensim {_library(name).__version__}",
        knows=knows,
        citation=CITATION,
    )
    return WordVectors(card, vectors)


def gensim_encoder(path: Path) -> WordVectors:
    """Returns the word vectors in a file of Gensim's or of word2vec as an encoder.

    Raises `MissingExtraError` without Gensim, and `DataError` for a file that is none of these, is
    damaged or too large, or asks for more than data.
    """
    called = f"gensim:{path}"
    library = _library(called)
    if not path.is_file():
        raise DataError(f"there is no file '{path}' for backbone '{called}'")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"'{path}' is larger than {MOST_BYTES / 1e9:.0f} GB; keep fewer words")
    with path.open("rb") as file:
        is_pickle = file.read(1) == b"\x80"
    try:
        vectors = _native(library, path) if is_pickle else _of_word2vec(library, path)
    except UnsafePickleError as error:
        raise DataError(
            f"'{path}' is no file of word vectors: {error}; it was not run. Of a whole model of "
            f"Gensim, save the vectors: model.wv.save(...)"
        ) from error
    except (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, TypeError,
            ValueError, zlib.error) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"'{path}' is no file of word vectors, or damaged ({reason})") from error
    return as_encoder(vectors, called)


def _library(called: str) -> Any:
    try:
        import gensim.models.fasttext  # optional extra
    except ImportError as error:
        raise missing_extra(f"backbone '{called}'", EXTRA) from error
    return gensim


def _of_word2vec(library: Any, path: Path) -> Any:
    """Vectors in the format of word2vec, once the header fits the size of the file."""
    packed = path.suffix == ".gz"
    binary = path.name.removesuffix(".gz").endswith(".bin")
    with gzip.open(path) if packed else path.open("rb") as file:
        header = file.readline(100).split()
    count, width = (int(number) for number in header)
    size = path.stat().st_size * (_MOST_RATIO if packed else 1)
    if count < 1 or width < 1 or count * width * _FEWEST_BYTES[binary] > min(size, MOST_BYTES):
        raise ValueError(f"it declares {count} words of {width} numbers, which it has not")
    return library.models.KeyedVectors.load_word2vec_format(
        str(path.resolve()), binary=binary, unicode_errors="replace"
    )


class _Stored(dict[str, Any]):
    """What a pickle says of vectors, by the names of its attributes."""


def _native(library: Any, path: Path) -> Any:
    """Vectors that Gensim saved; the large arrays of which lie in files beside."""
    stored = run_pickle(io.BytesIO(path.read_bytes()), _WORDS)
    if isinstance(stored, _Stored) and isinstance(stored.get("wv"), _Stored):
        stored = stored["wv"]
    if not isinstance(stored, _Stored):
        raise UnsafePickleError("it holds something else")
    words = stored["index_to_key"]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UnsafePickleError("its words are no text")
    if "min_n" not in stored:
        table = _array(stored, "vectors", path)
        vectors = library.models.KeyedVectors(table.shape[1])
        vectors.add_vectors(words, table)
        return vectors
    whole, grams = (_array(stored, name, path) for name in ("vectors_vocab", "vectors_ngrams"))
    smallest, largest = (int(stored[name]) for name in ("min_n", "max_n"))
    if not 0 < smallest <= largest <= 100 or stored["bucket"] != len(grams):
        raise ValueError("its runs of letters are not as many as it says")
    if stored["compatible_hash"] is not True:
        raise ValueError("it was made by a Gensim before 3.7; save it anew")
    fast = library.models.fasttext.FastTextKeyedVectors(
        whole.shape[1], smallest, largest, len(grams)
    )
    fast.add_vectors(words, whole)
    fast.vectors_vocab, fast.vectors_ngrams = whole, grams
    fast.recalc_char_ngram_buckets()
    fast.adjust_vectors()
    return fast


def _array(stored: _Stored, name: str, path: Path) -> np.ndarray:
    """An array `[n, width]` of the pickle, or of the file beside it that it stands for."""
    found = stored.get(name)
    if found is None and name in stored.get("__numpys", ()):
        beside = path.with_name(f"{path.name}.{name}.npy")
        if not beside.is_file():
            raise ValueError(f"'{beside.name}' is not beside it")
        found = np.load(beside, allow_pickle=False)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise ValueError(f"it has no '{name}'")
    return np.array(found, np.float32)


_WORDS = Vocabulary(
    functions=MappingProxyType(
        {
            **ARRAYS.functions,
            "gensim.models.keyedvectors KeyedVectors": _Stored,
            "gensim.models.fasttext FastTextKeyedVectors": _Stored,
        }
    ),
    completers=MappingProxyType({**ARRAYS.completers, _Stored: lambda value, s: value.update(s)}),
)
