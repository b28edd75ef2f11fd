"""Which classes of a data set a backbone was trained on, as far as their names tell.

Names tell where they are numbers of WordNet (`n02123045`), as the folders of ImageNet and of what
was taken from it are called. The thousand of ImageNet-1k are known here; of any other name, and of
whatever else a backbone has seen, it is said that it is not known. No torch here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from metaloop.core.leagues import EncoderCard

_IMAGENET_1K = re.compile(r"(?<![\w-])imagenet-1k(?![\w-])", re.IGNORECASE)
_NOTHING_ELSE = re.compile(r"\s*(?:[\w.-]+/)?imagenet-1k\s*", re.IGNORECASE)  # `ILSVRC/...` of hubs
_NUMBER = re.compile(r"n\d{8}(?!\d)")  # how a name begins: `n02123045`, `n02123045_tabby`


@dataclass(frozen=True)
class SeenBefore:
    """How many of `classes` the backbone `name` was trained on, which `knows` what is said of it.

    `seen` are among that, `others` are not, by their names (they may be kinds of such, or such a
    kind of them), and of `not_known` nothing can be told.
    """

    name: str
    knows: str
    classes: int
    seen: int
    others: int
    not_known: int


def seen_before(card: EncoderCard, classes: Sequence[str]) -> SeenBefore:
    """Returns what can be told of classes with these names (`n02123045`, `cats/n02123045_tabby`).

    One of ImageNet-1k is `seen` by a backbone that knows that; another number of WordNet is one of
    the `others` if it knows nothing else.
    """
    found = [_NUMBER.match(each.rpartition("/")[2]) for each in classes]
    numbers = [each[0] for each in found if each is not None]
    inside = sum(number in imagenet_1k() for number in numbers)
    seen = inside if _IMAGENET_1K.search(card.knows) else 0
    others = len(numbers) - inside if _NOTHING_ELSE.fullmatch(card.knows) else 0
    not_known = len(classes) - seen - others
    return SeenBefore(card.name, card.knows, len(classes), seen, others, not_known)


def pretraining_json(cards: Iterable[EncoderCard], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the same of each of these as `--json` prints it; empty where there is no backbone."""
    return [asdict(seen_before(card, classes)) for card in cards]


def seen_sentence(told: Iterable[SeenBefore]) -> str:
    """Returns how many classes are known to be no news to these backbones; "" if none is."""
    return " ".join(
        f"By their names {each.seen:,} of the {each.classes:,} classes of the test are among what "
        f"{each.name} was trained on."
        for each in told
        if each.seen
    )


@cache
def imagenet_1k() -> frozenset[str]:
    """Returns the classes of ImageNet-1k, a thousand numbers of WordNet."""
    text = Path(__file__).with_name("imagenet_1k.txt").read_text(encoding="ascii")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
