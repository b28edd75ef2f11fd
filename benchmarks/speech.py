"""Speech: plain baselines on words and speakers that nobody trained on, clean and in noise.

    .venv/bin/python benchmarks/speech.py DATA [--episodes 1000] [--features mfcc,pooled,embedding]
        [--learners centroid,LR]
    .venv/bin/python benchmarks/speech.py DATA --write FOLDER

DATA holds `arabic_speech_commands/` (40 Arabic words, 30 speakers; 8 kHz). Words 0 to 23 of the
speakers of its part `train` tune, words 30 to 39 of its six speakers of `test` are asked about:
5 and 10 ways, 1 and 5 shots, 15 queries a word, inductive. Every row is of the same episodes:

    mixed       support and queries of any of the six speakers
    one voice   the support of an episode is of one speaker, its queries are of the five others
    10 dB, 0 dB mixed, with noise (white to brown, another for each recording) in all of them

`--write` makes files for `metaloop learn` and `evaluate` instead: `arabic.npz` (words 0 to 19 of 18
speakers to learn from, 20 to 29 of six others to choose on, 30 to 39 of six others to be asked
about), the same test words in noise (`arabic_10db.npz`, `arabic_0db.npz`), and two sets in another
language: `english.npz` (30 words, of DATA/speech_commands_sample) and `digits.npz` (300 of
DATA/free_spoken_digits, 30 a word).

Centroid: the nearest class mean. LR: logistic regression. Views and strengths are the best on
tasks of the tuning words with as many ways and shots, clean. Two half-widths of 95 % intervals: for
these words, and for new ones.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner, plain_candidates
from metaloop.core.columns import Ragged, Taken
from metaloop.core.learner import Learner
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores, estimate
from metaloop.domains.speech import logmel
from metaloop.domains.speech.embedding import (
    WINDOW_FEATURES,
    WINDOWS,
    SpeechEmbedding,
    pooled,
)
from metaloop.engine.evaluation import score_episodes
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import ClassFamily, episode_list
from metaloop.tasks.readers import read_recordings
from metaloop.tasks.readers.recordings import RATE, decode_recording
from metaloop.tasks.store import Store

PROTOCOLS = ((5, 1), (5, 5), (10, 1), (10, 5))
QUERIES, TUNING_EPISODES = 15, 60
LEARNERS = {"nearest_centroid": "centroid", "logistic_regression": "LR"}
TRAIN_WORDS, TEST_WORDS = 24, 30  # sorted words from 0 to 23, and from 30 on

Features = Callable[[Taken], Tensor]


def arabic(data: Path) -> ClassFamily:
    """Returns the words as recordings: `train` and `test` share no word and no speaker."""
    path = data / "arabic_speech_commands" / "arabic_speech_commands_8k.npz"
    with np.load(path, allow_pickle=False) as file:
        words, speakers = file["label"], file["speaker"]
        part = file["speaker_split"][speakers]
        used = ((words < TRAIN_WORDS) & (part == "train")) | (
            (words >= TEST_WORDS) & (part == "test")
        )
        sound = file["ulaw_table"][file["audio_ulaw"][used]]
        names = file["keywords"][words[used]]
        who = file["speaker_ids"][speakers[used]]
        rate = float(file["sample_rate"])
    store = read_recordings(sound, names, rate, speaker=who, split=part[used]).store
    of = {"train": [], "search": [], "promotion": [], "test": []}  # type: dict[str, list[int]]
    for index, info in enumerate(store.classes):
        of[info.part or "train"].append(index)
    return ClassFamily("arabic", store, {p: np.array(c, np.int64) for p, c in of.items()})  # type: ignore[misc]


CHOICE_WORDS = 20  # sorted words from here on are to choose on, up to 29, where files are written
DIGITS_OF_A_SPEAKER = 5  # of each word


def write(data: Path, folder: Path) -> None:
    """Writes what `metaloop` reads: one npz with X, y, rate, speaker and split for each set."""
    folder.mkdir(parents=True, exist_ok=True)
    path = data / "arabic_speech_commands" / "arabic_speech_commands_8k.npz"
    with np.load(path, allow_pickle=False) as file:
        words, speakers = file["label"], file["speaker"]
        part = file["speaker_split"][speakers]
        wanted = np.where(
            words < CHOICE_WORDS, "train", np.where(words < TEST_WORDS, "val", "test")
        )
        used = part == wanted
        sound = file["ulaw_table"][file["audio_ulaw"][used]]
        names, who = file["keywords"][words[used]], file["speaker_ids"][speakers[used]]
        rate = file["sample_rate"]
    split = wanted[used]
    np.savez(folder / "arabic.npz", X=sound, y=names, rate=rate, speaker=who, split=split)
    asked = split == "test"
    kept = read_recordings(sound[asked], names[asked], float(rate), speaker=who[asked]).store
    for level in (10, 0):
        column = with_noise(kept, level).inputs
        assert isinstance(column, Ragged)
        X = column.values.numpy().reshape(len(kept), -1)
        y = np.array([kept.classes[target].name for target in kept.targets.tolist()])
        voices = np.array([voice.name for voice in kept.voices])
        assert kept.speakers is not None
        np.savez(
            folder / f"arabic_{level}db.npz", X=X, y=y, rate=RATE,
            speaker=voices[kept.speakers.numpy()],
        )  # fmt: skip
    _write_files(
        data / "speech_commands_sample" / "speech_commands_v0.01_sample.zip",
        folder / "english.npz",
        lambda name: (name.split("/")[-2], name.split("/")[-1].partition("_")[0]),
    )
    _write_files(
        data / "free_spoken_digits" / "recordings.zip",
        folder / "digits.npz",
        lambda name: (name.split("/")[-1].split("_")[0], name.split("_")[-2]),
        lambda name: int(name.split("_")[-1].partition(".")[0]) < DIGITS_OF_A_SPEAKER,
    )


def _write_files(
    source: Path,
    target: Path,
    word_and_speaker: Callable[[str], tuple[str, str]],
    wanted: Callable[[str], bool] = lambda name: True,
) -> None:
    samples, words, speakers = [], [], []
    with zipfile.ZipFile(source) as files:
        for name in sorted(files.namelist()):
            if name.endswith(".wav") and "background" not in name and wanted(name):
                samples.append(decode_recording(files.read(name)).samples)
                word, speaker = word_and_speaker(name)
                words.append(word)
                speakers.append(speaker)
    offsets = np.cumsum([0, *map(len, samples)])
    np.savez(
        target, samples=np.concatenate(samples), offsets=offsets, y=np.array(words), rate=RATE,
        speaker=np.array(speakers),
    )  # fmt: skip


_LEAST_POWER = 1e-12


def noisy(clips: Tensor, decibels: Tensor, rng: torch.Generator) -> Tensor:
    """Returns clips `[N, samples]` with noise at these signal-to-noise ratios `[N]`, in decibels.

    The power of a clip is its mean over the samples that are not zero: what was added around a
    word does not count. The power of noise falls with frequency to a power from 0 (white) to 2
    (brown), at random.
    """
    spectrum = torch.fft.rfft(torch.randn(clips.shape, generator=rng))
    places = torch.arange(1, spectrum.shape[1] + 1, dtype=torch.float32)
    slope = torch.rand(len(clips), 1, generator=rng)
    noise: Tensor = torch.fft.irfft(spectrum * places**-slope, clips.shape[1])
    ratio: Tensor = 10 ** (-decibels.to(clips.dtype) / 10)
    heard: Tensor = clips + noise * (ratio * _power(clips) / _power(noise)).sqrt()[:, None]
    return heard


def _power(clips: Tensor) -> Tensor:
    """The mean square of each clip over the samples that are not zero, `[N]`."""
    heard = (clips != 0).sum(1).clamp(min=1)
    power: Tensor = (clips.square().sum(1) / heard).clamp(min=_LEAST_POWER)
    return power


def with_noise(store: Store, decibels: float) -> Store:
    """Returns the recordings with noise that is softer by so many decibels."""
    column = store.inputs
    assert isinstance(column, Ragged)
    values = column.values.clone()
    starts = [0, *column.ends[:-1].tolist()]
    rng = torch_stream(0, "noise", int(decibels))
    for start, end in zip(starts, column.ends.tolist(), strict=True):
        clip = values[start:end].float()[None] / 32768
        heard = noisy(clip, torch.tensor([decibels]), rng)[0] * 32768
        values[start:end] = heard.round().clamp(-32768, 32767).to(torch.int16)
    return replace(store, inputs=Ragged(values, column.ends))


def _pooled(encoder: SpeechEmbedding) -> Features:
    """The mean and the maximum over the windows of the embedding, as it is mostly used."""

    def features(taken: Taken) -> Tensor:
        windows = encoder.encode(taken)[:, : WINDOWS * WINDOW_FEATURES]
        return pooled(windows.reshape(-1, WINDOWS, WINDOW_FEATURES))

    return features


def in_features(family: ClassFamily, store: Store, features: Features) -> ClassFamily:
    """Returns the family with these features of a store's recordings as its inputs."""
    pieces = []
    for rows in torch.split(torch.arange(len(store)), 256):
        taken = store.take(rows)
        pieces.append(features(taken))
    return replace(family, store=replace(store, inputs=torch.cat(pieces)))


def tuned(family: ClassFamily, name: str, spec: TaskSpec) -> tuple[Learner, str]:
    """Returns the learner of this name with the view and the strength that are best on `train`."""
    episodes = episode_list(family, "train", spec, TUNING_EPISODES)
    best: tuple[float, Learner, str] | None = None
    for candidate in plain_candidates(spec):
        if candidate.learner.name != name:
            continue
        learner = build_learner(candidate, family.input_format, spec.objective)
        value = float(_scores(learner, family, spec, episodes).values.mean())
        if best is None or value > best[0]:
            best = value, learner, candidate.label
    assert best is not None
    return best[1], best[2]


def _scores(
    learner: Learner, family: ClassFamily, spec: TaskSpec, episodes: Episodes
) -> EpisodeScores:
    phi = learner.init(spec, torch_stream(0, "plain"))
    return score_episodes(learner, phi, episodes, family.input_format)


def _on(episodes: Episodes, store: Store) -> Episodes:
    return replace(episodes, store=store)


def _figure(scores: EpisodeScores) -> str:
    found = estimate(scores)
    return f"{100 * found.value:.1f} ± {100 * found.ci95:.1f} ({100 * (found.ci95_new or 0):.1f})"


def main() -> None:
    """Prints the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--features", default="mfcc,log_mel,pooled,embedding")
    parser.add_argument("--learners", default=",".join(LEARNERS.values()))
    asked = parser.parse_args()
    if asked.write is not None:
        write(asked.data, asked.write)
        return
    known: Mapping[str, Callable[[], Features]] = {
        "mfcc": lambda: logmel.mfcc,
        "log_mel": lambda: lambda taken: logmel.log_mel(taken).flatten(1),
        "embedding": lambda: SpeechEmbedding().encode,
        "pooled": lambda: _pooled(SpeechEmbedding()),
    }
    family = arabic(asked.data)
    heard = {"clean": family.store}
    heard |= {f"{level} dB": with_noise(family.store, level) for level in (10, 0)}
    titles = " | ".join(f"{ways}w{shots}s" for ways, shots in PROTOCOLS)
    print(f"| features | learner | {titles} |\n|---|---|---|---|---|---|", flush=True)
    for name in asked.features.split(","):
        features = known[name]()
        began = time.process_time()
        seen = {how: in_features(family, store, features) for how, store in heard.items()}
        took = (time.process_time() - began) / (len(heard) * len(family.store))
        for learner, short in LEARNERS.items():
            if short not in asked.learners.split(","):
                continue
            table: dict[str, list[str]] = {}
            for ways, shots in PROTOCOLS:
                clean = seen["clean"]
                spec = clean.spec(ways, shots, QUERIES, part="test")
                best, _ = tuned(clean, learner, spec)
                mixed = episode_list(family, "test", spec, asked.episodes)
                voices = replace(family, one_voice=True)
                apart = episode_list(voices, "test", spec, asked.episodes)
                rows = {"mixed": (mixed, "clean"), "one voice": (apart, "clean")}
                rows |= {how: (mixed, how) for how in heard if how != "clean"}
                for row, (episodes, how) in rows.items():
                    of = _on(episodes, seen[how].store)
                    table.setdefault(row, []).append(_figure(_scores(best, clean, spec, of)))
            for row, figures in table.items():
                print(f"| {name}, {row} | {short} | {' | '.join(figures)} |", flush=True)
        print(f"{name}: {1000 * took:.1f} ms of CPU a recording", flush=True)


if __name__ == "__main__":
    main()
