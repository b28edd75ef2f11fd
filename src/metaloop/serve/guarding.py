"""Who may ask, and what happens to every request: an ASGI layer around the routes.

With a token each request needs it, but for the page, health and readiness. Without one the server
is for this machine alone: other names of the host are refused (a page of the web could have its own
name point here), and so are requests that the pages of others send.
"""

from __future__ import annotations

import hmac
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from metaloop.serve.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OPEN = ("/", "/style.css", "/script.js", "/health", "/ready")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        b"media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'",
    ),
)


class Guard:
    """Lets requests through to the app that may, answers the others, and counts all of them."""

    def __init__(self, app: App, token: str | None, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or passes on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refused = self._refused(scope)
        try:
            if refused is not None:
                await _answer(sending, *refused)
            else:
                await self._app(scope, receive, sending)
        except Exception as error:  # a bug: told in one line, and to whoever looks after the server
            traceback.print_exception(error, file=sys.stderr)
            if not status:
                said = f"this is a bug in metaloop: {type(error).__name__}"
                await _answer(sending, 500, said)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(scope["method"], route, status, time.perf_counter() - began)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """The status and reason that a request is refused with; None if it may go on."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        origin = headers.get(b"origin")
        try:
            name = urlsplit(f"//{host}").hostname if host else LOOPBACK[0]
            foreign = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            return 400, "the header 'Host' or 'Origin' is no address"
        if foreign:
            return 403, "requests of pages of other servers are refused"
        if self._token is None:
            return None if name in LOOPBACK else (403, "this server answers this machine alone")
        if scope["path"] in _OPEN:
            return None
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        if scheme.lower() == "bearer" and right:
            return None
        return 401, "this server needs a token: send 'Authorization: Bearer TOKEN'"


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in (401, 403):
        headers.append((b"connection", b"close"))  # its body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
