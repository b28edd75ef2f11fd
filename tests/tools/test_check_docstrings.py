"""The docstring check finds what it says it finds, and nothing in code that keeps the rules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def _load_tool() -> ModuleType:
    path = REPOSITORY / "tools" / "check_docstrings.py"
    spec = importlib.util.spec_from_file_location("check_docstrings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _load_tool()


def messages(source: str, path: str = "src/metaloop/engine/train.py") -> list[str]:
    """Returns what the tool says about `source`, without line numbers."""
    return [message for _, message in tool.findings_in(source, Path(path))]


CLEAN = '''"""A module: with a colon inside."""
import abc

class Thing:
    """A thing."""

    def __init__(self, size: int) -> None:
        self.size = size

    def grow(self, by: int, *rest: int, **options: int) -> int:
        """Does it grow?"""
        def helper(x):
            return x
        return helper(by)

    @property
    def area(self) -> int:
        """The area."""
        return 0

    @area.setter
    def area(self, value: int) -> None:
        self.size = value

    def _hidden(self, anything):
        return anything

class _Hidden:
    def method(self, x): ...

def __getattr__(name):
    return name
'''


def test_code_that_keeps_the_rules_has_no_finding() -> None:
    assert messages(CLEAN) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n", "the module has no docstring"),
        ('"""No full stop"""\n', "the module: the first line"),
        ('"""M."""\nclass Thing: ...\n', "class Thing has no docstring"),
        ('"""M."""\ndef run(): ...\n', "run() has no docstring"),
        ('"""M."""\nasync def run(): ...\n', "run() has no docstring"),
        ('"""M."""\nif True:\n    def run(): ...\n', "run() has no docstring"),
        ('"""M."""\nclass T:\n    """T."""\n    def run(self): ...\n', "T.run() has no docstring"),
        ('"""M."""\nclass T:\n    """T."""\n    def __init__(self, x): ...\n', "parameter x has"),
        ('"""M."""\ndef run(x):\n    """R."""\n', "run(): parameter x has no annotation"),
        ('"""M."""\ndef run(*, x):\n    """R."""\n', "parameter x has no annotation"),
        ('"""M."""\ndef run(*xs):\n    """R."""\n', "parameter xs has no annotation"),
        ('"""M."""\ndef _run():\n    import os\n', "import inside _run()"),
        ('"""M."""\ndef _run():\n    from os import (\n        path,\n    )\n', "import inside"),
        ('"""M."""\ndef _run():\n    import os  # lazy:\n', "import inside _run()"),
        ('"""M."""\n' + "x = 1\n" * 400, "the file has 401 lines"),
        ('"""M."""\ndef _run():\n' + "    x = 1\n" * 60, "_run() has 61 lines"),
        ("def broken(:\n", "is not Python"),
    ],
)
def test_each_broken_rule_is_one_finding(source: str, expected: str) -> None:
    found = messages(source)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize("reason", ["# optional extra", "# lazy: torch takes a second to load"])
def test_an_import_inside_a_function_needs_a_reason(reason: str) -> None:
    assert messages(f'"""M."""\ndef _run():\n    import os  {reason}\n') == []


def test_verbs_of_the_command_line_may_import_inside() -> None:
    source = '"""M."""\ndef _run():\n    import torch\n'
    assert messages(source, "src/metaloop/cli/learn.py") == []
    assert messages(source, "src/metaloop/client/learn.py") != []


def test_getattr_of_a_package_may_import_inside() -> None:
    source = '"""M."""\ndef __getattr__(name):\n    import torch\n'
    assert messages(source, "src/metaloop/__init__.py") == []
    assert messages(source, "src/metaloop/lazy.py") != []


@pytest.mark.parametrize(
    ("docstring", "is_cited"),
    [
        ("Nearest mean.  Snell et al. 2017, arXiv:1703.05175.", True),
        ("Nearest mean.  Snell et al. 2017, NeurIPS.", True),
        ("Shrunken centroids.  Tibshirani et al. 2002, PNAS 99(10).", True),
        ("Nearest mean.  Snell et al. 2017.", False),
        ("Nearest mean, as at ICLR.", False),
    ],
)
def test_a_learner_names_its_paper(docstring: str, is_cited: bool) -> None:
    found = messages(f'"""{docstring}"""\n', "src/metaloop/learners/protonet.py")
    assert (found == []) == is_cited
    assert messages(f'"""{docstring}"""\n', "src/metaloop/learners/__init__.py") == []
    assert messages(f'"""{docstring}"""\n', "src/metaloop/nets/conv4.py") == []


def test_main_prints_one_line_per_finding_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.py").write_text('"""Good."""\n')
    assert tool.main([str(tmp_path)]) == 0
    (tmp_path / "bad.py").write_text("def run(x): ...\n")
    assert tool.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all(line.startswith(f"{tmp_path / 'bad.py'}:1: ") for line in printed)


def test_main_refuses_a_path_that_does_not_exist(tmp_path: Path) -> None:
    assert tool.main([str(tmp_path / "absent")]) == 2
