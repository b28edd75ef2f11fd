"""In which language a text is, as far as that matters for where its sentences end.

The script tells of most languages; of those in Latin letters the commonest small words do. It is a
guess for a splitter, whose rules are those of abbreviations: where nothing tells, it is English.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

ENGLISH: Final = "en"
_LOOKED_AT = 5000  # characters of a text
_LEAST_WORDS = 3  # of a language's small words, to be that language
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS: Final = {  # ranges of letters; of two languages in one script the one with more speakers
    "ru": "\u0400-\u04ff",
    "el": "\u0370-\u03ff",
    "ar": "\u0600-\u06ff",
    "he": "\u0590-\u05ff",
    "hy": "\u0530-\u058f",
    "ka": "\u10a0-\u10ff",
    "hi": "\u0900-\u097f",
    "bn": "\u0980-\u09ff",
    "pa": "\u0a00-\u0a7f",
    "gu": "\u0a80-\u0aff",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff",
    "ml": "\u0d00-\u0d7f",
    "my": "\u1000-\u109f",
    "am": "\u1200-\u137f",
    "th": "\u0e00-\u0e7f",
    "ko": "\uac00-\ud7af",
    "ja": "\u3040-\u30ff",
    "zh": "\u3400-\u9fff",
}
_LETTERS: Final = {code: re.compile(f"[{letters}]") for code, letters in _SCRIPTS.items()}
_SMALL_WORDS: Final = {
    code: frozenset(words.split())
    for code, words in {
        ENGLISH: "the of and to is that with for are was this it",
        "de": "der die und das ist nicht ein eine mit auf von den sich",
        "fr": "le les des et est une dans que pour qui du au",
        "es": "el los las que y del una con por para es no",
        "it": "il che di è per una con del della sono gli non",
        "pt": "o os que não uma com para dos do em da um",
        "nl": "het een van niet dat zijn op en de voor met",
        "pl": "nie się jest na że do z w i oraz jak",
        "sv": "och att det som är en på inte av för",
        "da": "og at det som er ikke på af en til",
        "tr": "ve bir bu için ile de da olarak çok",
    }.items()
}


def language_of(text: str) -> str:
    """Returns the code of two letters; `en` where nothing tells."""
    looked_at = text[:_LOOKED_AT]
    letters = sum(map(len, _WORD.findall(looked_at)))
    found = {code: len(script.findall(looked_at)) for code, script in _LETTERS.items()}
    if not looked_at.isascii() and 2 * sum(found.values()) > letters:
        most = max(found, key=lambda code: found[code])
        return "ja" if most == "zh" and 10 * found["ja"] > found["zh"] else most  # it has both
    words = Counter(_WORD.findall(looked_at.lower()))
    counts = {code: sum(words[word] for word in small) for code, small in _SMALL_WORDS.items()}
    best = max(counts, key=lambda code: counts[code])  # of equals the first, English
    return best if counts[best] >= _LEAST_WORDS else ENGLISH
