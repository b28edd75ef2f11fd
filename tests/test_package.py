"""Importing metaloop is cheap and quiet, and its public names are what they say."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import metaloop

HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "PIL")


def run_python(*arguments: str) -> str:
    """Returns what a fresh interpreter prints, in which warnings are errors."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", *arguments], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def loaded_after(code: str) -> set[str]:
    """Returns which heavy packages a fresh interpreter has loaded once `code` has run."""
    return set(run_python("-c", f"{code}\nimport sys\nprint(*sys.modules)").split()) & {*HEAVY}


def test_import_is_quiet_and_loads_nothing_heavy() -> None:
    assert loaded_after("import metaloop, sys; dir(metaloop)") == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['metaloop', '--help']\n"
        "try: runpy.run_module('metaloop', run_name='__main__')\n"
        "except SystemExit as done: assert not done.code, done.code"
    )
    assert loaded_after(code) == set()


@pytest.mark.parametrize(
    "module", ["metaloop.core.errors", "metaloop.core.records", "metaloop.archive"]
)
def test_records_and_archives_are_readable_without_torch(module: str) -> None:
    assert "torch" not in loaded_after(f"import {module}")


def test_version_is_that_of_the_installed_package() -> None:
    assert importlib.metadata.version("metaloop") == metaloop.__version__


@pytest.mark.parametrize("name", metaloop.__all__)
def test_every_public_name_can_be_loaded(name: str) -> None:
    assert getattr(metaloop, name) is not None
    assert name in dir(metaloop)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        metaloop.nonsense  # noqa: B018


def test_type_information_is_shipped() -> None:
    assert (Path(metaloop.__file__).parent / "py.typed").is_file()
