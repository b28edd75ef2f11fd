"""Modules lent to one caller at a time, because a stateless call changes a module while it runs.

`torch.func.functional_call` puts the caller's tensors into the module and takes them out again, and
batch norm is told there whose statistics to use. A second thread in the same module meanwhile would
compute with the first one's tensors, without an error. So each call has a module for itself:

- of a net that metaloop built, a copy of the structure, which shares all tensors; there are never
  more copies than calls at one time, and each is made once;
- a module of the user's own is never copied, for it may hold what a copy does not (a function that
  refers to the module, a handle): calls wait for each other, each for one pass forward at most.
  There is one lock for all such modules, as several nets may be made of one module, or share parts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from metaloop.core.forking import ForkableLock
from metaloop.nets.norm import BatchNorm

users_modules = ForkableLock()


@dataclass(frozen=True, eq=False)
class Lent:
    """A module that its borrower alone uses, and its batch norms."""

    module: nn.Module
    norms: tuple[BatchNorm, ...]


class Lending:
    """Lends `module`; it is not to be called by anybody else once this is made."""

    def __init__(self, module: nn.Module, copied: bool) -> None:
        self._module = module
        self._copied = copied
        # the module of a copied net is a pattern that nobody calls, so that it can be copied always
        self._idle = [self._copy() if copied else _lent(module)]

    @contextmanager
    def borrowed(self) -> Iterator[Lent]:
        """Lends a module until the end of the `with`; only one that is not copied is waited for."""
        if not self._copied:
            with users_modules:
                yield self._idle[0]
            return
        try:
            lent = self._idle.pop()  # one operation: two threads never get the same
        except IndexError:
            lent = self._copy()
        try:
            yield lent
        finally:
            self._idle.append(lent)

    def _copy(self) -> Lent:
        shared: dict[int, Any] = {id(tensor): tensor for tensor in _tensors(self._module)}
        return _lent(copy.deepcopy(self._module, shared))

    def __getstate__(self) -> dict[str, Any]:
        return {"_module": self._module, "_copied": self._copied}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_module"], state["_copied"])  # type: ignore[misc]


def _lent(module: nn.Module) -> Lent:
    return Lent(module, tuple(part for part in module.modules() if isinstance(part, BatchNorm)))


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()
