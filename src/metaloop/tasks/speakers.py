"""Speakers that are kept apart: who is heard in `test` is heard in no other part, if possible.

Words are dealt into parts first. Then speakers are, in one of these ways, of which the first is
taken that leaves every part enough to make tasks of:

1. every part has speakers of its own, 50 / 12.5 / 12.5 / 25 % of them or as published;
2. `test` has speakers of its own, and the other parts share the rest;
3. all parts share all speakers.

An example is used where the part of its word is one in which its speaker may be heard. Enough are
6 examples (5 to learn from and 1 to ask about) in each of 5 classes, or in as many as there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from metaloop.core.errors import DataError
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS, Part
from metaloop.tasks.split import MIN_CLASSES, assign_parts
from metaloop.tasks.store import LeftOut, Store

_ENOUGH_EXAMPLES, _ENOUGH_CLASSES = 6, 5
_LEAST_SPEAKERS = 4  # so that one of four, a quarter, is heard in `test` alone
_TEST_SHARE = 0.25
_TEST = PARTS.index("test")

APART = "their word and their speaker are in different parts: every part has speakers of its own"
TEST_APART = "their word and their speaker are in different parts: 'test' has speakers of its own"
SHARED = "not kept apart: too few of them, or too few recordings of each"


def apart_by_speaker(
    store: Store, parts: Mapping[Part, np.ndarray], split_seed: int = 0
) -> tuple[np.ndarray, tuple[LeftOut, ...]]:
    """Returns the sorted indices of examples to leave out, int64, and what is to be said of it.

    `parts` holds class indices. Nothing is left out where no speakers are known. Names of speakers
    and the seed decide, never their order.
    """
    if store.speakers is None:
        return np.empty(0, np.int64), ()
    targets, speakers = store.targets.cpu().numpy(), store.speakers.cpu().numpy()
    part_of = np.full(len(store.classes), _TEST)
    for index, part in enumerate(PARTS):
        part_of[parts[part]] = index
    here = part_of[targets]
    for told, may_be_heard in _ways(store, split_seed):
        keep = may_be_heard[here, speakers]
        if _enough(targets, part_of, keep):
            gone = np.flatnonzero(~keep)
            return gone, (LeftOut("recordings", told, len(gone)),) if len(gone) else ()
    return np.empty(0, np.int64), (LeftOut("the speakers", SHARED, len(store.voices)),)


def _ways(store: Store, split_seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """What to say of each way, and who may be heard in which part, bool `[4, speakers]`."""
    number = len(store.voices)
    published = any(voice.part for voice in store.voices)
    if published or number >= MIN_CLASSES:
        try:
            dealt = assign_parts(store.voices, split_seed)
        except DataError:  # a published split of few speakers
            dealt = None
        if dealt is not None:
            apart = np.zeros((len(PARTS), number), bool)
            for index, part in enumerate(PARTS):
                apart[index, dealt[part]] = True
            yield APART, apart
            yield TEST_APART, _only_in_test(apart[_TEST])
            return
    if published:
        yield TEST_APART, _only_in_test(np.array([v.part == "test" for v in store.voices]))
    elif number >= _LEAST_SPEAKERS:
        order = sorted(range(number), key=lambda index: store.voices[index].name)
        mixed = numpy_stream(split_seed, "speakers").permutation(number)
        in_test = np.zeros(number, bool)
        in_test[[order[i] for i in mixed[: round(_TEST_SHARE * number)]]] = True
        yield TEST_APART, _only_in_test(in_test)


def _only_in_test(in_test: np.ndarray) -> np.ndarray:
    return np.stack([in_test if index == _TEST else ~in_test for index in range(len(PARTS))])


def _enough(targets: np.ndarray, part_of: np.ndarray, keep: np.ndarray) -> bool:
    """Whether every part has classes enough of which enough is kept."""
    before = np.bincount(targets, minlength=len(part_of)) >= _ENOUGH_EXAMPLES
    after = np.bincount(targets[keep], minlength=len(part_of)) >= _ENOUGH_EXAMPLES
    return all(
        after[part_of == index].sum() >= min(_ENOUGH_CLASSES, before[part_of == index].sum())
        for index in range(len(PARTS))
    )
