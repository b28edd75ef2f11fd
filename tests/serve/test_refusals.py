"""Whatever is sent, the answer is a reason in one line, and what was kept stays as it was."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.serve.conftest import Client, form, png

from metaloop.cli import run
from metaloop.core.errors import MetaloopError, OutputError
from metaloop.serve.limits import Limits
from metaloop.serve.serving import Address, run_server
from metaloop.serve.storage import TaskStore

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")

JSON = {"Content-Type": "application/json"}
FORM, WHOLE = form("a", png(0))


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, b"{", JSON),
        (400, b'{"label": "a", "array": [NaN]}', JSON),
        (400, b"[" * 100_000, JSON),
        (400, b"\xff\xfe", JSON),
        (422, b"[]", JSON),
        (422, b"{}", JSON),
        (422, b'{"label": "a"}', JSON),
        (422, b'{"label": "a", "text": 3}', JSON),
        (422, b'{"label": "a", "text": "x", "array": []}', JSON),
        (422, b'{"label": "a", "array": [[1], [1, 2]]}', JSON),
        (422, b'{"label": "a", "array": ["x"]}', JSON),
        (422, b'{"label": "a", "array": []}', JSON),
        (422, b'{"label": "a", "array": [1e999]}', JSON),
        (422, b'{"label": "a", "surprise": 1}', JSON),
        (422, b'{"label": "", "array": [[1, 2], [3, 4]]}', JSON),
        (422, b'{"label": "\\u0000", "array": [[1, 2], [3, 4]]}', JSON),
        (422, b'{"label": null, "array": [[1, 2], [3, 4]]}', JSON),
        (422, b'{"label": {"a": 1}, "array": [[1, 2], [3, 4]]}', JSON),
        (422, b'{"label": "a", "text": "\\ud800"}', JSON),
        (415, b"label=a", {"Content-Type": "application/x-www-form-urlencoded"}),
        (415, b"", {}),
        (400, WHOLE[:-10], {"Content-Type": FORM}),
        (400, b"no form", {"Content-Type": FORM}),
        (400, WHOLE, {"Content-Type": "multipart/form-data"}),
        (400, WHOLE, {"Content-Type": "multipart/form-data; boundary=other"}),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_the_reason(
    client: Client, status: int, body: bytes, headers: dict[str, str]
) -> None:
    task = client.new("pictures")
    reply = client("POST", f"/tasks/{task}/examples", body, headers)
    assert reply.error and reply.status == status, reply.body
    assert client("GET", f"/tasks/{task}").json["examples"] == []


@pytest.mark.parametrize(
    "body",
    [("a", b"no image"), ("a", png(0)[:60]), ("a", b""), (None, png(0)), ("x" * 201, png(0))],
    ids=["no image", "cut", "empty", "no label", "long label"],
)
def test_a_form_that_says_something_else_is_refused(client: Client, body: Any) -> None:
    task = client.new("pictures")
    assert client("POST", f"/tasks/{task}/examples", body).status == 422
    assert client("GET", f"/tasks/{task}").json["num_examples"] == 0


@settings(max_examples=40)
@given(body=st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda some: st.lists(some, max_size=3)
    | st.dictionaries(st.sampled_from(["label", "text", "array", "item", "rating"]), some),
))  # fmt: skip
def test_no_json_makes_the_server_stumble(client: Client, body: Any) -> None:
    for path in ("/tasks", "/tasks/letters/predict"):
        reply = client("POST", path, json.dumps(body).encode("utf-8", "replace"), JSON)
        assert reply.error


@settings(max_examples=40)
@given(cut=st.integers(0, len(WHOLE)), junk=st.binary(max_size=20))
def test_no_form_makes_the_server_stumble(client: Client, cut: int, junk: bytes) -> None:
    body = WHOLE[:cut] + junk + WHOLE[cut + len(junk) :]
    reply = client("POST", "/tasks/letters/predict", body, {"Content-Type": FORM})
    assert reply.status in (200, 400, 422), reply.body


def test_limits_are_limits(serve: Callable[..., Any], models: Any) -> None:
    few = {"pictures": models["pictures"]}
    with serve(few, body_bytes=5000, pixels=1000, examples=2, tasks=2) as client:
        task = client.new("pictures")
        assert client("POST", "/tasks", {"name": "no model is named"}).status == 201
        assert "the most" in client("POST", "/tasks", {"name": "third"}).error
        reply = client("POST", f"/tasks/{task}/examples", ("a", b"x" * 6000))
        assert reply.status == 413 and "5,000 bytes" in reply.error
        large = io.BytesIO()
        Image.new("L", (50, 50)).save(large, "PNG")
        reply = client("POST", f"/tasks/{task}/examples", ("a", large.getvalue()))
        assert reply.status == 413 and "1,000 pixels" in reply.error
        for name in range(2):
            client.show(task, (str(name), png(name)))
        assert "the most" in client("POST", f"/tasks/{task}/examples", ("2", png(2))).error
        assert chunked(client.port, f"/tasks/{task}/examples", 6000).startswith(b"HTTP/1.1 413")
        assert client("GET", f"/tasks/{task}").json["num_examples"] == 2
    with serve(few, seconds=0.2) as client:  # nothing else is asked of one that gives up so soon
        assert chunked(client.port, "/tasks", 0).startswith(b"HTTP/1.1 408")
    with pytest.raises(MetaloopError, match="above 0"):
        Limits(tasks=0)


def chunked(port: int, path: str, size: int) -> bytes:
    """The answer to a body that says nothing of its length, and does not end if it has none."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        if size:
            connection.sendall(b"%x\r\n" % size + b" " * size + b"\r\n0\r\n\r\n")
        return connection.recv(100)


def test_a_token_is_asked_for(serve: Callable[..., Any], models: Any) -> None:
    token = "open sesame, really"
    with serve({"pictures": models["pictures"]}, token=token) as client:
        assert client("GET", "/tasks").status == 200
        other = Client(client.port)
        for given in (None, "Bearer", "Bearer open sesame", f"Basic {token}", f"Bearer {token}x"):
            headers = {} if given is None else {"Authorization": given}
            reply = other("GET", "/tasks", headers=headers)
            assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/script.js", "/style.css", "/health", "/ready"):
            assert other("GET", path).status == 200
        assert other("GET", "/metrics").status == 401


def test_pages_of_others_and_other_names_of_this_host_are_refused(client: Client) -> None:
    foreign = {"Origin": "https://example.org"}
    assert client("POST", "/tasks", {"name": "x", "model": "pictures"}, foreign).status == 403
    assert client("GET", "/tasks", headers={"Host": "example.org"}).status == 403
    assert client("GET", "/tasks", headers={"Host": "[::1"}).status == 400
    own = {"Origin": f"http://127.0.0.1:{client.port}"}
    assert client("GET", "/tasks", headers=own).status == 200


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"host": "0.0.0.0"}, "a token is needed"),
        ({"host": "192.0.2.1"}, "a token is needed"),
        ({"host": "example.org"}, "a token is needed"),
        ({"token": "short"}, "at least 16"),
        ({"token": "one token of a line\nand another"}, "in one line"),
        ({"certificate": Path("c.pem")}, "needs both"),
    ],
)
def test_an_address_that_would_be_open_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(MetaloopError, match=message):
        Address(**how)
    assert Address("::1").is_loopback and Address("0.0.0.0", token="x" * 16).scheme == "http"


def test_a_server_that_cannot_start_says_which_option_is_wrong_and_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        used = other.getsockname()[1]
        with pytest.raises(OutputError, match="in use; choose another --port"):
            run_server({}, Address(port=used), tmp_path)
    token = "x" * 16
    for host in ("192.0.2.1", "\xe9" * 70):
        with pytest.raises(OutputError, match="no such address; choose another --host"):
            run_server({}, Address(host, 0, token), tmp_path)
    with pytest.raises(MetaloopError, match="does not exist"):
        run_server({}, Address("127.0.0.1", used, None, Path("none.pem"), Path("k.pem")), tmp_path)
    TaskStore(tmp_path).close()  # nobody has it
    socket.create_server(("127.0.0.1", used)).close()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\xff\xfe" * 20, "is no text"), (b"", "at least 16")],
    ids=["none", "binary", "empty"],
)
def test_a_file_of_a_token_that_holds_none_is_refused(
    tmp_path: Path, models: Any, content: bytes | None, message: str, capsys: Any
) -> None:
    models["pictures"].model.save(tmp_path / "model.metaloop")
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    words = ["serve", str(tmp_path / "model.metaloop"), "--port", "0", "--token-file", str(token)]
    assert run(words) == 2
    assert message in capsys.readouterr().err


def test_what_does_not_exist_is_404_and_wrong_methods_405(client: Client) -> None:
    for path in ("/nothing", "/tasks/none", "/tasks/none/examples/1"):
        assert client("GET", path).status == 404
    assert client("PUT", "/tasks").status == 405
    assert client("GET", "/tasks/letters/examples/x").status == 422
    assert client("POST", "/tasks/letters/predict?nearest=many", (None, png(0))).status == 422
    assert client("POST", "/tasks/letters/predict?nearest=1000", (None, png(0))).status == 422
