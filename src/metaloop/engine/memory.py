"""Keeping large blocks of memory: glibc gives them back to the kernel at every free.

Each training step allocates the same activations again; faulting returned memory in anew costs time
(benchmarks/training_step.py compares).
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_KEEP_BYTES = 1 << 30


def keep_large_blocks() -> bool:
    """Tells glibc to keep freed blocks up to 1 GiB; returns whether it took effect."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        kept = libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        trimmed = libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
    except (OSError, AttributeError):  # another libc: nothing to tune
        return False
    return bool(kept and trimmed)


def give_back() -> None:
    """Gives freed memory back to the kernel after all, where a job has held much for a moment."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
