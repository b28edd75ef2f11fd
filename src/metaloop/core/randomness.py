"""Random streams that are named, not shared: the same seed and names give the same numbers.

No global generator is ever seeded or drawn from. Training derives one stream per step, so a
resumed run needs no saved generator state to go on bit-equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from metaloop.core.forking import ForkableLock

_global_generators = ForkableLock()


def derive_seed(seed: int, *names: str | int) -> int:
    """Returns a 63-bit seed that depends on `seed` and on every name, in order."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def seeded_modules(
    seed: int, *names: str | int, device: str | torch.device = "cpu"
) -> Iterator[None]:
    """Lets torch modules that draw from the global generators (dropout, initialisers) be repeated.

    Inside, these generators start from this seed and these names (without names, from the seed
    itself); afterwards they are as before. Threads take turns inside, as there is one of each.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with _global_generators, torch.random.fork_rng(devices=devices):
        drawn = derive_seed(seed, *names) if names else seed
        torch.default_generator.manual_seed(drawn)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(drawn)
        yield


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Returns a NumPy generator of its own for this seed and these names.

    >>> numpy_stream(0, "step", 7).random() == numpy_stream(0, "step", 7).random()
    True
    """
    return np.random.default_rng(derive_seed(seed, *names))


def torch_stream(
    seed: int, *names: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Returns a torch generator on `device` for this seed and these names."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))
