"""What to type after `learn`: how the model that came out is used, by what it takes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from metaloop.core.scales import BITS_PER_DIM

_OF_CLASSES: Mapping[str, tuple[str, str]] = MappingProxyType(  # by what a model takes
    {
        "texts": (
            "give it new classes, a table of a few texts and their labels, and texts to tell apart",
            "--support EXAMPLES.csv TEXTS.csv",
        ),
        "recordings": (
            "give it new words, a folder of a few recordings each, and recordings to tell apart",
            "--support NEW_WORDS RECORDING...",
        ),
        "images": (
            "give it new classes, a folder of a few images each, and images to tell apart",
            "--support NEW_CLASSES IMAGE...",
        ),
        "vectors": (
            "give it new classes, a table of a few rows and their labels, and rows to tell apart",
            "--support EXAMPLES.csv ROWS.csv",
        ),
    }
)
_OF_GENERATION = """next: give it a folder of a few images of a new class, and it makes more of them
  metaloop generate {} --support IMAGES --count 16 --out NEW
or from Python: metaloop.load(model).fit(X).sample(16)"""
_OF_USERS = (
    "give it the items of somebody whom it has not seen, and it ranks all others",
    "--support ITEMS.csv --top 10",
)
_OF_DOCUMENTS = (
    "give it a few documents of a new domain with their summaries, and one to be summarised",
    "--support PAIRS.jsonl ARTICLE.txt --words 60",
)
_OF_GROUPS = (
    "give it a few rows of a new group, and rows to predict",
    "--support ROWS.csv NEW_ROWS.csv",
)


def next_step(model: Path, takes: str, ways: int, metric: str) -> list[str]:
    """Returns lines for people: what a model that `takes` such inputs is to be given.

    `ways` is 0 where tasks are no classes to be told apart.
    """
    if metric == BITS_PER_DIM.name:
        return [_OF_GENERATION.format(shlex.quote(str(model)))]
    if ways:
        said, words = _OF_CLASSES.get(takes, _OF_CLASSES["vectors"])
    else:
        others = {"items": _OF_USERS, "documents": _OF_DOCUMENTS}
        said, words = others.get(takes, _OF_GROUPS)
    lines = [f"next: {said}", f"  metaloop predict {shlex.quote(str(model))} {words}"]
    if not ways:
        lines.append("or from Python: metaloop.load(model).fit(X, y).predict(X_new)")
    return lines
