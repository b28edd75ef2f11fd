"""Report what breaks the house rules on docstrings, signatures, sizes and imports of src/metaloop.

    python tools/check_docstrings.py [FILE OR FOLDER ...]

One line per finding, `path:line: what is wrong`; exits 1 if there is any, else 0. The rules:
- a public module, class, function or method has a docstring; its first line ends in . : or ?
- a public function or method has annotated parameters
- a file has at most 400 lines, a function at most 60
- a file of learners/ says on top where the method was published: arXiv, or year and venue
- imports are at the top of the file. Exceptions: src/metaloop/cli/, `__getattr__` of a package,
  and an import with the comment `# optional extra` or `# lazy: <why>`
The files are parsed and never run.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
SOURCE = Path(__file__).resolve().parents[1] / "src" / "metaloop"

_ARXIV = re.compile(r"\barXiv\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(19|20)\d\d\b")
_VENUE = re.compile(
    r"\b(NeurIPS|NIPS|ICML|ICLR|CVPR|ICCV|ECCV|AAAI|IJCAI|AISTATS|UAI|ACL|EMNLP|KDD|SIGIR"
    r"|Interspeech|ICASSP|JMLR|TMLR|PNAS|Nature|Science|PhD|book)\b"
    r"|\b(Journal|Transactions|Proceedings|Annals|Conference|Workshop|Letters|Press|doi)\b"
)
_ALLOWED_INNER_IMPORT = re.compile(r"#\s*(optional extra\b|lazy:\s*\S)")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Finding = tuple[int, str]  # line, what is wrong


def findings_in(source: str, path: Path) -> list[Finding]:
    """Returns all findings of one file, in the order of its lines; `path` decides which rules."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [(error.lineno or 1, f"is not Python: {error.msg}")]
    lines = source.splitlines()
    findings = [*_file_findings(tree, lines, path)]
    findings += _definition_findings(tree, prefix="", public=_is_public_module(path))
    findings += _size_findings(tree)
    if "cli" not in path.parts:
        findings += _import_findings(tree, lines, path)
    return sorted(findings)


def _file_findings(tree: ast.Module, lines: list[str], path: Path) -> Iterator[Finding]:
    if len(lines) > MAX_FILE_LINES:
        yield 1, f"the file has {len(lines)} lines, at most {MAX_FILE_LINES}: split it by question"
    docstring = ast.get_docstring(tree) or ""
    if _is_public_module(path):
        yield from _docstring_findings(tree, "the module", line=1)
    is_learner = path.parent.name == "learners" and path.name != "__init__.py"
    cites = _ARXIV.search(docstring) or (_YEAR.search(docstring) and _VENUE.search(docstring))
    if is_learner and not cites:
        yield 1, "a learner names its paper in the module docstring: arXiv, or year and venue"


def _definition_findings(
    parent: ast.Module | ast.ClassDef, prefix: str, public: bool
) -> Iterator[Finding]:
    """Yields what is wrong with the public classes and functions that stand in `parent`."""
    if not public:
        return
    for node in _statements(parent.body):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _docstring_findings(node, f"class {prefix}{node.name}", node.lineno)
            yield from _definition_findings(node, f"{prefix}{node.name}.", public)
        elif isinstance(node, Function):
            is_method = isinstance(parent, ast.ClassDef)
            yield from _function_findings(node, f"{prefix}{node.name}", is_method)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements of a body, and those inside its `if` and `try` blocks."""
    for node in body:
        yield node
        for block in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try):
                yield from _statements(getattr(node, block, []))


def _function_findings(node: Function, name: str, is_method: bool) -> Iterator[Finding]:
    if node.name.startswith("_") and node.name != "__init__":
        return
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    repeats = any(name.endswith((".setter", "overload")) for name in decorators)
    if node.name != "__init__" and not repeats:
        yield from _docstring_findings(node, f"{name}()", node.lineno)
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if is_method and "staticmethod" not in decorators:
        positional = positional[1:]
    stars = [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
    for argument in [*positional, *arguments.kwonlyargs, *stars]:
        if argument.annotation is None:
            yield argument.lineno, f"{name}(): parameter {argument.arg} has no annotation"


def _docstring_findings(
    node: ast.Module | ast.ClassDef | Function, name: str, line: int
) -> Iterator[Finding]:
    docstring = ast.get_docstring(node)
    if not docstring or not docstring.strip():
        yield line, f"{name} has no docstring"
        return
    first = docstring.strip().splitlines()[0].rstrip()
    if not first.endswith((".", ":", "?")):
        yield line, f"{name}: the first line of the docstring does not end in . : or ?"


def _size_findings(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield (
                    node.lineno,
                    f"{node.name}() has {length} lines, at most {MAX_FUNCTION_LINES}",
                )


def _import_findings(tree: ast.Module, lines: list[str], path: Path) -> Iterator[Finding]:
    seen: set[int] = set()
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        if path.name == "__init__.py" and function.name == "__getattr__":
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno in seen:
                continue
            seen.add(node.lineno)
            text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if not _ALLOWED_INNER_IMPORT.search(text):
                yield (
                    node.lineno,
                    f"import inside {function.name}(): move it to the top, or say "
                    "'# optional extra' or '# lazy: <why>'",
                )


def _is_public_module(path: Path) -> bool:
    return not path.stem.startswith("_") or path.stem in ("__init__", "__main__")


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if any file under the paths (default src/metaloop) has findings."""
    count = 0
    for root in [Path(argument) for argument in arguments] or [SOURCE]:
        if not root.exists():
            print(f"{root}: does not exist", file=sys.stderr)
            return 2
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            for line, message in findings_in(path.read_text(encoding="utf-8"), path):
                print(f"{shown}:{line}: {message}")
                count += 1
    if count:
        print(f"{count} finding(s)", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
