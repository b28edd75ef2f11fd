"""Queries that are asked at the same time are answered together, by one thread of each model.

A query waits for others only while some are known to be on their way (being read or decoded), and
never longer than a few milliseconds: who asks alone does not wait.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")


@dataclass(frozen=True, eq=False)
class _Waiting:
    """What was asked, and where the answer goes."""

    asked: Any
    future: asyncio.Future[Any]


class Batcher(Generic[Asked, Told]):
    """A thread that calls `answer` on what has been asked, at most `most` at once.

    `answer` returns one answer for each, or the exception that it is to be refused with. `told`
    is called with the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Told | Exception]],
        most: int,
        wait_seconds: float,
        told: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._answer, self._most, self._wait, self._told = answer, most, wait_seconds, told
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._expected = 0
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While inside, one more query may come; of the event loop's thread alone."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    async def ask(self, asked: Asked) -> Told:
        """Returns the answer, or raises what it is refused with."""
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(asked, future))
        return await future

    def close(self) -> None:
        """Lets the thread end once what was asked is answered."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ended = self._gathered(first)
            self._settle(batch)
            if ended:
                return

    def _gathered(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """What is asked by now and within the wait; and whether it was the last."""
        batch, until = [first], time.monotonic() + self._wait
        while len(batch) < self._most:
            left = until - time.monotonic()
            waits = self._expected > len(batch) and left > 0
            try:
                more = self._queue.get(timeout=left) if waits else self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return batch, True
            batch.append(more)
        return batch, False

    def _settle(self, batch: Sequence[_Waiting]) -> None:
        wanted = [each for each in batch if not each.future.cancelled()]
        if not wanted:
            return
        found: Sequence[Any]
        try:
            self._told(len(wanted))
            found = self._answer([each.asked for each in wanted])
        except Exception as error:
            found = [error] * len(wanted)
        pairs = [(each.future, told) for each, told in zip(wanted, found, strict=True)]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            wanted[0].future.get_loop().call_soon_threadsafe(_deliver, pairs)


def _deliver(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, told in pairs:
        if future.done():  # who asked has gone away
            continue
        if isinstance(told, Exception):
            future.set_exception(told)
        else:
            future.set_result(told)
