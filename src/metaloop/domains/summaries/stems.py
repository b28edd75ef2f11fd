"""Words as ROUGE counts them: lower case, without signs, stemmed, each as a number.

For texts in Latin letters these are the words of rouge-score with its stemmer, which is the
reference. It drops every other letter: of a text in another script nothing would be left. There
words are runs of letters and digits of any script, and signs of Chinese, Japanese and Thai one by
one, as `scripts` of them write no spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import blake2b

from metaloop.core.errors import missing_extra

_LATIN = re.compile(r"[a-z0-9]+")
_ANY = re.compile(r"[぀-ヿ㐀-鿿฀-๿가-힯]|[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]")
_LEAST_LATIN = 0.5  # of the letters, for rouge-score's own words
_STEMMED_FROM = 4  # letters, as rouge-score has it


def is_latin(text: str) -> bool:
    """Returns whether most letters of a text are a to z."""
    letters = _LETTERS.findall(text.lower())
    return not letters or sum("a" <= each <= "z" for each in letters) >= _LEAST_LATIN * len(letters)


def words_of(text: str, latin: bool = True) -> list[str]:
    """Returns the stemmed words of a text; raises `MissingExtraError` without rouge-score."""
    stem = _stem()
    found = (_LATIN if latin else _ANY).findall(text.lower())
    return [stem(word) for word in found] if latin else found


def stems(text: str, latin: bool = True) -> list[int]:
    """Returns the words as numbers of 63 bits that depend on the word alone."""
    return list(_stems(text, latin))


@lru_cache(maxsize=1 << 16)  # a sentence is asked for several times
def _stems(text: str, latin: bool) -> tuple[int, ...]:
    return tuple(_number(word) for word in words_of(text, latin))


@cache
def _number(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little") >> 1


@cache
def _stem() -> Callable[[str], str]:
    try:
        from rouge_score.tokenizers import DefaultTokenizer  # optional extra
    except ImportError as error:
        raise missing_extra("summaries", "summaries") from error
    tokenizer = DefaultTokenizer(use_stemmer=True)

    @cache
    def stemmed(word: str) -> str:
        if len(word) < _STEMMED_FROM:
            return word
        known = tokenizer.tokenize(word)
        return known[0] if known else word

    return stemmed
