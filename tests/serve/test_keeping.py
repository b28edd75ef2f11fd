"""What was acknowledged is there: after a restart, after SIGKILL; and one server has a folder."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from tests.serve.conftest import VECTORS, Client, fresh_model, png

from metaloop.core.errors import MetaloopError, OutputError
from metaloop.serve.sent import Sent
from metaloop.serve.storage import FILE_NAME, TaskRow, TaskStore

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")


def test_tasks_survive_a_restart_with_their_answers(
    serve: Callable[..., Any], models: Any, tmp_path: Path
) -> None:
    few = {"pictures": models["pictures"]}
    with serve(few, tmp_path) as client:
        task, gone = client.new("pictures", "kept"), client.new("pictures", "gone")
        for name in range(3):
            client.show(task, (f"class {name}", png(name)))
        client("DELETE", f"/tasks/{gone}")
        before = client("GET", f"/tasks/{task}").json
        answer = client.ask(task, (None, png(1, 4)))
    with serve(few, tmp_path) as client:
        assert [each["id"] for each in client("GET", "/tasks").json["tasks"]] == [task]
        assert client("GET", f"/tasks/{task}").json == before
        assert client.ask(task, (None, png(1, 4))) == answer
        client.show(task, ("class 3", png(3)))
    with serve({"other": models["boxes"]}, tmp_path) as client:
        about = client("GET", f"/tasks/{task}").json
        assert (about["available"], about["num_examples"]) == (False, 4)
        assert "not served now" in client("POST", f"/tasks/{task}/predict", (None, png(0))).error


def test_a_task_that_nobody_asked_for_long_is_learned_again(
    serve: Callable[..., Any], models: Any
) -> None:
    with serve({"pictures": models["pictures"]}, adapted=1) as client:
        tasks = [client.new("pictures") for _ in range(3)]
        for place, task in enumerate(tasks):
            client.show(task, ("x", png(place)))
            client.show(task, ("y", png(place + 1)))
        answers = [client.ask(task, (None, png(1, 2))) for task in tasks]
        assert [client.ask(task, (None, png(1, 2))) for task in tasks] == answers
        assert "metaloop_adaptations_total 6" in client("GET", "/metrics").body.decode()


def test_one_server_at_a_time_has_the_folder(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    store.add_task(TaskRow("a", "a task", "model", 1.0))
    row = store.add_example("a", 2.5, Sent("array", b"[1]"))
    with pytest.raises(OutputError, match="choose another --tasks"):
        TaskStore(tmp_path)
    store.close()
    again = TaskStore(tmp_path)
    assert again.examples("a") == [row] and again.sent(row.id) == Sent("array", b"[1]")
    again.remove_task("a")
    assert again.sent(row.id) is None and again.works()
    again.close()
    assert not again.works()


def test_nothing_is_acknowledged_once_the_file_of_tasks_is_gone(
    serve: Callable[..., Any], models: Any, tmp_path: Path
) -> None:
    with serve({"pictures": models["pictures"]}, tmp_path) as client:
        task = client.new("pictures")
        client.show(task, ("a", png(0)))
        (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
        reply = client("POST", f"/tasks/{task}/examples", ("b", png(1)))
        assert reply.status == 503 and "was removed or replaced" in reply.json["error"]
        assert client("GET", f"/tasks/{task}").json["num_examples"] == 1
        assert client("GET", "/ready").status == 503


def test_a_task_whose_model_is_another_by_now_says_so(
    serve: Callable[..., Any], models: Any, tmp_path: Path
) -> None:
    with serve({"model": models["pictures"]}, tmp_path / "a") as client:
        task = client.new("model")
        client.show(task, ("a", png(0)))
    with serve({"model": models["boxes"]}, tmp_path / "a") as client:
        reply = client("POST", f"/tasks/{task}/predict", {"array": [1, 2, 3, 4]})
        assert reply.status == 409 and "was kept for another model 'model'" in reply.error


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(MetaloopError, match="cannot be used for tasks"):
        TaskStore(tmp_path)
    (tmp_path / "b").mkdir()
    with sqlite3.connect(tmp_path / "b" / FILE_NAME) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    with pytest.raises(MetaloopError, match="no file of tasks"):
        TaskStore(tmp_path / "b")
    with pytest.raises(OutputError, match="another folder with --tasks"):
        TaskStore(tmp_path / FILE_NAME)


@contextmanager
def command(model: Path, folder: Path) -> Iterator[tuple[Client, subprocess.Popen[str]]]:
    """The real command, as a process."""
    words = ("serve", str(model), "--port", "0", "--tasks", str(folder), "--json")
    process = subprocess.Popen(
        [sys.executable, "-m", "metaloop", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        assert (told["models"], told["tasks"]) == ([model.stem], str(folder))
        yield Client(int(told["url"].rpartition(":")[2])), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.long
def test_a_certificate_makes_it_https(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 "
    made += "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(made.split(), cwd=tmp_path, check=True, capture_output=True)
    fresh_model("nearest_centroid", VECTORS).save(tmp_path / "vectors.metaloop")
    words = "serve vectors.metaloop --port 0 --json --tls-certificate cert.pem --tls-key key.pem"
    run = [sys.executable, "-m", "metaloop", *words.split()]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        assert url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        with urllib.request.urlopen(f"{url}/health", context=trusted, timeout=30) as answer:
            assert json.load(answer) == {"status": "alive"}
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        process.stdout.close()
    wrong = words.replace("cert.pem", "key.pem")
    done = subprocess.run([*run[:3], *wrong.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "certificate or key cannot be used" in done.stderr


@pytest.mark.long
def test_what_was_acknowledged_survives_sigkill_and_sigterm_ends_it_cleanly(
    tmp_path: Path,
) -> None:
    model, folder = tmp_path / "vectors.metaloop", tmp_path / "tasks"
    fresh_model("nearest_centroid", VECTORS).save(model)
    rng, acknowledged, task = random.Random(0), set[int](), ""

    def write(client: Client) -> None:
        try:
            while True:
                acknowledged.add(client.show(task, {"label": "a", "array": [1, 2, 3, 4]}))
        except (OSError, HTTPException):  # it is dead
            return

    for _ in range(3):
        with command(model, folder) as (client, process):
            task = task or client.new("vectors")
            there = {each["id"] for each in client("GET", f"/tasks/{task}").json["examples"]}
            assert acknowledged <= there
            threads = [threading.Thread(target=write, args=(client,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            threads[0].join(timeout=rng.uniform(0.1, 0.5))
            os.kill(process.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
    assert acknowledged
    with command(model, folder) as (client, process):
        there = {each["id"] for each in client("GET", f"/tasks/{task}").json["examples"]}
        assert acknowledged <= there
        process.terminate()
        assert process.wait(timeout=30) == 0
