"""Tasks whose support is of one speaker and whose queries are of others.

Whoever teaches a device a few words is one person, and others are to be understood as well. Drawn
without this, support and queries share voices, and a learner that knows voices looks better than it
is. For each task a speaker is drawn who has said enough of the words, then words, then recordings.
"""

from __future__ import annotations

import numpy as np

from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.spec import TaskSpec
from metaloop.tasks.episodes import Indices
from metaloop.tasks.store import Store


def one_voice(
    name: str,
    store: Store,
    classes: np.ndarray,
    spec: TaskSpec,
    num_tasks: int,
    rng: np.random.Generator,
) -> tuple[Indices, Indices]:
    """Returns the supports and the queries of tasks with words of `classes`.

    A word takes part in a speaker's task if they have said it `shots` times or more and others have
    said it. Where others have said it less than `queries` times, the rest is masked. Raises
    `DataError` where speakers are not known, and `EpisodeError` if nobody has said enough words.
    """
    if store.speakers is None:
        raise DataError(
            f"{name}: speakers are to be kept apart and are not known; name them with "
            "--speaker-pattern or a column 'speaker'"
        )
    by_speaker = _by_speaker(store, classes, spec.shots)
    able = [speaker for speaker, words in by_speaker.items() if len(words) >= spec.ways]
    if not able:
        most = max(map(len, by_speaker.values()), default=0)
        raise EpisodeError(
            f"{name}: no speaker has said {spec.ways} words {spec.shots} times that others have "
            f"said, too (the most is {most} words); lower --ways or --shots"
        )
    speakers = store.speakers.cpu().numpy()
    support, query = (
        Indices(
            np.zeros((num_tasks, spec.ways * each), np.int64),
            np.tile(np.repeat(np.arange(spec.ways), each), (num_tasks, 1)),
            np.zeros((num_tasks, spec.ways * each), bool),
        )
        for each in (spec.shots, spec.queries)
    )
    for task in range(num_tasks):
        heard = able[int(rng.integers(len(able)))]
        for place, word in enumerate(rng.permutation(by_speaker[heard])[: spec.ways]):
            rows = store.examples_of[word]
            own = rows[speakers[rows] == heard]
            others = rows[speakers[rows] != heard]
            _put(support, task, place, rng.permutation(own)[: spec.shots], spec.shots)
            _put(query, task, place, rng.permutation(others)[: spec.queries], spec.queries)
    return support, query


def usual_words(store: Store, classes: np.ndarray, shots: int) -> int:
    """Returns how many words of `classes` half of the speakers could teach; 0 if none are known.

    A word counts for those who have said it `shots` times or more, if others have said it, too.
    """
    if store.speakers is None:
        return 0
    numbers = [len(words) for words in _by_speaker(store, classes, shots).values()]
    return int(np.median(numbers)) if numbers else 0


def _by_speaker(store: Store, classes: np.ndarray, shots: int) -> dict[int, np.ndarray]:
    """The words of each speaker's tasks, by speaker."""
    assert store.speakers is not None
    speakers = store.speakers.cpu().numpy()
    said = np.zeros((len(classes), len(store.voices)), np.int64)
    for place, word in enumerate(classes):
        said[place] = np.bincount(speakers[store.examples_of[word]], minlength=len(store.voices))
    fit = (said >= shots) & (said.sum(1, keepdims=True) > said)
    heard = np.flatnonzero(said.any(0)).tolist()
    return {speaker: classes[fit[:, speaker]] for speaker in heard}


def _put(side: Indices, task: int, place: int, rows: np.ndarray, each: int) -> None:
    there = slice(place * each, place * each + len(rows))
    side.examples[task, there] = rows
    side.mask[task, there] = True
