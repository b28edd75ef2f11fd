"""Spectrograms as a domain: which nets, changes and new classes they have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.sounds import RATE, tune

from metaloop.catalogue.candidates import catalogue_candidates
from metaloop.catalogue.checking_views import check_view
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.nets import build_net
from metaloop.catalogue.sights import seen_as
from metaloop.catalogue.space import space_of
from metaloop.core.errors import ModelFileError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec
from metaloop.engine.sound_augmentation import sound
from metaloop.generators.classes import Classes
from metaloop.generators.sounds import reverse, splice, tempo
from metaloop.tasks.family import class_family
from metaloop.tasks.readers import read_recordings
from metaloop.tasks.store import ClassInfo

FORMAT = InputFormat("spectrogram", (1, 40, 49), (0.5,), (0.2,))
OFF = dict.fromkeys(("shift", "speed", "voice", "colour", "noise", "bands", "frames"), 0.0)
RNG = np.random.default_rng(0)
pytest.importorskip("soxr", reason="metaloop[speech]")


def test_nothing_turns_or_mirrors_a_spectrogram() -> None:
    names = {arm.partition("(")[0] for arm in generator_arms(FORMAT)}
    assert names == {"mix", "prior", "reverse", "splice", "tempo"}
    for candidate in catalogue_candidates(FORMAT, TaskSpec(5, 1, 15, FORMAT.shape)):
        if candidate.plan.style == "none":
            continue
        assert candidate.plan.augmentation.name == "sound"
        for each in space_of(candidate, FORMAT):
            if each.name == "augmentation":
                assert str(each.values) and {"affine", "photo"}.isdisjoint(each.values.values)  # type: ignore[attr-defined]


def test_the_temporal_net_has_six_times_of_features() -> None:
    net = build_net(Choice("temporal", {"widths": [8, 8, 8, 16]}), FORMAT)
    assert net.num_features == 6 * 16
    tensors = net.init(torch_stream(0, "net"))
    maps = torch.rand(3, *FORMAT.shape, generator=torch_stream(0, "maps"))
    assert net(tensors, maps)[0].shape == (3, 96)


def _tone(band: int = 20, first: int = 20, last: int = 30) -> torch.Tensor:
    maps = torch.zeros(200, 1, 40, 49)
    maps[:, :, band, first:last] = 1.0
    return maps


def test_a_shift_moves_in_time_alone_and_a_voice_in_pitch_alone() -> None:
    moved = sound(_tone(), torch_stream(0, "a"), **{**OFF, "shift": 0.2})[:, 0]
    assert float(moved.sum(2).argmax(1).float().std()) == 0
    assert 5 < float(moved.sum(1).argmax(1).float().std()) < 8
    sung = sound(_tone(), torch_stream(0, "a"), **{**OFF, "voice": 0.2})[:, 0]
    assert float(sung.sum(2).argmax(1).float().std()) > 1
    assert torch.equal(sung.sum(1) > 0.01, _tone()[:, 0].sum(1) > 0.01)


def test_speed_makes_a_sound_longer_or_shorter_around_the_middle() -> None:
    heard = sound(_tone(first=15, last=34), torch_stream(0, "a"), **{**OFF, "speed": 0.5})
    lengths = (heard[:, 0].amax(1) > 0.5).sum(1).float()
    assert 12 <= float(lengths.min()) < 15 and 25 < float(lengths.max()) <= 29


def test_noise_fills_what_is_soft_and_leaves_what_is_loud() -> None:
    noisy = sound(_tone(), torch_stream(0, "a"), **{**OFF, "noise": 0.5})[:, 0]
    assert float((noisy[:, 20, 20:30] - 1).abs().max()) < 0.05
    changed = (noisy[:, 0] > 0.1).any(1).float().mean()
    assert 0.25 < float(changed) < 0.6


def _words(number: int = 3, each: int = 4) -> Classes:
    inputs = RNG.integers(0, 256, (number * each, 1, 5, 10))
    infos = tuple(ClassInfo(f"w{k}") for k in range(number))
    return Classes(torch.from_numpy(inputs).to(torch.uint8), np.full(number, each), infos)


def test_backwards_twice_is_forwards_and_a_tempo_of_one_changes_nothing() -> None:
    words = _words()
    assert torch.equal(reverse(reverse(words, RNG), RNG).inputs, words.inputs)
    assert torch.equal(tempo(words, RNG, 1.0).inputs, words.inputs)
    slow = tempo(words, RNG, 0.5)
    assert not torch.equal(slow.inputs, words.inputs) and slow.infos[0].unit == "w0"


def test_a_spliced_word_begins_as_one_class_and_ends_as_another() -> None:
    words = _words()
    made = splice(words, RNG)
    assert torch.equal(made.inputs[..., :5], words.inputs[..., :5])
    for label, info in enumerate(made.infos):
        other = int(info.name.partition("splice(w")[2][0])
        assert other != label
        ends = words.inputs[words.labels == other][..., 5:].flatten(1).tolist()
        rows = made.inputs[made.labels == label][..., 5:].flatten(1).tolist()
        assert all(row in ends for row in rows)


@pytest.mark.parametrize("seed", range(3))
def test_changed_spectrograms_stay_in_their_range_but_for_noise(seed: int) -> None:
    maps = torch.rand(50, 1, 40, 49, generator=torch_stream(seed, "maps"))
    changed = sound(maps, torch_stream(seed, "a"))
    assert float(changed.min()) >= 0 and float(changed.max()) < 1.3


def test_recordings_are_seen_as_spectrograms_too_or_alone_if_that_is_asked_for() -> None:
    said = [(tune(word, 0, take), f"w{word}") for word in range(16) for take in range(3)]
    sounds, words = map(list, zip(*said, strict=True))
    family, _ = class_family(read_recordings(sounds, words, RATE))
    seen, told = seen_as(family, None, "none")
    own, maps = seen.input_format, seen.seen("log_mel").input_format
    assert seen.views == ("", "log_mel")
    assert (own.kind, maps.kind, maps.shape) == ("vector", "spectrogram", (1, 40, 49))
    assert len(maps.mean) == 1 and any("spectrograms" in line for line in told)
    alone, _ = seen_as(family, "log_mel", "none")
    assert alone.view is not None and alone.views == ("",)
    assert alone.input_format == maps
    assert check_view(alone.view, maps) == {}
    with pytest.raises(ModelFileError, match="sees inputs as spectrograms"):
        check_view(alone.view, own)
