"""Examples in docstrings print what they say.

They are found in the text of the files, so that what checks types at run time hides none; each runs
with the names of its module. Those marked `+SKIP` need data or minutes, and are only parsed.
"""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documented() -> Iterator[tuple[str, str, str]]:
    """Yields module, name and docstring wherever there is an example."""
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if ">>> " in text:
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            for name, docstring in docstrings(ast.parse(text)):
                if ">>> " in docstring:
                    yield module.removesuffix(".__init__"), name, docstring


def docstrings(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields the name and the docstring of the module, its classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(tree, kinds):
        yield prefix, ast.get_docstring(tree) or ""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, kinds[1:]):
            yield from docstrings(child, f"{prefix}.{child.name}")


def run(module: str, name: str, docstring: str) -> int:
    """Returns how many examples ran; raises `doctest.DocTestFailure` or what an example raised."""
    names = dict(vars(importlib.import_module(module)))
    test = doctest.DocTestParser().get_doctest(docstring, names, f"{module}{name}", None, 0)
    skipped = [example for example in test.examples if doctest.SKIP in example.options]
    doctest.DebugRunner(optionflags=OPTIONS, verbose=False).run(test)
    return len(test.examples) - len(skipped)


FOUND = list(documented())


WHOLE_RUNS = ("metaloop.api.learning.learn", "metaloop.api.learning.stream")  # take seconds


@pytest.mark.parametrize(
    ("module", "name", "docstring"),
    [
        pytest.param(*f, id=f[0] + f[1], marks=[pytest.mark.long] * (f[0] + f[1] in WHOLE_RUNS))
        for f in FOUND
    ],
)
def test_an_example_prints_what_it_says(
    module: str, name: str, docstring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    run(module, name, docstring)


@pytest.mark.parametrize(
    "name",
    ["metaloop.core.budget.parse_budget", "metaloop.estimators.classifier.FewShotClassifier"],
)
def test_the_public_names_have_examples(name: str) -> None:
    assert name in [module + found for module, found, _ in FOUND]


def test_a_wrong_example_would_be_found() -> None:
    with pytest.raises(doctest.DocTestFailure):
        run("metaloop.core.budget", ".parse_budget", ">>> parse_budget('3m').wall_seconds\n181.0\n")
