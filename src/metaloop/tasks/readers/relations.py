"""Relations between two marked entities, in the layout of FewRel: classes of marked texts.

    {relation: [{"tokens": [word, ...], "h": [name, id, [[place, ...], ...]], "t": the same}, ...]}

A sentence becomes one text in which the first mention of the head is marked as `<e1>head</e1>`, and
that of the tail as `<e2>tail</e2>`, as in SemEval 2010, task 8. So a table of texts that are marked
like this is the same data. Han et al. 2018, arXiv:1810.10147.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.columns import Texts
from metaloop.core.errors import DataError
from metaloop.tasks.readers.finish import finish, tally
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.text_labels import contradictions
from metaloop.tasks.store import ClassInfo, LeftOut, Reading

_BEGINNING = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\[\s*\{\s*"(?:tokens|h|t)"\s*:')
_LOOKED_AT = 4096  # bytes
_DAMAGED = (ValueError, RecursionError, EOFError, zlib.error)
_NOTE = "sentences with two marked entities, <e1>head</e1> and <e2>tail</e2>; a relation is a class"


def holds_relations(path: Path) -> bool:
    """Returns whether a JSON file (also .gz) begins as FewRel's do: only its beginning is read."""
    if not path.name.lower().endswith((".json", ".json.gz")) or not path.is_file():
        return False
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            return _BEGINNING.match(file.read(_LOOKED_AT).removeprefix(b"\xef\xbb\xbf")) is not None
    except (OSError, EOFError, zlib.error):
        return False  # whoever reads tables says what is wrong


def read_relations(path: Path, options: ReadOptions) -> Reading:
    """Returns the sentences as texts with marks, of the classes that their relations are.

    Examples without two entities in their words are left out, counted. Raises `DataError` for a
    file that is damaged or of another layout, and for options that are for other data.
    """
    where = f"relations {str(path)!r}"
    options.refuse_columns(where)
    options.refuse_depth(where)
    options.refuse_recordings(where)
    options.refuse_pixels(where)
    texts: list[str] = []
    targets: list[int] = []
    broken: list[str] = []
    relations = _relations(where, path)
    names = [tidy(relation) for relation in relations]
    for place, (relation, examples) in enumerate(relations.items()):
        if not isinstance(examples, list):
            raise DataError(f"{where}: relation {relation[:40]!r} is no list of sentences")
        for number, example in enumerate(examples, 1):
            marked = _marked(example)
            if marked is None:
                broken.append(f"sentence {number} of {tidy(relation)}")
            else:
                texts.append(marked)
                targets.append(place)
    left_out: list[LeftOut] = [tally(broken, "no two entities in its words")] if broken else []
    return finish(
        where,
        "relations, texts",
        Texts.of(texts),
        np.array(targets, np.int64),
        [ClassInfo(name) for name in names],
        left_out,
        name=path.name.split(".")[0],
        strict=options.strict,
        notes=(_NOTE, *contradictions(texts, [names[place] for place in targets], "relations")),
    )


def _relations(where: str, path: Path) -> dict[str, Any]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            found = json.loads(file.read().decode("utf-8-sig"))
    except _DAMAGED as error:
        raise DataError(f"{where} is damaged or cut short ({str(error)[:80]})") from error
    if not isinstance(found, dict):
        raise DataError(f"{where}: expected an object of relations, {{relation: [sentences]}}")
    return found


def _marked(example: Any) -> str | None:
    """The sentence with its marks; None where words or entities are missing or out of place."""
    if not isinstance(example, dict):
        return None
    words = example.get("tokens")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    spans = [_span(example.get(side), len(words)) for side in ("h", "t")]
    before: dict[int, str] = {}
    behind: dict[int, str] = {}
    for number, span in enumerate(spans, 1):
        if span is None:
            return None
        before[span[0]] = before.get(span[0], "") + f"<e{number}>"
        behind[span[1]] = f"</e{number}>" + behind.get(span[1], "")
    marked = [before.get(i, "") + word + behind.get(i, "") for i, word in enumerate(words)]
    return " ".join(marked).encode("utf-8", "replace").decode()


def _span(entity: Any, num_words: int) -> tuple[int, int] | None:
    """The first and the last word of an entity's first mention."""
    try:
        places = list(entity[2][0])
        first, last = min(places), max(places)
    except (TypeError, LookupError, ValueError):
        return None
    whole = all(type(place) is int for place in places)
    return (first, last) if whole and first >= 0 and last < num_words else None
