"""Random streams that are named, not shared: the same seed and names give the same numbers.

No global generator is ever seeded or drawn from. Training derives one stream per step, so a
resumed run needs no saved generator state to go on bit-equal.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Returns a 63-bit seed that depends on `seed` and on every name, in order."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Returns a NumPy generator of its own for this seed and these names."""
    return np.random.default_rng(derive_seed(seed, *names))


def torch_stream(
    seed: int, *names: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Returns a torch generator on `device` for this seed and these names."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))
