"""`metaloop cite`: BibTeX of the methods behind a model or a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.core.errors import ModelFileError


def cite(
    target: Annotated[
        Path,
        typer.Argument(metavar="MODEL|RUN", help="A model file, or the folder of a learn run."),
    ],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Print BibTeX of the methods and backbones behind a model, or of all that a run tried."""
    citations = _of_run(target) if target.is_dir() else _of_model(target)
    distinct = list({_key(citation): citation for citation in reversed(citations)}.values())[::-1]
    if as_json:
        print_json({"citations": distinct})
    else:
        print("\n\n".join(distinct))


def _of_model(path: Path) -> list[str]:
    from metaloop.modelfile import read_model

    return list(read_model(path).citations)


def _of_run(folder: Path) -> list[str]:
    """The model's methods first, then those of all candidates, then the backbones on offer."""
    from metaloop.archive import Archive, backbones_in
    from metaloop.catalogue import LEARNERS
    from metaloop.catalogue.candidates import learner_class

    model, archive_file = folder / "model.metaloop", folder / "archive.sqlite"
    if not model.exists() and not archive_file.exists():
        raise ModelFileError(
            f"'{folder}' is not the folder of a run: it holds no model.metaloop or archive.sqlite"
        )
    found = _of_model(model) if model.exists() else []
    if archive_file.exists():
        with Archive.open(archive_file, read_only=True) as archive:
            names = dict.fromkeys(c.candidate.learner.name for c in archive.candidates())
            backbones = backbones_in(archive.artefacts())
        found += [learner_class(name).citation for name in names if name in LEARNERS]
        found += [each.card.citation for each in backbones if each.card.citation]
    return found


def _key(citation: str) -> str:
    """The entry's key in BibTeX: two learners may be of one paper."""
    match = re.match(r"\s*@\w+\{([^,]+),", citation)
    return match[1] if match else citation
