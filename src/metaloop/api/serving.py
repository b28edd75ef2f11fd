"""`serve`: models as a server of tasks, until it is told to stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from metaloop.api.loading import MODEL_NAME, load
from metaloop.core.errors import MetaloopError
from metaloop.estimators import TrainedTable
from metaloop.serve.limits import Limits
from metaloop.serve.rows import ServedTable
from metaloop.serve.served import Served, served
from metaloop.serve.serving import DEFAULT_LIMITS, Address, check_extra, run_server


def serve(
    models: Sequence[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]],
    *,
    address: Address | None = None,
    tasks: str | os.PathLike[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves model files, by name or by the names of their files, until it is told to stop.

    `tasks` is the folder in which tasks are kept, None for in memory alone; `started` is called
    with the URL once the server listens. Raises `MetaloopError` for what cannot be served, and
    `MissingExtraError` without the extra `serve`.
    """
    check_extra()
    if not isinstance(models, Mapping):
        named = named_models(models)
    else:
        named = {name: Path(path) for name, path in models.items()}
    found = {name: _served(name, path) for name, path in named.items()}
    folder = None if tasks is None else Path(tasks)
    run_server(found, address or Address(), folder, limits, started)


def _served(name: str, path: Path) -> Served | ServedTable:
    estimator = load(path)
    if isinstance(estimator, TrainedTable):
        return ServedTable(name, estimator)
    return served(name, estimator)


def named_models(models: Sequence[str | os.PathLike[str]]) -> dict[str, Path]:
    """Returns the models by name: `NAME=FILE`, or else what the file, or its folder, is called.

    Raises `MetaloopError` for two of one name and for no model at all.
    """
    named: dict[str, Path] = {}
    for each in models:
        name, separator, path = os.fspath(each).partition("=")
        if not separator or "/" in name or Path(os.fspath(each)).exists():
            name, path = "", os.fspath(each)
        file = Path(path)
        if not name:
            own = file.name if file.name != MODEL_NAME else file.absolute().parent.name
            name = own.removesuffix(".metaloop") or "model"
        if name in named:
            raise MetaloopError(f"two models are called '{name}'; name them: NAME={path}")
        if "/" in name or not name.isprintable():
            raise MetaloopError(f"a model cannot be called {name!r}; name it: NAME={path}")
        named[name] = file
    if not named:
        raise MetaloopError("name at least one model to be served")
    return named
