"""Training on more images than memory holds, against training on images in memory: a ratio.

    python benchmarks/mapped.py --folder FOLDER [--images 2000000] [--memory 3.0] [--steps 40]

Builds a store of synthetic colour images of 32 pixels in FOLDER (6.2 GB for two million; removed
afterwards) as `metaloop data --cache` does, opens it as every verb does, and trains the same
learner in turn on it and on a part of it that is in memory: a step here, a step there.

Memory is what cannot be taken from the process (`RssAnon`) plus the pages of the store that are in
memory (`mincore`). A thread lets all of those go as soon as both together pass the limit, as a
machine of that size would have to; so pages are read again from the disk. Said are the largest sum
that was seen, the largest `RssAnon`, and the ratio of the median seconds of a step.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue import open_data
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.core.budget import Budget
from metaloop.core.columns import pieces_of
from metaloop.core.large import pieces, room
from metaloop.engine.beginning import initial_state
from metaloop.engine.training import _Run
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.stored import write_stored
from metaloop.tasks.store import ClassInfo, Reading, Store

_EACH = 1000  # images of a class
_SIDE, _IN_MEMORY = 32, 40_000  # pixels; images of the set that is in memory
_FEWEST = 16  # images of a class: a step's support and queries
_SAMPLED, _LET_GO = 0.05, 0.85  # seconds; of the limit, as more comes before the next look
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Builds the store in one process and trains in another, so that each has its own peak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=2_000_000)
    parser.add_argument("--memory", type=float, default=3.0, help="GB that may be used")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--only", choices=["build", "train"])
    parser.add_argument("--keep", action="store_true", help="do not remove the store")
    asked = parser.parse_args()
    file = asked.folder / "synthetic.store"
    if asked.only is not None:
        done = build(file, asked.images) if asked.only == "build" else train(file, asked)
        print(json.dumps(done))
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    try:
        for only in ("build", "train"):
            if only == "build" and file.exists():
                continue
            again = [sys.executable, __file__, *sys.argv[1:], "--only", only]
            print(only, subprocess.run(again, check=True, capture_output=True, text=True).stdout)
    finally:
        if not asked.keep:
            file.unlink(missing_ok=True)


def build(file: Path, number: int) -> dict[str, float]:
    """Writes the store, images from a file that is mapped as those of a folder would be."""
    os.environ.setdefault("TMPDIR", str(file.parent))
    rng = np.random.default_rng(0)
    inputs = room((number, 3, _SIDE, _SIDE))
    patterns = rng.integers(0, 192, (number // _EACH + 1, 3, 4, 4), np.uint8)
    for rows in pieces(inputs):
        classes = np.arange(number)[rows] // _EACH
        noise = rng.integers(0, 64, (len(classes), 3, 8, 8), np.uint8)
        noise += patterns[classes].repeat(2, 2).repeat(2, 3)
        inputs[rows] = noise.repeat(4, 2).repeat(4, 3)
    targets = torch.arange(number) // _EACH
    infos = tuple(ClassInfo(f"class {c:05d}") for c in range(int(targets[-1]) + 1))
    reading = Reading("synthetic", "images", Store(torch.from_numpy(inputs), targets, infos))
    peak, wall, cpu = Watch(None, np.inf), time.perf_counter(), time.process_time()
    with peak:
        write_stored(reading, file, None, ReadOptions())
    return {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "anonymous_gb": peak.anonymous / 1e9,
        "file_gb": file.stat().st_size / 1e9,
    }


def train(file: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Times steps on the store and on a part of it in memory, in turn."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    opened = open_data(file)
    mapped = opened.family.as_classes
    assert mapped is not None
    inputs = [piece for piece in pieces_of(mapped.store.inputs) if isinstance(piece, Tensor)]
    with Watch(inputs, asked.memory * 1e9) as watch:
        assert mapped.input_format.shape == (3, _SIDE, _SIDE)  # measured on `train`
        opening = time.perf_counter() - start
        runs = {"memory": run_of(in_memory(mapped)), "mapped": run_of(mapped)}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for step in range(asked.steps):
            for name in sorted(runs, reverse=bool(step % 2)):
                began = time.perf_counter()
                runs[name].step()
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each[3:]) for name, each in seconds.items()}
    return {
        "opening_seconds": opening,
        "step_in_memory": medians["memory"],
        "step_mapped": medians["mapped"],
        "ratio": medians["mapped"] / medians["memory"],
        "ratio_of_sums": sum(seconds["mapped"][3:]) / sum(seconds["memory"][3:]),
        "anonymous_gb": watch.anonymous / 1e9,
        "memory_gb": watch.largest / 1e9,
        "times_let_go": watch.let_go,
        "examples": len(mapped.store),
    }


def in_memory(family: ClassFamily) -> ClassFamily:
    """Some images of every class, copied: of as many classes, so that steps have the same sizes."""
    store = family.store
    classes = len(store.classes)
    each = max(_FEWEST, min(_IN_MEMORY // classes, _EACH))
    rows = (torch.arange(classes)[:, None] * _EACH + torch.arange(each)).flatten()
    small = Store(store.taken(rows), store.targets[rows].clone(), store.classes)
    return replace(
        class_family(Reading("small", "images", small))[0], given_format=family.input_format
    )


def run_of(family: ClassFamily) -> _Run:
    """A training of the default net under prototypical networks."""
    spec = family.spec(5, 1)
    candidate = make_candidate("protonet", family.input_format, spec)
    learner = build_learner(candidate, family.input_format, spec.objective)
    state = initial_state(learner, family, spec, 0)
    return _Run(learner, family, candidate.plan, Budget(steps=10_000), spec, 0, state)


class Watch:
    """Samples the memory of this process, and lets pages of mapped tensors go beyond a limit."""

    def __init__(self, mapped: list[Tensor] | None, limit: float) -> None:
        self.anonymous = self.largest = 0
        self.let_go = 0
        self._mapped, self._limit = mapped or [], limit
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._libc = ctypes.CDLL("libc.so.6", use_errno=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLED):
            anonymous = anonymous_bytes()
            resident = sum(self._resident(*extent(tensor)) for tensor in self._mapped)
            self.anonymous = max(self.anonymous, anonymous)
            self.largest = max(self.largest, anonymous + resident)
            if anonymous + resident > _LET_GO * self._limit:
                self.let_go += 1
                for tensor in self._mapped:
                    address, length = extent(tensor)
                    self._libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), 4)
                drop_cache(self._mapped)

    def _resident(self, address: int, length: int) -> int:
        pages = np.empty(-(-length // _PAGE), np.uint8)
        self._libc.mincore(
            ctypes.c_void_p(address), ctypes.c_size_t(length), pages.ctypes.data_as(ctypes.c_void_p)
        )
        return int((pages & 1).sum()) * _PAGE


def extent(tensor: Tensor) -> tuple[int, int]:
    """The pages that a tensor is in: where they begin, and how many bytes they are."""
    start = tensor.data_ptr() // _PAGE * _PAGE
    return start, tensor.data_ptr() + tensor.nbytes - start


def drop_cache(mapped: list[Tensor]) -> None:
    """Asks the kernel to drop the pages of the files that these tensors are mapped from."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        words = line.split(maxsplit=5)
        low, high = (int(each, 16) for each in words[0].split("-"))
        if any(low <= tensor.data_ptr() < high for tensor in mapped) and len(words) > 5:
            with contextlib.suppress(OSError), open(words[5], "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def anonymous_bytes() -> int:
    """What of this process cannot be written back to a file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
