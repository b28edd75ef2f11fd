"""Calls are checked against their annotations: a hook on the import of a package.

`check_calls` has each function and method of a package checked by beartype, and the fields of its
dataclasses, from the moment its modules are imported; what does not fit is a `TypeError`. What is
defined inside of a function is left alone: to make it would cost more each time than to call it. A
hint that cannot be known at run time (of a name imported for type checkers alone, or in itself) is
not checked.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
import typing
from collections.abc import Sequence
from dataclasses import is_dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

_NAME = "__checked__"  # under which modules know `checked`
_CONF = BeartypeConf(violation_type=TypeError)  # as Python itself has it


def check_calls(package: str) -> None:
    """Has all calls of a package checked that is not imported yet."""
    if package in sys.modules:
        raise ImportError(f"{package} is imported already: its calls cannot be checked")
    sys.meta_path.insert(0, _Finder(package))


def checked(what: Any) -> Any:
    """Returns a function whose calls are checked, or a class whose fields are if it has any."""
    if inspect.isclass(what):
        if is_dataclass(what) and "__init__" in vars(what):
            hints: dict[str, Any] = {}
            for base in reversed(what.__mro__):
                known = vars(sys.modules[base.__module__])
                hints |= _resolved(vars(base).get("__annotations__", {}), known)
            what.__init__ = _checked(what.__init__, hints)  # type: ignore[misc]
        return what
    return _checked(what, _resolved(what.__annotations__, what.__globals__))


def _checked(function: Any, hints: dict[str, Any]) -> Any:
    hints = {name: hints[name] for name in function.__annotations__ if name in hints}
    found = _by_beartype(function, hints)
    if found is None:
        followed = {n: hint for n, hint in hints.items() if _by_beartype(function, {n: hint})}
        found = _by_beartype(function, followed)
    return found or function


def _by_beartype(function: Any, hints: dict[str, Any]) -> Any:
    """The function with its calls checked; None where a hint is in itself, and not followed."""
    written, function.__annotations__ = function.__annotations__, hints
    try:
        return beartype(function, conf=_CONF)
    except (BeartypeDecorHintException, AttributeError):
        return None
    finally:
        function.__annotations__ = written


def _resolved(annotations: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Hints by name, without those of names that are not there, or not yet."""

    def bare() -> None: ...

    found = {}
    for name, hint in annotations.items():
        bare.__annotations__ = {name: hint}
        with contextlib.suppress(NameError, TypeError):
            found |= typing.get_type_hints(bare, known, include_extras=True)
    return found


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns where a module of the package is, to be loaded with its calls checked."""
        if fullname != self._package and not fullname.startswith(f"{self._package}."):
            return None
        found = PathFinder.find_spec(fullname, path, target)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _Loader(found.loader.name, found.loader.path)
        return found


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compiles the module: what is kept of it elsewhere has no checks."""
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:
        """Compiles a source with `checked` at each function and class."""
        tree = ast.parse(data)
        _decorate(tree)
        ast.fix_missing_locations(tree)
        code: CodeType = compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module, which knows `checked`."""
        vars(module)[_NAME] = checked
        super().exec_module(module)


def _decorate(parent: ast.Module | ast.ClassDef) -> None:
    for node in parent.body:
        decorator = ast.Name(_NAME, ast.Load(), lineno=node.lineno, col_offset=node.col_offset)
        if isinstance(node, ast.FunctionDef):
            node.decorator_list.append(decorator)
        elif isinstance(node, ast.ClassDef):
            node.decorator_list.insert(0, decorator)
            _decorate(node)
