"""How a server of tasks does under load, under attack and when it is killed, over loopback.

    .venv/bin/python benchmarks/serving.py [--parts speed,memory,hostile,killed] [--seconds 8]
        [--model FILE] [--json]

speed: requests a second and their times with 1, 8 and 64 clients, against the same net behind plain
FastAPI, one forward for each request, on the same uvicorn; answers are compared with `predict`'s.
memory: resident memory under load, its slope. hostile: 1,000 malformed, oversized, slow and aborted
requests. killed: SIGKILL during writes, again and again; every acknowledged example must be there.
Clients share the machine with the server. Needs the extra `serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metaloop.api import load
from metaloop.catalogue import build_learner, make_candidate
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.estimators import FewShotClassifier
from metaloop.modelfile import TrainingRecord
from metaloop.models import Model

CLIENTS = (1, 8, 64)
CLASSES, SHOTS, QUERIES, SIDE = 5, 5, 64, 28
EDGE = "edge-of-parts"
FORM = f"multipart/form-data; boundary={EDGE}"


def images(number: int, seed: int) -> list[bytes]:
    """PNG files of `CLASSES` patterns with noise, one class after the other."""
    rng = np.random.default_rng(seed)
    files = []
    for place in range(number):
        coarse = np.random.default_rng(place % CLASSES).integers(0, 255, (7, 7))
        pixels = np.kron(coarse, np.ones((4, 4))) + rng.normal(0, 40, (SIDE, SIDE))
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
        files.append(file.getvalue())
    return files


def write_model(path: Path) -> None:
    """Writes a ProtoNet on the net that images of this size are given first, untrained."""
    inputs = InputFormat("image", (1, SIDE, SIDE), (0.5,), (0.25,))
    spec = TaskSpec(5, 1, 2, inputs.shape)
    candidate = make_candidate("protonet", inputs, spec)
    learner = build_learner(candidate, inputs, spec.objective)
    record = TrainingRecord(0, "0steps", 0, 0.0, 0.0, "", "made up")
    Model(
        learner, learner.init(spec, torch_stream(0, "init")), candidate, spec, inputs, {}, record
    ).save(path)


def form(file: bytes, label: str | None = None) -> bytes:
    """A form with a file, and a label."""
    body = b""
    if label is not None:
        head = f'--{EDGE}\r\nContent-Disposition: form-data; name="label"\r\n\r\n{label}\r\n'
        body += head.encode()
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return body + head.encode() + file + f"\r\n--{EDGE}--\r\n".encode()


def request(method: str, path: str, body: bytes = b"", kind: str = FORM) -> bytes:
    """The bytes of a request on a connection that stays open."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
    return status, await reader.readexactly(length) if length else b""


def ask(port: int, method: str, path: str, body: bytes = b"", kind: str = FORM) -> tuple[int, Any]:
    """Status and JSON of one answer."""

    async def once() -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(method, path, body, kind))
        try:
            return await reply(reader)
        finally:
            writer.close()

    status, content = asyncio.run(once())
    return status, json.loads(content) if content[:1] in b"{[" and content else content


@contextmanager
def server(words: Sequence[str]) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Starts a server that prints where it listens; gives its port and process."""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server did not start: {' '.join(words)}")
        yield int(json.loads(line)["url"].rpartition(":")[2]), process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


@contextmanager
def started(model: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The server itself, with a folder of tasks that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server(metaloop_server(model, Path(folder))) as running,
    ):
        yield running


def metaloop_server(model: Path, tasks: Path) -> list[str]:
    """The words that start the server itself."""
    return ["-m", "metaloop", "serve", str(model), "--port", "0", "--tasks", str(tasks), "--json"]


def plain(model: str) -> None:
    """Serves the same model behind plain FastAPI: one forward for each request, on a thread."""
    import socket

    import uvicorn  # optional extra
    from fastapi import FastAPI, UploadFile  # optional extra

    estimator = load(model)
    assert isinstance(estimator, FewShotClassifier)
    estimator.fit(images(CLASSES * SHOTS, 0), [f"class {n % CLASSES}" for n in range(25)])
    app, classes = FastAPI(), estimator.classes_.tolist()

    def predict(file: UploadFile) -> dict[str, Any]:
        row = estimator.predict_proba([file.file.read()])[0]
        shares = dict(zip(classes, row.tolist(), strict=True))
        label = classes[int(row.argmax())]
        return {"label": label, "confidence": shares[label], "probabilities": shares}

    predict.__annotations__ = {"file": UploadFile}
    app.add_api_route("/predict", predict, methods=["POST"])
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(app, log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def new_task(port: int) -> str:
    """The id of a task that has been shown all examples."""
    status, made = ask(port, "POST", "/tasks", b'{"name": "load"}', "application/json")
    assert status == 201, made
    for place, file in enumerate(images(CLASSES * SHOTS, 0)):
        body = form(file, f"class {place % CLASSES}")
        status, told = ask(port, "POST", f"/tasks/{made['id']}/examples", body)
        assert status == 201, told
    return str(made["id"])


async def load_of(port: int, path: str, clients: int, seconds: float) -> dict[str, float]:
    """What so many clients see who ask one question after the other, each on its connection."""
    asked = [request("POST", path, form(file)) for file in images(QUERIES, 1)]
    times: list[float] = []
    statuses: Counter[int] = Counter()
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        place = number
        while (began := time.perf_counter()) < until:
            writer.write(asked[place % QUERIES])
            status, _ = await reply(reader)
            statuses[status] += 1
            times.append(time.perf_counter() - began)
            place += 1
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    assert set(statuses) == {200}, statuses
    p50, p99 = np.percentile(times, [50, 99])
    return {
        "requests_per_second": len(times) / seconds,
        "p50_ms": 1000 * float(p50),
        "p99_ms": 1000 * float(p99),
    }


def largest_difference(port: int, path: str, model: Path) -> float:
    """How far probabilities are from `predict_proba`'s at most, asked all at the same time."""
    estimator = load(model)
    assert isinstance(estimator, FewShotClassifier)
    estimator.fit(images(CLASSES * SHOTS, 0), [f"class {n % CLASSES}" for n in range(25)])
    expected = estimator.predict_proba(images(QUERIES, 1))

    async def one(file: bytes) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", path, form(file)))
        status, body = await reply(reader)
        writer.close()
        assert status == 200, body
        return list(json.loads(body)["probabilities"].values())

    async def together() -> list[list[float]]:
        return await asyncio.gather(*(one(file) for file in images(QUERIES, 1)))

    found = np.array(asyncio.run(together()))
    assert (found.argmax(1) == expected.argmax(1)).all(), "other labels than predict's"
    return float(np.abs(found - expected).max())


def speed(model: Path, seconds: float) -> dict[str, Any]:
    """Both servers under load, and how far answers are from `predict`'s."""
    found: dict[str, Any] = {"batched": {}, "plain": {}}
    with started(model) as (port, _):
        path = f"/tasks/{new_task(port)}/predict"
        asyncio.run(load_of(port, path, 8, 1.0))
        for clients in CLIENTS:
            found["batched"][clients] = asyncio.run(load_of(port, path, clients, seconds))
        found["largest_difference"] = largest_difference(port, path, model)
    with server([__file__, "--plain", str(model)]) as (port, _):
        asyncio.run(load_of(port, "/predict", 8, 1.0))
        for clients in CLIENTS:
            found["plain"][clients] = asyncio.run(load_of(port, "/predict", clients, seconds))
    found["times_as_many"] = {
        clients: found["batched"][clients]["requests_per_second"]
        / found["plain"][clients]["requests_per_second"]
        for clients in CLIENTS
    }
    return found


def memory(model: Path, seconds: float) -> dict[str, Any]:
    """The slope of resident memory under load, without the first third, in which caches fill."""
    with started(model) as (port, process):
        path = f"/tasks/{new_task(port)}/predict"
        ended, samples, began = threading.Event(), [], time.perf_counter()

        def watch() -> None:
            while not ended.wait(1.0):
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                samples.append((time.perf_counter() - began, pages * 4096 / 1e6))

        watching = threading.Thread(target=watch)
        watching.start()
        told = asyncio.run(load_of(port, path, 16, seconds))
        ended.set()
        watching.join()
    times, megabytes = np.array([each for each in samples if each[0] > seconds / 3]).T
    slope = float(np.polyfit(times, megabytes, 1)[0]) * 60
    return {"megabytes": float(megabytes[-1]), "megabytes_per_minute": slope, **told}


def hostile(model: Path, number: int) -> dict[str, Any]:
    """What the server says to requests that are meant to break it, and that nothing was lost."""
    fine = images(1, 3)[0]
    with started(model) as (port, process):
        task = new_task(port)
        before = ask(port, "GET", f"/tasks/{task}")[1]
        statuses: Counter[int] = Counter()
        rng = random.Random(0)

        async def one(kind: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            path = f"/tasks/{task}/{rng.choice(['examples', 'predict'])}"
            body = form(fine, None if path.endswith("predict") else "x")
            cut = rng.randrange(len(body))
            junk = rng.randbytes(rng.randrange(1, 200))
            whole = request("POST", path, body[:cut] + junk)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
            if kind == 0:  # a damaged form
                writer.write(whole)
            elif kind == 1:  # no JSON
                writer.write(request("POST", path, junk, "application/json"))
            elif kind == 2:  # too large, and it says so
                writer.write(f"{head}Content-Length: 99999999\r\n\r\n".encode() + junk)
            elif kind == 3:  # too large, and it does not say so
                writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                for _ in range(12):
                    writer.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                    await writer.drain()
            elif kind == 4:  # goes away in the middle
                writer.write(request("POST", path, body)[: -len(body) + cut])
                await writer.drain()
                writer.close()
                return
            elif kind == 5:  # slow, and goes away
                writer.write(f"{head}Content-Length: 5000\r\n\r\n".encode())
                for _ in range(5):
                    writer.write(b"x")
                    await asyncio.sleep(0.05)
                writer.close()
                return
            else:  # no HTTP
                writer.write(junk + b"\r\n\r\n")
            try:
                status, _ = await asyncio.wait_for(reply(reader), 30)
                statuses[status] += 1
            except (OSError, asyncio.IncompleteReadError, ValueError):
                statuses[0] += 1  # the connection was closed
            finally:
                writer.close()

        async def all_of_them() -> None:
            at_once = asyncio.Semaphore(16)

            async def bounded(kind: int) -> None:
                async with at_once:
                    try:
                        await one(kind)
                    except OSError:
                        statuses[0] += 1

            await asyncio.gather(*(bounded(place % 7) for place in range(number)))

        asyncio.run(all_of_them())
        after = ask(port, "GET", f"/tasks/{task}")[1]
        alive = process.poll() is None and ask(port, "GET", "/ready")[0] == 200
        status, _ = ask(port, "POST", f"/tasks/{task}/predict", form(fine))
    lost = [each for each in before["examples"] if each not in after["examples"]]
    return {
        "requests": number,
        "statuses": {str(code): count for code, count in sorted(statuses.items())},
        "server_errors": sum(count for code, count in statuses.items() if code >= 500),
        "alive": alive and status == 200,
        "examples_lost": len(lost),
    }


def killed(model: Path, times: int) -> dict[str, Any]:
    """Kills a server while four clients write, so many times; counts what was lost."""
    rng, acknowledged, lost, total, task = random.Random(0), set[int](), 0, 0, ""
    file = images(1, 4)[0]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(times):
            with server(metaloop_server(model, Path(folder))) as (port, process):
                if task:
                    there = {e["id"] for e in ask(port, "GET", f"/tasks/{task}")[1]["examples"]}
                    lost += len(acknowledged - there)
                if not task or len(acknowledged) > 700:
                    acknowledged.clear()
                    made = ask(port, "POST", "/tasks", b'{"name": "a"}', "application/json")[1]
                    task = made["id"]
                total += _writing(port, task, file, acknowledged, process, rng.uniform(0.2, 1.0))
        with server(metaloop_server(model, Path(folder))) as (port, _):
            there = {each["id"] for each in ask(port, "GET", f"/tasks/{task}")[1]["examples"]}
            lost += len(acknowledged - there)
    return {"kills": times, "acknowledged": total, "lost": lost}


def _writing(
    port: int, task: str, file: bytes, acknowledged: set[int], process: Any, seconds: float
) -> int:
    """How many examples were acknowledged until the server was killed."""
    before = len(acknowledged)

    async def write() -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                body = form(file, f"class {len(acknowledged) % 3}")
                writer.write(request("POST", f"/tasks/{task}/examples", body))
                status, told = await reply(reader)
                if status == 201:
                    acknowledged.add(json.loads(told)["id"])
        except (OSError, asyncio.IncompleteReadError):
            return

    async def together() -> None:
        writing = [asyncio.ensure_future(write()) for _ in range(4)]
        await asyncio.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.gather(*writing)

    asyncio.run(together())
    return len(acknowledged) - before


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", default="speed,memory,hostile,killed")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--memory-seconds", type=float, default=120.0)
    parser.add_argument("--requests", type=int, default=1000, help="hostile ones")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plain", metavar="MODEL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.plain:
        plain(asked.plain)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or Path(folder) / "untrained.metaloop"
        if asked.model is None:
            write_model(model)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "speed": lambda: speed(model, asked.seconds),
            "memory": lambda: memory(model, asked.memory_seconds),
            "hostile": lambda: hostile(model, asked.requests),
            "killed": lambda: killed(model, asked.kills),
        }
        found = {name: parts[name]() for name in asked.parts.split(",")}
    if asked.json:
        print(json.dumps(found))
        return
    for name, told in found.items():
        print(name)
        for key, value in told.items():
            print(f"  {key}: {value}")


if __name__ == "__main__":
    main()
