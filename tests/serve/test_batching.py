"""Queries that come together are answered together, and none suffers from another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.serve.conftest import png

from metaloop.core.errors import DivergenceError
from metaloop.serve.answering import Query, answers, learned
from metaloop.serve.batching import Batcher
from metaloop.serve.limits import Limits
from metaloop.serve.sent import Sent
from metaloop.serve.served import Reader, served


def test_what_is_asked_meanwhile_is_answered_together() -> None:
    sizes: list[int] = []
    first = threading.Event()

    def answer(asked: Sequence[int]) -> list[int | Exception]:
        first.wait(5)
        return [ValueError("three") if each == 3 else 10 * each for each in asked]

    async def ask() -> list[Any]:
        batcher: Batcher[int, int] = Batcher(answer, 4, 0.0, sizes.append)
        waiting = [asyncio.ensure_future(batcher.ask(number)) for number in range(6)]
        await asyncio.sleep(0.05)
        waiting[4].cancel()
        first.set()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        batcher.close()
        return told

    told = asyncio.run(ask())
    assert told[:3] == [0, 10, 20] and told[5] == 50
    assert isinstance(told[3], ValueError) and isinstance(told[4], asyncio.CancelledError)
    assert sum(sizes) == 5 and max(sizes) <= 4 and len(sizes) < 5


def test_who_asks_alone_does_not_wait() -> None:
    async def ask() -> float:
        batcher: Batcher[int, int] = Batcher(lambda asked: list(asked), 64, 5.0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with batcher.expecting():
            await batcher.ask(1)
        batcher.close()
        return loop.time() - began

    assert asyncio.run(ask()) < 2.0


def test_queries_of_several_tasks_are_embedded_once_with_equal_answers(models: Any) -> None:
    of, limits = served("pictures", models["pictures"]), Limits()
    tasks = []
    for names in ((0, 1), (2, 3, 4), (5,)):
        reader = Reader(of, limits)
        inputs = [reader.read(Sent("file", png(name))) for name in names]
        tasks.append(learned(of, reader, inputs, [f"n{name}" for name in names], list(names)))
    queries = [
        Query(task, task.reader.read(Sent("file", png(name, 3))), nearest=1)
        for name in range(6)
        for task in tasks
    ]
    net, batches = of.model.learner.net, []  # type: ignore[union-attr]
    before = type(net).__call__

    def counted(self: Any, tensors: Any, inputs: Any, *rest: Any, **how: Any) -> Any:
        batches.append(len(inputs))
        return before(self, tensors, inputs, *rest, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(net), "__call__", counted)
        together = answers([Query(q.ready, q.inputs) for q in queries])
    assert batches == [len(queries)]
    for query, answer in zip(queries, answers(queries), strict=True):
        (alone,) = answers([query])
        (other,) = together[queries.index(query) : queries.index(query) + 1]
        assert answer.label == alone.label == other.label
        found = [list(each.probabilities.values()) for each in (answer, alone, other)]
        np.testing.assert_allclose(found[0], found[1], atol=1e-5)
        np.testing.assert_allclose(found[0], found[2], atol=1e-5)
        assert answer.nearest[0][0] in query.ready.examples


def test_a_task_that_diverged_is_refused_and_its_neighbour_is_not(models: Any) -> None:
    of, limits = served("numbers", models["numbers"]), Limits()
    tasks = []
    for scale in (1.0, 1e19):
        reader = Reader(of, limits)
        inputs = [reader.read(Sent("array", f"[{scale}, {n}, 0, 0]".encode())) for n in range(2)]
        tasks.append(learned(of, reader, inputs, ["a", "b"], [1, 2]))
    asked = Sent("array", b"[3e38, 1, 1, 1]")
    fine = Sent("array", b"[1, 1, 1, 1]")
    told = answers(
        [Query(tasks[0], tasks[0].reader.read(fine)), Query(tasks[1], tasks[1].reader.read(asked))]
    )
    assert told[0].label in ("a", "b")
    assert isinstance(told[1], DivergenceError)
