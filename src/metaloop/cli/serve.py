"""`metaloop serve`: models as a server of tasks, with a page to try them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.core.errors import MetaloopError

_TOKEN_VARIABLE = "METALOOP_TOKEN"


_Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Model files, or NAME=FILE where a task is to know it by another name.",
    ),
]
_Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Beyond this machine: with a token.")]
_Port = Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any free one.")]
_Tasks = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep tasks in this folder; else they end with the server."),
]
_TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"A file with the token that requests have to show. (or: {_TOKEN_VARIABLE})",
    ),
]
_Certificate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For https: the certificate, in PEM.")
]
_Key = Annotated[Path | None, typer.Option(metavar="FILE", help="For https: its key, in PEM.")]
_MaxBody = Annotated[int, typer.Option(min=1, metavar="MB", help="Largest request, in megabytes.")]
_MaxTasks = Annotated[int, typer.Option(min=1, metavar="N", help="Most tasks.")]
_MaxExamples = Annotated[int, typer.Option(min=1, metavar="N", help="Most examples of a task.")]
_MaxPixels = Annotated[
    int, typer.Option(min=1, metavar="N", help="Most pixels of an image, in millions.")
]
_MaxSeconds = Annotated[
    float, typer.Option(min=0.1, metavar="S", help="Longest time of a request, in seconds.")
]


def serve(
    models: _Models,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    tasks: _Tasks = None,
    token_file: _TokenFile = None,
    tls_certificate: _Certificate = None,
    tls_key: _Key = None,
    max_body: _MaxBody = 10,
    max_tasks: _MaxTasks = 1000,
    max_examples: _MaxExamples = 1000,
    max_pixels: _MaxPixels = 50,
    max_seconds: _MaxSeconds = 30.0,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Serve MODELs over HTTP: create tasks from examples, extend them, ask them. A page at /."""
    from metaloop.api.serving import named_models
    from metaloop.api.serving import serve as serve_models
    from metaloop.api.speaking import tell
    from metaloop.serve.limits import Limits
    from metaloop.serve.serving import Address, check_extra

    check_extra()
    named = named_models(models)
    address = Address(host, port, _token(token_file), tls_certificate, tls_key)
    limits = Limits(
        body_bytes=max_body << 20, pixels=max_pixels * 1_000_000, examples=max_examples,
        tasks=max_tasks, seconds=max_seconds,
    )  # fmt: skip

    def started(url: str) -> None:
        if as_json:
            kept = None if tasks is None else str(tasks)
            print_json({"url": url, "models": list(named), "tasks": kept})
        else:
            print(f"serving {', '.join(named)}\npage    {url}/")
        sys.stdout.flush()
        if tasks is None:
            tell("tasks end with this server; --tasks DIR keeps them")

    serve_models(named, address=address, tasks=tasks, limits=limits, started=started)


def _token(file: Path | None) -> str | None:
    """The token of a file or of the environment; None without either."""
    if file is None:
        return os.environ.get(_TOKEN_VARIABLE) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise MetaloopError(f"the token cannot be read from '{file}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MetaloopError(f"'{file}' is no text; a file of a token holds that alone") from error
