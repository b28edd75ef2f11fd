"""The hook that checks calls while tests run: what it finds out, and what it leaves alone."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.checked import check_calls

NAME = "package_with_checks"
BASE = """
from __future__ import annotations
from dataclasses import dataclass

class Kept:
    pass

@dataclass(frozen=True)
class Base:
    kept: Kept
"""
MODULE = f"""
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union
from {NAME}.base import Base
if TYPE_CHECKING:
    from {NAME}.base import Kept
Nested = Union[int, "dict[str, Nested]"]

def doubled(number: int) -> float:
    return 2.0 * number if number < 9 else "many"

def nested(of: Nested) -> None: ...

def of_type_checkers(kept: Kept) -> None: ...

def maker():
    def inner(number: int) -> int:
        return number
    return inner

@dataclass(frozen=True)
class Child(Base):
    names: tuple[str, ...] = ()

    @staticmethod
    def fixed(number: int) -> int:
        return number

    def named(self, name: str) -> Child:
        return self

    @property
    def first(self) -> str:
        return self.names[0] if self.names else 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of a package whose calls are checked."""
    (tmp_path / NAME).mkdir()
    for name, text in (("__init__", ""), ("base", BASE), ("module", MODULE)):
        (tmp_path / NAME / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    check_calls(NAME)
    yield importlib.import_module(f"{NAME}.module")
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


def test_what_is_given_and_what_comes_back_is_checked(module: Any) -> None:
    assert module.doubled(2) == 4
    for wrong in ("two", 9):
        with pytest.raises(TypeError, match="violates type hint"):
            module.doubled(wrong)
    assert module.Child.fixed(3) == 3
    with pytest.raises(TypeError, match="violates type hint"):
        module.Child.fixed("three")


def test_fields_of_dataclasses_are_checked_those_of_a_base_too(module: Any) -> None:
    kept = sys.modules[f"{NAME}.base"].Kept()
    child = module.Child(kept, ("a",))
    assert child.first == "a"
    with pytest.raises(TypeError, match="violates type hint"):
        module.Child(3)
    with pytest.raises(TypeError, match="violates type hint"):
        module.Child(kept, (1,))
    with pytest.raises(TypeError, match="violates type hint"):
        _ = module.Child(kept).first


def test_one_hint_that_is_not_known_yet_leaves_the_others(module: Any) -> None:
    child = module.Child(sys.modules[f"{NAME}.base"].Kept())
    assert child.named("a") is child
    with pytest.raises(TypeError, match="violates type hint"):
        child.named(3)


def test_what_cannot_be_known_or_is_made_anew_is_left_alone(module: Any) -> None:
    module.nested({"a": {"b": "no number"}})
    module.of_type_checkers(3)
    assert module.maker()("a") == "a"


def test_a_package_that_is_imported_cannot_be_checked_any_more(module: Any) -> None:
    with pytest.raises(ImportError, match="imported already"):
        check_calls(NAME)


def test_metaloop_is_checked() -> None:
    if os.environ.get("METALOOP_TYPECHECK") == "0":
        pytest.skip("METALOOP_TYPECHECK=0 switches the checks off")
    from metaloop.core.budget import Budget

    with pytest.raises(TypeError, match="violates type hint"):
        Budget(steps="many")  # type: ignore[arg-type]
