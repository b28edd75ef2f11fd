"""A program with a pool of two: `program_with_a_pool.py FOLDER WORKER WORK main|thread|exit`.

It gives WORK to both workers, prints their process ids, waits for the outcomes and prints their
states and how often it was interrupted. `thread`: a thread makes the pool, and ends while it
works; `exit`: the program ends while it works.
"""

# ruff: noqa: T201  (it talks to its test through stdout)

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Any

from metaloop.executors.base import Job
from metaloop.executors.local_pool import LocalPool

pools: list[Any] = []  # left to the interpreter to close
interrupts: list[int] = []


def main(folder: str, worker: str, work: str, how: str) -> None:
    signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
    pids: set[int] = set()

    def begin() -> None:
        pool = LocalPool([sys.executable, worker, folder], 2)
        pools.append(pool)
        for number in range(2):
            pool.submit(Job(number, work, {"file": "go"}))
        while len(pids) < 2:
            pool.wait(0.05)
            pids.update(event.content["pid"] for event in pool.events())

    if how == "thread":
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
    else:
        begin()
    print(json.dumps(sorted(pids)), flush=True)
    states: list[str] = []
    while how != "exit" and len(states) < 2:
        states += [outcome.status for outcome in pools[0].wait(0.05)]
    if states:
        print(json.dumps([*states, len(interrupts)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
