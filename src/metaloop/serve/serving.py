"""A server from start to end: its address, its protection, and how it stops.

SIGTERM and Ctrl-C let it answer what was asked, close the file of tasks and end; asked twice, it
ends at once.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from metaloop.core.errors import MetaloopError, OutputError, missing_extra
from metaloop.serve.limits import Limits
from metaloop.serve.rows import ServedTable
from metaloop.serve.served import Served
from metaloop.serve.storage import TaskStore

_LEAST_TOKEN = 16  # characters; what is shorter can be guessed
_GRACE_SECONDS = 10
_BACKLOG = 2048
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Address:
    """Where a server listens, and how those are protected who ask it.

    `token`: what every request has to show. `certificate`, `key`: files in PEM, for TLS. Raises
    `MetaloopError` for an address that others can reach without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.token is not None and not _can_be_shown(self.token):
            raise MetaloopError(f"a token has at least {_LEAST_TOKEN} ASCII characters in one line")
        if self.token is None and not self.is_loopback:
            raise MetaloopError(
                f"others can reach '{self.host}', so a token is needed: --token-file FILE or the "
                "variable METALOOP_TOKEN; or bind 127.0.0.1"
            )
        if (self.certificate is None) != (self.key is None):
            raise MetaloopError("TLS needs both --tls-certificate and --tls-key")

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """`https` with a certificate, else `http`."""
        return "http" if self.certificate is None else "https"


def _can_be_shown(token: str) -> bool:
    """Whether a header can hold a token, and nobody guesses it."""
    return len(token) >= _LEAST_TOKEN and token.isascii() and token.isprintable()


def check_extra() -> None:
    """Raises `MissingExtraError` unless FastAPI, uvicorn and python-multipart are installed."""
    try:
        import fastapi  # noqa: F401  # optional extra
        import python_multipart  # noqa: F401  # optional extra
        import uvicorn  # noqa: F401  # optional extra
    except ImportError as error:
        raise missing_extra("serving", "serve") from error


def run_server(
    models: Mapping[str, Served | ServedTable],
    address: Address,
    folder: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves models until it is told to stop; tasks are kept in `folder`, or in memory alone.

    `started` is called with the URL once the server listens. Raises `MetaloopError` for what it
    cannot use.
    """
    check_extra()
    from metaloop.serve.app import create_app  # lazy: needs the extra

    with ExitStack() as opened:  # the server closes both; this is for when it does not start
        listening = opened.enter_context(_listening(address))
        store = TaskStore(folder)
        opened.callback(store.close)
        _serve(
            create_app(models, store, limits, address.token), listening, address, limits, started
        )


def _serve(
    app: Any,
    listening: socket.socket,
    address: Address,
    limits: Limits,
    started: Callable[[str], None],
) -> None:
    import uvicorn  # optional extra

    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, date_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS, limit_concurrency=limits.connections,
        ssl_certfile=_readable(address.certificate), ssl_keyfile=_readable(address.key),
        lifespan="on",
    )  # fmt: skip
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise MetaloopError(f"the certificate or key cannot be used: {error}") from error
    server = uvicorn.Server(config)
    setattr(server, "capture_signals", nullcontext)  # noqa: B010  # it would end by the signal
    host, port = listening.getsockname()[:2]
    named = f"[{host}]" if ":" in host else host
    _until_told(server, listening, lambda: started(f"{address.scheme}://{named}:{port}"))


def _until_told(server: Any, listening: socket.socket, started: Callable[[], None]) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        if server.should_exit:
            server.force_exit = True
        server.should_exit = True

    async def serve() -> None:
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            started()
        await serving

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        asyncio.run(serve())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # by its number: asyncio sends small answers at once only where it knows that this is TCP
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError, TypeError) as error:  # TypeError: a host that is no name
        listening.close()
        at_fault, reason = "--host", "this machine has no such address"
        if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
            at_fault, reason = "--port", os.strerror(error.errno)
        elif isinstance(error, OverflowError):
            at_fault, reason = "--port", str(error)
        raise OutputError(
            f"cannot listen at {address.host}, port {address.port}: {reason}; choose another "
            f"{at_fault}"
        ) from error
    return listening


def _readable(path: Path | None) -> str | None:
    if path is None:
        return None
    if not path.is_file():
        raise MetaloopError(f"'{path}' does not exist or is no file")
    return str(path)
