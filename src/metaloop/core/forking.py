"""What a forked child needs before it can compute: locks that are free, and one thread.

A child has the parent's memory but only the thread that forked. Locks that other threads held stay
held for ever in it, and OpenMP waits for its pool of threads, which is gone: whatever computes on
several threads hangs, torch as well as what scikit-learn computes with an OpenMP of its own. So
locks are new in a child, and every OpenMP is limited to one thread there (as in the workers of
torch's own data loaders), until the child asks for more.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from types import TracebackType
from weakref import WeakSet

import torch
from threadpoolctl import ThreadpoolController

from metaloop.core.errors import MetaloopError

_locks: WeakSet[ForkableLock] = WeakSet()
_pools: list[ThreadpoolController] = []  # found before a fork: a child should not search libraries
_forked = False


class ForkableLock(AbstractContextManager[None]):
    """A lock that the same thread may take again, and that is free in a forked child."""

    def __init__(self) -> None:
        self.renew()
        _locks.add(self)

    def renew(self) -> None:
        """Forgets who holds it: for a child whose only thread cannot."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()


def check_device(device: torch.device) -> None:
    """Raises `MetaloopError` in a forked child for a device whose driver cannot be used there."""
    if _forked and device.type not in ("cpu", "meta"):
        raise MetaloopError(
            f"the model is on {device}, which a forked process cannot use; start processes by "
            f"'spawn', use threads, or load the model on the CPU"
        )


def _before_fork() -> None:
    _pools[:] = [ThreadpoolController().select(user_api="openmp")]


def _in_child() -> None:
    global _forked
    _forked = True
    for lock in list(_locks):
        lock.renew()
    torch.set_num_threads(1)
    for pool in _pools:
        pool.limit(limits=1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
