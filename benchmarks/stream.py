"""Words in a long recording: how many are heard, and how many alarms an hour are false.

    .venv/bin/python benchmarks/speech.py DATA --write sets
    .venv/bin/metaloop learn sets/arabic.npz --backbone speech --budget 60s --out runs/words
    .venv/bin/python benchmarks/stream.py sets/arabic.npz runs/words/model.metaloop
        [--tasks 5] [--ways 5] [--shots 5] [--minutes 10] [--reject 0.05] [--seed 0]

A task is `--ways` of the test words, `--shots` recordings of each as support. Its recording is
`--minutes` long: other recordings of these words and of all other test words, in random order and
equally often, behind pauses of one to three seconds, in soft noise throughout (30 dB below them).
The real command listens: `metaloop predict --window 1s --step 0.1s`, with `--reject` and without.
A word is heard where a line that says it overlaps with where it was said; a line of what was not
said there is a false alarm: of an hour of this recording, and of a hundred other words.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from metaloop.core.randomness import numpy_stream

PAUSES = 1.0, 3.0  # seconds
SOFTER = 30.0  # decibels, of the noise


@dataclass(frozen=True)
class Said:
    """A word in a recording, from `start` to `end` in seconds; `known`: it is one of the task's."""

    word: str
    start: float
    end: float
    known: bool


def support_and_stream(
    data: dict[str, np.ndarray], asked: argparse.Namespace, task: int, folder: Path
) -> list[Said]:
    """Writes a task's support and its long recording; returns what is said in it."""
    rng, rate = numpy_stream(asked.seed, "stream", task), int(data["rate"])
    test = np.flatnonzero(data["split"] == "test")
    words = rng.permutation(np.unique(data["y"][test]))
    of = {word: rng.permutation(test[data["y"][test] == word]) for word in words}
    known = set(words[: asked.ways])
    for word in known:
        (folder / "support" / word).mkdir(parents=True)
        for row in of[word][: asked.shots]:
            soundfile.write(folder / "support" / word / f"{row}.wav", data["X"][row], rate)
    left = rng.permutation(np.concatenate([of[word][asked.shots :] for word in words]))
    pieces: list[np.ndarray] = []
    said: list[Said] = []
    length = 0
    for row in left:
        pause = np.zeros(int(rate * rng.uniform(*PAUSES)), data["X"].dtype)
        start = (length + len(pause)) / rate
        pieces += [pause, data["X"][row]]
        length += len(pause) + len(data["X"][row])
        word = str(data["y"][row])
        said.append(Said(word, start, length / rate, word in known))
        if length >= 60 * rate * asked.minutes:
            break
    sound = np.concatenate(pieces).astype(np.float64)
    power = np.mean(np.concatenate(pieces[1::2]).astype(np.float64) ** 2)
    sound += rng.normal(size=len(sound)) * np.sqrt(power * 10 ** (-SOFTER / 10))
    soundfile.write(folder / "long.wav", sound.round().clip(-32768, 32767).astype(np.int16), rate)
    return said


def heard(model: Path, folder: Path, reject: float | None) -> list[dict[str, Any]]:
    """Returns the lines of `metaloop predict`."""
    command = [sys.executable, "-m", "metaloop", "predict", str(model), "--json"]
    command += ["--support", str(folder / "support"), "--window", "1s", "--step", "0.1s"]
    command += ["--reject", str(reject)] if reject is not None else []
    done = subprocess.run([*command, str(folder / "long.wav")], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["predictions"]
    return found


def counted(said: list[Said], lines: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Returns how many of the task's words were heard, and false alarms; those at other words."""
    right = [
        any(_overlap(one, line) and line["label"] == one.word for line in lines)
        for one in said
        if one.known
    ]
    false = [
        line
        for line in lines
        if not any(_overlap(one, line) and line["label"] == one.word for one in said)
    ]
    at_others = sum(any(_overlap(one, line) and not one.known for one in said) for line in false)
    return sum(right), len(false), at_others


def _overlap(one: Said, line: dict[str, Any]) -> bool:
    return bool(line["start"] < one.end and line["end"] > one.start)


def main() -> None:
    """Prints a row with the threshold and one without."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--reject", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with np.load(asked.data, allow_pickle=False) as file:
        data = {name: file[name] for name in file}
    found: dict[str, list[tuple[float, ...]]] = {}
    for task in range(asked.tasks):
        with tempfile.TemporaryDirectory() as folder:
            said = support_and_stream(data, asked, task, Path(folder))
            hours = soundfile.info(Path(folder) / "long.wav").duration / 3600
            known, others = (sum(one.known is side for one in said) for side in (True, False))
            for name, reject in (("with the threshold", asked.reject), ("without", None)):
                right, false, at_others = counted(said, heard(asked.model, Path(folder), reject))
                row = (100 * right / known, false / hours, 100 * at_others / others)
                found.setdefault(name, []).append(row)
                print(f"task {task}, {name}: {right} of {known} words, {false} false", flush=True)
    print("\n| | words heard, % | false alarms an hour | at 100 other words |\n|---|---|---|---|")
    for name, rows in found.items():
        mean, spread = np.mean(rows, 0), np.std(rows, 0, ddof=1) if len(rows) > 1 else [np.nan] * 3
        cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n± is one standard deviation over {asked.tasks} tasks")


if __name__ == "__main__":
    main()
