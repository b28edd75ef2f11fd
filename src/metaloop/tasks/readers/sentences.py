"""Documents as sentences: given ones, the turns of a dialogue, or what a splitter finds.

A document is a text whose lines are its sentences: so a column of texts holds it, and people can
read it. Splitting is by sentencex (Wikimedia, no downloads), with the rules of the language that
the text seems to be in (`languages.py`); what it leaves longer than `MOST_WORDS` words is cut
there, for a text without signs would be one sentence.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from metaloop.core.errors import missing_extra
from metaloop.tasks.readers.languages import language_of

MOST_WORDS = 120  # of a sentence: of what has more nobody has put an end to it
_LEAST_WORDS_WHEN_CUT = 30  # pieces of a sentence without an end
_LINES_THAT_TELL = 50  # the language of a text
_TURN = re.compile(r"^\s*#?[^\W\d_][\w .'-]{0,30}#?\s*:\s+\S")
_SPEAKERS = ("speaker", "name", "role", "from", "author", "participant")
_SAID = ("text", "utterance", "content", "message", "value", "dialogue")
_LEAST_TURNS = 0.8  # of the lines, for a text to be a dialogue
_TAG = re.compile(r"<[^<>]{1,2000}>")
_BLOCK = re.compile(r"</?(?:p|br|div|li|ul|ol|h[1-6]|tr|td|table|section|article)\b[^<>]*>", re.I)
_HIDDEN = re.compile(r"<(script|style|head)\b|</(script|style|head)\s*>", re.I)
_HTML = re.compile(r"</(?:p|div|html|body|span|a|li|h[1-6])\s*>|<(?:html|body|!doctype)\b", re.I)
_SPACE = re.compile(r"\s+")
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def as_document(text: str) -> str:
    """Returns a document's sentences, one a line; "" of a text with nothing in it.

    Raises `MissingExtraError` without sentencex, where there is anything to be split.
    """
    return "\n".join(sentences_in(text))


def of_given(sentences: Sequence[Any]) -> str:
    """Returns the document of sentences that are given, those without a word left out."""
    tidy = (_tidy(str(each)) for each in sentences)
    return "\n".join(each for each in tidy if each)


def sentences_or_turns(items: Sequence[Any]) -> list[str] | None:
    """Returns given sentences as they are, turns as `Speaker: text`; None of a list of others.

    A turn is a mapping with a text and perhaps a speaker, each under one of its usual names.
    """
    if all(isinstance(each, str) for each in items):
        return list(items)
    if not all(isinstance(each, Mapping) for each in items):
        return None
    found = [_turn({str(key).lower(): value for key, value in each.items()}) for each in items]
    return None if None in found else [each for each in found if each]


def lines_of(document: str) -> list[str]:
    """Returns the sentences of a document; none of an empty one."""
    return document.split("\n") if document else []


def is_html(text: str) -> bool:
    """Returns whether a text is a page with tags."""
    return _HTML.search(text) is not None


def sentences_in(text: str) -> list[str]:
    """Returns the sentences of any text: of each paragraph, or the turns of a dialogue."""
    text = without_tags(text) if is_html(text) else text
    lines = [each for each in map(_tidy, text.splitlines()) if each]
    if is_dialogue(lines):
        return lines
    language = language_of(" ".join(lines[:_LINES_THAT_TELL]))
    return [piece for line in lines for piece in _split(line, language)]


def is_dialogue(lines: Sequence[str]) -> bool:
    """Returns whether lines are turns: two or more that begin with a name and a colon."""
    turns = sum(_TURN.match(line) is not None for line in lines)
    return turns >= 2 and turns >= _LEAST_TURNS * len(lines)


def without_tags(page: str) -> str:
    """Returns the text of a page: blocks become lines, scripts and styles go."""
    page = _BLOCK.sub("\n", _without_hidden(page))
    return html.unescape(_TAG.sub(" ", page))


def number_of_words(sentence: str) -> int:
    """Returns the words of a sentence as people count them: what stands between spaces.

    Of scripts that write none (Chinese, Japanese, Thai and their like) two letters are a word.
    """
    if sentence.isascii():
        return len(sentence.split())
    return sum(max(1, len(_SPACELESS.findall(run)) // 2) for run in sentence.split())


def beginning(sentence: str, most: float | int) -> str:
    """Returns the beginning of a sentence, so many words at most and never nothing, with a …."""
    runs, taken, left = sentence.split(), 0, most
    for run in runs:
        left -= max(1, number_of_words(run))
        if left < 0:
            break
        taken += 1
    text = " ".join(runs[:taken]) if taken else "".join(runs[:1])[: 2 * max(1, int(most))]
    return f"{text.rstrip(',;:')}…"


def _without_hidden(page: str) -> str:
    """A page without its head, scripts and styles; what is never closed stays.

    In one pass: a pattern that looks for the end of each would take hours for a page of beginnings.
    """
    marks = list(_HIDDEN.finditer(page))
    last_end = {mark[2].lower(): mark.start() for mark in marks if mark[2]}
    pieces, start, hidden = [], 0, ""
    for mark in marks:
        begins, ends = (mark[1] or "").lower(), (mark[2] or "").lower()
        if not hidden and mark.start() < last_end.get(begins, -1):
            pieces.append(page[start : mark.start()])
            hidden = begins
        elif hidden and ends == hidden:
            start, hidden = mark.end(), ""
    return "\n".join([*pieces, page[start:]])


def _turn(fields: Mapping[str, Any]) -> str | None:
    """A turn as a line, "" of one without a word; None where no field is its text."""
    text = next((fields[name] for name in _SAID if name in fields), None)
    speaker = next((fields[name] for name in _SPEAKERS if name in fields), None)
    if not isinstance(text, str) or not isinstance(speaker, str | int | None):
        return None
    if not text.strip() or speaker in (None, ""):
        return text
    return f"{speaker}: {text}"


def _tidy(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _split(line: str, language: str) -> list[str]:
    if len(line) < 20:
        return [line]
    pieces = [each for each in map(_tidy, _splitter()(language, line)) if each]
    return [short for piece in pieces for short in _cut(piece)]


def _cut(sentence: str) -> list[str]:
    """A sentence without an end in pieces of equal numbers of words; others as they are."""
    words = sentence.split(" ")
    if len(words) <= MOST_WORDS:
        return [sentence]
    pieces = -(-len(words) // _LEAST_WORDS_WHEN_CUT)
    ends = [round(len(words) * place / pieces) for place in range(pieces + 1)]
    return [" ".join(words[a:b]) for a, b in itertools.pairwise(ends)]


@cache
def _splitter() -> Any:
    try:
        from sentencex import segment  # optional extra
    except ImportError as error:
        raise missing_extra("splitting documents into sentences", "summaries") from error
    return segment
