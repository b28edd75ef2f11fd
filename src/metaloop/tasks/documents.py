"""Documents with summaries as groups: a task is a domain, an example one of its documents.

Domains are dealt to the four parts where there are enough of them. Where there are not, documents
are, each by its own content, so that word-for-word repeats are on one side and a document has its
part wherever it turns up; a task is then the documents that a part has of a domain, and nothing is
known of new domains. A published split stays; what it lacks is dealt from what it has.

A task has a document once, for nobody is to be asked about what he was shown: word-for-word repeats
count once, and what was said of each of them are summaries of the one that stays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from metaloop.core.columns import Texts
from metaloop.core.errors import DataError
from metaloop.core.records import PARTS, Part
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.summaries import BETWEEN, DOCUMENT, REFERENCES
from metaloop.tasks.split import MIN_CLASSES, assign_parts
from metaloop.tasks.store import ClassInfo, LeftOut, Reading, Store

MIN_DOCUMENTS = 8  # of a domain: five to learn from, three to be asked about
_LEAST_OF_FEW = 48  # of a domain of few: six in the smallest part, on average
_LEAST = 40  # documents with summaries, to be dealt to four parts
_SHARES: Mapping[Part, float] = {"train": 0.5, "search": 0.125, "promotion": 0.125, "test": 0.25}
_OTHERS = "others"
_SHARED = "the model was made with documents of these domains: nothing is known of new ones"
REPEATS = "a document of another part, word for word"
TWICE = "a document of the same task, word for word, to whose summaries this one's were added"


@dataclass(frozen=True, eq=False)
class DealtDocuments:
    """Documents in groups by domain and part, and what was said of that.

    `by_document`: parts share domains, or there are few, so that nothing is known of new ones.
    `hashes` `[N]`, int64, tells each document again; `part_of` `[N]` is the place of its part in
    `PARTS`.
    """

    store: Store
    parts: dict[Part, np.ndarray]
    by_document: bool
    hashes: np.ndarray
    part_of: np.ndarray
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def dealt(
    reading: Reading, split_seed: int = 0, known: Mapping[int, int] | None = None
) -> DealtDocuments:
    """Returns the documents of a reading in four parts.

    `known`: the part of each document (by its hash) that a model was made with; all others are
    `test`. Raises `DataError` for too few documents to learn from.
    """
    store = reading.store
    hashes = content_hashes(store)
    domains = np.array([info.name for info in store.classes], object)[store.targets.numpy()]
    notes: list[str] = []
    left_out: list[LeftOut] = []
    keep = np.ones(len(store), bool)
    by_document = True
    counts = Counter(domain for domain, _ in {*zip(domains.tolist(), hashes.tolist(), strict=True)})
    large = [name for name, count in counts.items() if count >= MIN_DOCUMENTS and name]
    apart = reading.example_parts is None and len(large) >= MIN_CLASSES
    if known is not None:
        test = PARTS.index("test")
        part_of = np.array([known.get(int(each), test) for each in hashes])
        # called as they were for training, so that the same episodes are known by the same hash
        domains = domains if apart else _few(domains, counts, reading.name)
        shared = _shares_domains(domains, part_of)
        by_document = not apart or shared
        if by_document:
            notes.append(_SHARED if shared else _why_not_new(len(large), reading))
    else:
        _check_enough(reading, len(np.unique(hashes)))
        if apart:
            by_document = False
            part_of, keep = _by_domain(domains, large, split_seed)
            small = sorted(set(domains.tolist()) - set(large))
            if small:
                names = [f"domain {name!r}" for name in small]
                left_out.append(tally(names, f"a domain needs {MIN_DOCUMENTS} documents"))
        else:
            part_of = _by_content(hashes, reading.example_parts, split_seed)
            domains = _few(domains, counts, reading.name)
            notes.append(_why_split(len(large), reading))
    repeats = _repeats_across(hashes, part_of) & keep
    first = _first_of_task(domains, part_of, hashes, keep & ~repeats)
    twice = first != np.arange(len(store))
    for which, reason in ((repeats, REPEATS), (twice, TWICE)):
        if which.any():
            left_out.append(tally([f"document {row + 1}" for row in np.flatnonzero(which)], reason))
    store = _with_all_summaries(store, first)
    kept = np.flatnonzero(keep & ~repeats & ~twice)
    grouped, parts = _grouped(store, domains, part_of, kept)
    return DealtDocuments(
        grouped, parts, by_document, hashes[kept], part_of[kept], tuple(left_out), tuple(notes)
    )


def content_hashes(store: Store) -> np.ndarray:
    """Returns a number of 63 bits for every document, int64 `[N]`: equal for equal words alone."""
    assert isinstance(store.inputs, dict)
    texts = store.inputs[DOCUMENT]
    assert isinstance(texts, Texts)
    return np.array([content_hash(t) for t in texts.all()], np.int64)


def content_hash(document: str) -> int:
    """Returns the number that tells a document again; spaces and lines do not count."""
    digest = hashlib.blake2b(" ".join(document.split()).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _shares_domains(domains: np.ndarray, part_of: np.ndarray) -> bool:
    """Whether `test` has documents of domains that other parts have, too."""
    tested = part_of == PARTS.index("test")
    return bool({*domains[tested].tolist()} & {*domains[~tested].tolist()})


def _check_enough(reading: Reading, number: int) -> None:
    if number < _LEAST:
        raise DataError(
            f"{reading.name} has {number} documents with summaries; learning keeps some apart for "
            f"training, choosing and testing and needs at least {_LEAST}. With a few pairs, use a "
            "learner that others trained: metaloop predict MODEL --support PAIRS DOCUMENT"
        )


def _by_domain(
    domains: np.ndarray, large: list[str], split_seed: int
) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(large)
    dealt_to = assign_parts([ClassInfo(name) for name in names], split_seed)
    place = {names[index]: PARTS.index(part) for part in PARTS for index in dealt_to[part]}
    part_of = np.array([place.get(name, -1) for name in domains])
    return part_of, part_of >= 0


def _by_content(hashes: np.ndarray, published: np.ndarray | None, split_seed: int) -> np.ndarray:
    """The part of each document: the published one, else by its own hash and the seed alone."""
    chance = np.array([_chance(int(each), split_seed) for each in hashes])
    if published is None:
        return _cut(chance, ("train", "search", "promotion", "test"))
    test, there = PARTS.index("test"), {*published.tolist()} - {""}
    part_of = np.full(len(hashes), -1)
    if "test" in there:
        part_of[published == "test"] = test
    pool = np.isin(published, ("train", "val", ""))
    if {"train", "val"} <= there:
        part_of[np.isin(published, ("train", ""))] = PARTS.index("train")
        halves = np.where(chance < 0.5, PARTS.index("search"), PARTS.index("promotion"))
        part_of[published == "val"] = halves[published == "val"]
    elif "test" in there:
        part_of[pool] = _cut(chance[pool], ("train", "search", "promotion"))
    else:
        part_of[pool] = _cut(chance[pool], ("train", "search", "promotion", "test"))
    return part_of


def _cut(chance: np.ndarray, parts: tuple[Part, ...]) -> np.ndarray:
    shares = np.array([_SHARES[part] for part in parts])
    bounds = np.cumsum(shares / shares.sum())[:-1]
    return np.array([PARTS.index(part) for part in parts])[np.searchsorted(bounds, chance, "right")]


def _chance(number: int, seed: int) -> float:
    digest = hashlib.blake2b(f"{number} {seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def _few(domains: np.ndarray, counts: Counter[str], name: str) -> np.ndarray:
    """Domains that are large enough to be in all parts; all others together."""
    large = {each for each, count in counts.items() if count >= _LEAST_OF_FEW and each}
    others = _OTHERS if large else name
    return np.array([each if each in large else others for each in domains], object)


def _why_split(large: int, reading: Reading) -> str:
    if reading.example_parts is not None:
        return "documents are split as published; nothing is known of new domains"
    return (
        f"{_large(large)} and four parts, which need {MIN_CLASSES}: documents are split, and "
        "nothing is known of new domains"
    )


def _why_not_new(large: int, reading: Reading) -> str:
    """Why documents that are all new to a model say nothing of new domains."""
    if reading.example_parts is not None:
        return "documents have a published split: nothing is known of new domains"
    return f"{_large(large)}: to tell of new domains takes {MIN_CLASSES}"


def _large(number: int) -> str:
    several = "" if number == 1 else "s"
    return f"{number} domain{several} of {MIN_DOCUMENTS} documents or more"


def _repeats_across(hashes: np.ndarray, part_of: np.ndarray) -> np.ndarray:
    """Which documents are in an earlier part, too: the parts of `PARTS` in order."""
    first: dict[int, int] = {}
    for number, part in zip(hashes.tolist(), part_of.tolist(), strict=True):
        if part >= 0:
            first[number] = min(part, first.get(number, part))
    return np.array(
        [p >= 0 and first[h] < p for h, p in zip(hashes.tolist(), part_of.tolist(), strict=True)]
    )


def _first_of_task(
    domains: np.ndarray, part_of: np.ndarray, hashes: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    """The first row `[N]` with the same document in the same task; of what is not kept, itself."""
    found = np.arange(len(hashes))
    known: dict[tuple[str, int, int], int] = {}
    for row in np.flatnonzero(keep).tolist():
        found[row] = known.setdefault((domains[row], int(part_of[row]), int(hashes[row])), row)
    return found


def _with_all_summaries(store: Store, first: np.ndarray) -> Store:
    """The store in which a first row has the summaries of its repeats, too, each once."""
    repeats = np.flatnonzero(first != np.arange(len(first)))
    if not len(repeats):
        return store
    assert isinstance(store.inputs, dict)
    column = store.inputs[REFERENCES]
    assert isinstance(column, Texts)
    texts = list(column.all())
    for row in repeats.tolist():
        several = (texts[first[row]] + BETWEEN + texts[row]).split(BETWEEN)
        texts[first[row]] = BETWEEN.join(dict.fromkeys(several))
    return replace(store, inputs={**store.inputs, REFERENCES: Texts.of(texts)})


def _grouped(
    store: Store, domains: np.ndarray, part_of: np.ndarray, rows: np.ndarray
) -> tuple[Store, dict[Part, np.ndarray]]:
    keys = sorted({(str(domains[row]), int(part_of[row])) for row in rows})
    parts_of: dict[str, int] = Counter(domain for domain, _ in keys)
    names = [
        domain if parts_of[domain] == 1 and domain else f"{domain} ({PARTS[part]})".strip()
        for domain, part in keys
    ]
    place = {key: index for index, key in enumerate(keys)}
    targets = [place[(str(domains[row]), int(part_of[row]))] for row in rows]
    everything = np.setdiff1d(np.arange(len(store)), rows)
    kept = store.without(np.empty(0, np.int64), everything)
    grouped = Store(
        kept.inputs,
        torch.tensor(targets, dtype=torch.int64),
        tuple(ClassInfo(name) for name in names),
    )
    parts = {
        part: np.array([i for i, key in enumerate(keys) if key[1] == PARTS.index(part)], np.int64)
        for part in PARTS
    }
    return grouped, parts
