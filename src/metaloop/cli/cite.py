"""`metaloop cite`: BibTeX of the methods and backbones behind a model or a run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.core.errors import ModelFileError
from metaloop.core.leagues import EncoderCard, card_bibtex, card_json

Cited = tuple[list[str], list[EncoderCard]]  # entries of BibTeX, and the backbones


def cite(
    target: Annotated[
        Path,
        typer.Argument(metavar="MODEL|RUN", help="A model file, or the folder of a learn run."),
    ],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Print BibTeX of the methods and backbones behind a model, or of all that a run tried.

    A backbone is named with its version, licence and the hash of its weights.
    """
    from metaloop.report.figures import printable

    citations, cards = _of_run(target) if target.is_dir() else _of_model(target)
    cards = list(dict.fromkeys(cards))
    entries = _distinct([*citations, *(card_bibtex(card) for card in cards)])
    if as_json:
        print_json({"citations": entries, "backbones": [card_json(card) for card in cards]})
    else:
        print("\n\n".join(printable(entry, keep="\n") for entry in entries))


def _of_model(path: Path) -> Cited:
    from metaloop.catalogue.view_limits import checked_cards
    from metaloop.core.fitted_view import FittedView
    from metaloop.modelfile import read_model

    content = read_model(path)
    view = None if content.view is None else FittedView(content.view, content.assets or {})
    return list(content.citations), list(checked_cards(view))


def _of_run(folder: Path) -> Cited:
    """The model's methods first, then those of all candidates, then the backbones on offer."""
    from metaloop.archive import Archive, backbones_in
    from metaloop.catalogue import LEARNERS
    from metaloop.catalogue.candidates import learner_class

    model, archive_file = folder / "model.metaloop", folder / "archive.sqlite"
    if not model.exists() and not archive_file.exists():
        raise ModelFileError(
            f"'{folder}' is not the folder of a run: it holds no model.metaloop or archive.sqlite"
        )
    found, cards = _of_model(model) if model.exists() else ([], [])
    if archive_file.exists():
        with Archive.open(archive_file, read_only=True) as archive:
            names = dict.fromkeys(c.candidate.learner.name for c in archive.candidates())
            backbones = backbones_in(archive.artefacts())
        found += [learner_class(name).citation for name in names if name in LEARNERS]
        found += [each.card.citation for each in backbones]
        cards += [each.card for each in backbones]
    return found, cards


def _distinct(citations: Iterable[str]) -> list[str]:
    """Each entry once, by its key in BibTeX: two learners may be of one paper.

    Backbones that are beside each other have one text for the papers of both.
    """
    entries = [e.strip() for text in citations for e in re.split(r"\n(?=@)", text) if e.strip()]
    return list({_key(entry): entry for entry in reversed(entries)}.values())[::-1]


def _key(citation: str) -> str:
    match = re.match(r"\s*@\w+\{([^,]+),", citation)
    return match[1] if match else citation
