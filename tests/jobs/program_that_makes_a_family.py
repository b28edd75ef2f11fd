"""Makes a generated family as a worker does, reads all of it; prints bytes of data and memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

from metaloop.core.columns import tensors_of
from metaloop.engine.memory import give_back, keep_large_blocks
from metaloop.jobs.workplace import TrainingData, Workplace
from metaloop.tasks.family import ClassFamily


def held() -> int:
    """Bytes of memory that are this process's alone."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def most() -> int:
    """Bytes of memory that it has had at most, mapped files among them."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    place = Workplace(Path(sys.argv[1]))
    keep_large_blocks()  # as workers do
    before_most, before_held = most(), held()
    made = place.training_family(TrainingData(text="rotate(90)", seed=1))
    assert isinstance(made, ClassFamily)
    tensors = tensors_of(made.store.inputs)  # the run's own examples, and those that were made
    for tensor in tensors:
        for piece in torch.split(tensor, 256):
            piece.float().mean()
    give_back()  # what reading has worked with, as a worker does after a job
    data = sum(tensor.nbytes for tensor in tensors)
    sys.stdout.write(f"{data} {most() - before_most} {held() - before_held}\n")
