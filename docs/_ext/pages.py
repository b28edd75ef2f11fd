"""Directives that fill pages from the program itself, so that they cannot be out of date.

    {verb} NAME        the arguments and options of a verb, as `metaloop NAME --help` says them
    {catalogue} KIND   what `metaloop list KIND` prints, as a table
    {public-names}     the public names of `metaloop`, by their docstrings

What stands inside of them is for those who read the Markdown files, and not used here.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sklearn.base import BaseEstimator
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

import metaloop
from metaloop.cli import app as command_line
from metaloop.cli import run

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# The project's pages lie above the folder `docs`; docs/NAME.md includes each under its own name.
_ABOVE = re.compile(r"\]\(\.\./(ARCHITECTURE|CHANGELOG|CONTRIBUTING|LOG)\.md")
_KIND = re.compile(r" <.*>$")
_ANY_SEED = re.compile(r";? ?0<=x<=9223372036854775807")
_OF_SKLEARN = "get_metadata_routing, " + ", ".join(
    f"set_{method}_request" for method in ("fit", "partial_fit", "predict", "score")
)


class Verb(SphinxDirective):
    """The arguments and options of one verb."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns one table, arguments first; of a verb of verbs one for each."""
        group: Any = get_command(command_line)
        verb = group.commands.get(self.arguments[0])
        if verb is None:
            raise self.error(f"there is no verb {self.arguments[0]!r}")
        named = {f"{self.arguments[0]} {n}": v for n, v in getattr(verb, "commands", {}).items()}
        text = [
            f"{_escaped(f'metaloop {name}')}: {_escaped(part.help or '')}\n\n{_options(name, part)}"
            for name, part in named.items()
        ]
        return self.parse_text_to_nodes("\n\n".join(text) or _options(self.arguments[0], verb))


def _options(name: str, verb: Any) -> str:
    context = verb.context_class(verb, info_name=name)
    records = [parameter.get_help_record(context) for parameter in verb.get_params(context)]
    rows = [
        (f"`{_without_kind(names)}`", _escaped(_ANY_SEED.sub("", said)))
        for names, said in filter(None, records)
        if names not in ("--help", "-h, --help")
    ]
    return _table(("written", "what it does"), rows)


class Catalogue(SphinxDirective):
    """A table of the catalogue."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns the table that `metaloop list` prints."""
        kind = self.arguments[0]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = run(["list", kind, "--json"])
        if code:
            raise self.error(f"there is no table of {kind!r}")
        entries = json.loads(printed.getvalue())[kind]
        rows = [
            [f"`{name}`", *(_escaped(str(cell)) for cell in cells)]
            for name, *cells in (entry.values() for entry in entries)
        ]
        return self.parse_text_to_nodes(_table(tuple(entries[0]), rows))


class PublicNames(SphinxDirective):
    """What `metaloop.__all__` names."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns functions and classes by their docstrings, then tables and modules in a line."""
        return self.parse_text_to_nodes("\n".join(_public_names()))


def _public_names() -> Iterator[str]:
    found = {name: getattr(metaloop, name) for name in sorted(metaloop.__all__)}
    yield "```{eval-rst}"
    for name, value in found.items():
        if inspect.isfunction(value):
            yield from (f".. autofunction:: metaloop.{name}", "")
    for name, value in found.items():
        if inspect.isclass(value):
            yield from (f".. autoclass:: metaloop.{name}", "   :members:")
            if issubclass(value, BaseEstimator):
                yield "   :inherited-members: BaseEstimator"
                own = "" if "score" in vars(value) else ", score"
                yield f"   :exclude-members: {_OF_SKLEARN}{own}"
            yield ""
    yield from ("```", "")
    tables = [f"`{name}`" for name in found if name.isupper()]
    if tables:
        yield f"What can be chosen by name is in [tables](learners.md): {', '.join(tables)}."
        yield ""
    for name, value in found.items():
        if inspect.ismodule(value):
            yield f"- `metaloop.{name}`: {(value.__doc__ or '').strip().partition(chr(10))[0]}"


def _without_kind(names: str) -> str:
    """`DATA` of `DATA <str>`; what an option is given stays."""
    return names if names.startswith("-") else _KIND.sub("", names)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Plain text as Markdown: nothing in it is markup."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def _link(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = _ABOVE.sub(r"](\1.md", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Tells Sphinx of the directives."""
    app.add_directive("verb", Verb)
    app.add_directive("catalogue", Catalogue)
    app.add_directive("public-names", PublicNames)
    app.connect("source-read", _link)
    return {"parallel_read_safe": True}
