"""Tasks whose support is of one speaker and whose queries are of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.examples import EpisodeBatch
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Plan
from metaloop.core.spec import TaskSpec
from metaloop.engine.batches import BatchSource
from metaloop.tasks.family import ClassFamily, episode_list
from metaloop.tasks.store import ClassInfo, Store
from metaloop.tasks.voices import usual_words

WORDS, SPEAKERS, TAKES = 6, 3, 3


def family(without: int = 0) -> ClassFamily:
    """Six words, each said three times by three speakers; the last speaker lacks some words."""
    rows = [
        (word, speaker)
        for word in range(WORDS)
        for speaker in range(SPEAKERS)
        for _ in range(TAKES)
        if not (speaker == SPEAKERS - 1 and word < without)
    ]
    words, speakers = (torch.tensor(column) for column in zip(*rows, strict=True))
    inputs = torch.arange(len(rows), dtype=torch.float32)[:, None]
    infos = tuple(ClassInfo(f"word{k}") for k in range(WORDS))
    voices = tuple(ClassInfo(f"speaker{k}") for k in range(SPEAKERS))
    store = Store(inputs, words, infos, speakers=speakers, voices=voices)
    parts = {"train": np.arange(0), "search": np.arange(0), "promotion": np.arange(0)}
    return ClassFamily("said", store, {**parts, "test": np.arange(WORDS)}, one_voice=True)  # type: ignore[dict-item]


@pytest.mark.parametrize("without", [0, 3])
def test_a_support_has_one_speaker_and_its_queries_have_others(without: int) -> None:
    said = family(without)
    spec = said.spec(4, 2, 5, part="test")
    episodes = episode_list(said, "test", spec, 40)
    assert said.store.speakers is not None
    speakers, words = said.store.speakers.numpy(), said.store.targets.numpy()
    heard = set()
    for task in range(40):
        support, query = episodes.support.examples[task], episodes.query.examples[task]
        query = query[episodes.query.mask[task]]
        (one,) = set(speakers[support])
        assert one not in speakers[query]
        assert len(set(support)) == len(support) and len(set(query)) == len(query)
        assert len(set(words[support])) == 4 and set(words[query]) == set(words[support])
        heard.add(int(one))
    assert heard == ({0, 1} if without else {0, 1, 2})  # three words are not enough
    again = episode_list(said, "test", spec, 40)
    assert again.list_hash == episodes.list_hash


def test_queries_are_masked_where_others_have_said_less() -> None:
    said = family(3)
    episodes = episode_list(said, "test", said.spec(6, 1, 7, part="test"), 10)
    counts = episodes.query.mask.reshape(10, 6, 7).sum(-1)
    assert set(counts.ravel()) == {3, 6}  # one other speaker, or two


def test_too_few_words_of_one_speaker_and_unknown_speakers_are_refused() -> None:
    said = family()
    rng = numpy_stream(0, "refused")
    with pytest.raises(EpisodeError, match="no speaker has said 5 words 4 times"):
        said.sample("test", TaskSpec(5, 4, 2, (1,)), 1, rng)
    unknown = replace(said, store=replace(said.store, speakers=None))
    with pytest.raises(DataError, match="speakers are to be kept apart and are not known"):
        unknown.sample("test", TaskSpec(2, 1, 1, (1,)), 1, rng)


def training(apart: float, tasks: int, without: int = 0) -> list[tuple[float, EpisodeBatch]]:
    """Returns the batches of twenty steps on the words; an input is the number of its recording."""
    said = family(without)
    said = replace(said, parts={**said.parts, "train": said.parts["test"]}, one_voice=False)
    plan = Plan("episodes", tasks, ways=6, shots=1, queries=3, one_voice=apart)
    source = BatchSource(said, plan, seed=0)
    return [batch for step in range(20) for batch in source.batches(step)]  # type: ignore[misc]


def test_a_share_of_the_training_episodes_is_of_one_voice_and_weighs_as_much() -> None:
    speakers = family().store.speakers
    assert speakers is not None

    def share(apart: float) -> float:
        alone = 0.0
        for weight, batch in training(apart, 4):
            rows = (side.features[..., 0].long() for side in (batch.support, batch.query))
            support, query = (speakers[side] for side in rows)
            if bool((support == support[:, :1]).all()) and bool((query != support[:, :1]).all()):
                alone += weight
        return alone / 20

    assert share(0.0) == 0
    assert share(0.5) == 0.5
    assert share(1.0) == 1


def test_episodes_of_one_voice_have_as_many_words_as_half_of_the_speakers_know() -> None:
    assert {batch.support.num_classes for _, batch in training(1.0, 1)} == {6}
    assert {batch.support.num_classes for _, batch in training(1.0, 1, without=2)} == {6}
    no_speakers = replace(family().store, speakers=None, voices=())
    assert usual_words(no_speakers, np.arange(WORDS), 1) == 0
    assert usual_words(family().store, np.arange(WORDS), TAKES + 1) == 0
