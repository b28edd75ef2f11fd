"""Which backbones a run was offered: a record of each try, beside its pictures.

It is an artefact, JSON that names every encoder with its version, licence and weights: the figures
of what saw inputs through it mean nothing without.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from metaloop.archive.archive import Archive
from metaloop.archive.stored import Artefact, RunId
from metaloop.core.conforming import conforming
from metaloop.core.errors import ArchiveError
from metaloop.core.leagues import Backbone, EncoderCard
from metaloop.core.strict_json import checked_json

_NAME, _MEDIA_TYPE = "backbones", "application/json"


def add_backbones(archive: Archive, run: RunId, backbones: Sequence[Backbone]) -> None:
    """Records what a try was offered; nothing where that is nothing."""
    if backbones:
        text = json.dumps([asdict(each) for each in backbones], sort_keys=True)
        archive.add_artefact(run, _NAME, _MEDIA_TYPE, text.encode(), "the backbones on offer")


def is_offering(artefact: Artefact) -> bool:
    """Whether an artefact is such a record, and nothing to look at."""
    return (artefact.name, artefact.media_type) == (_NAME, _MEDIA_TYPE)


def backbones_in(artefacts: Iterable[Artefact]) -> tuple[Backbone, ...]:
    """Returns what the tries of a run were offered, each once, as the last of them had it.

    Raises `ArchiveError` for a record that is damaged.
    """
    found: dict[tuple[str, str], Backbone] = {}
    for artefact in artefacts:
        if is_offering(artefact):
            for each in _read(artefact):
                found[each.view, each.card.name] = each
    return tuple(found.values())


def _read(artefact: Artefact) -> list[Backbone]:
    try:
        return [
            conforming(Backbone(each["view"], EncoderCard(**each["card"])))
            for each in checked_json(artefact.content)
        ]
    except (ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchiveError(f"the archive's record of backbones is damaged: {reason}") from error
