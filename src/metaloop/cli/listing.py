"""`metaloop list`: what can be chosen by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json, print_table
from metaloop.core.errors import unknown_name


def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="learners, nets, families, generators, views, backbones..."
        ),
    ],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """List learners, nets, built-in families, generators of data, programs, views or backbones."""
    if kind not in _KINDS:
        raise unknown_name("list", kind, _KINDS)
    entries = _KINDS[kind]()
    if as_json:
        print_json({kind: entries})
        return
    shown = [_for_people(entry) for entry in entries]
    print_table(tuple(shown[0]), [tuple(entry.values()) for entry in shown])


def _for_people(entry: dict[str, str]) -> dict[str, str]:
    """An entry as a table has it: how to install something, only where it is not installed."""
    install = entry.get("install", "")
    cells = {name: cell for name, cell in entry.items() if name != "install"}
    return {**cells, "installed": install} if cells.get("installed") == "no" else cells


def _learners() -> list[dict[str, str]]:
    from metaloop.catalogue import LEARNERS
    from metaloop.catalogue.candidates import learner_class

    return [
        {"name": name, "summary": entry.summary, "paper": _paper(learner_class(name).citation)}
        for name, entry in LEARNERS.items()
    ]


def _nets() -> list[dict[str, str]]:
    from metaloop.catalogue import NETS

    return [{"name": name, "summary": entry.summary} for name, entry in NETS.items()]


def _families() -> list[dict[str, str]]:
    from metaloop.catalogue import FAMILIES

    return [{"name": name, "summary": entry.summary} for name, entry in FAMILIES.items()]


def _generators() -> list[dict[str, str]]:
    from metaloop.catalogue.generators import GENERATORS

    return [
        {"name": name, "written": e.signature, "inputs": e.inputs, "summary": e.summary}
        for name, e in GENERATORS.items()
    ]


def _programs() -> list[dict[str, str]]:
    from metaloop.catalogue.programs import PROGRAMS

    return [
        {"name": name, "summary": entry.summary, "paper": entry.paper}
        for name, entry in PROGRAMS.items()
    ]


def _views() -> list[dict[str, str]]:
    from metaloop.catalogue.views import VIEWS

    return [{"name": name, "inputs": e.takes, "summary": e.summary} for name, e in VIEWS.items()]


def _backbones() -> list[dict[str, str]]:
    from metaloop.catalogue.backbones import BACKBONES

    return [
        {
            "name": entry.written,
            "inputs": entry.takes,
            "installed": "yes" if entry.is_installed else "no",
            "install": entry.install,
            "size": f"{entry.megabytes} MB",
            "licence": entry.licence,
            "sees": entry.sees,
            "knows": entry.knows,
            "summary": entry.summary,
        }
        for entry in BACKBONES.values()
    ]


_KINDS: dict[str, Callable[[], list[dict[str, str]]]] = {
    "learners": _learners,
    "nets": _nets,
    "families": _families,
    "generators": _generators,
    "programs": _programs,
    "views": _views,
    "backbones": _backbones,
}


def _paper(citation: str) -> str:
    """`Snell et al. 2017, arXiv:1703.05175` from a BibTeX entry."""
    found = re.findall(r"(\w+)\s*=\s*\{(.*?)\},?\s*\n", citation, re.DOTALL)
    fields = {name: " ".join(value.split()) for name, value in found}
    authors = fields.get("author", "").split(" and ")
    names = [author.partition(",")[0].strip() for author in authors]
    who = f"{names[0]} et al." if len(names) > 2 else " & ".join(names)
    eprint = f"arXiv:{fields['eprint']}" if "eprint" in fields else fields.get("journal", "")
    published = f", {eprint}" if eprint.startswith("arXiv:") else ""
    return f"{who} {fields.get('year', '')}{published}".strip()
