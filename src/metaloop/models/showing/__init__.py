"""What a page shows of a model: episodes of `search` and its answers, as fits what inputs are."""

from __future__ import annotations

from collections.abc import Iterator

from metaloop.catalogue.domains import domain_of
from metaloop.core.column_kinds import kind_of
from metaloop.core.generation import GENERATION
from metaloop.core.spec import TaskSpec
from metaloop.models.model import Model
from metaloop.models.showing.generated import show_generated
from metaloop.models.showing.images import show_images
from metaloop.models.showing.ratings import show_ratings
from metaloop.models.showing.recordings import show_recordings
from metaloop.models.showing.shown import Shown
from metaloop.models.showing.texts import show_texts
from metaloop.tasks.family import TaskFamily

__all__ = ["Shown", "shown_of"]

_BY_OBJECTIVE = {GENERATION.name: show_generated}
_BY_KIND = {"items": show_ratings, "recordings": show_recordings, "texts": show_texts}


def shown_of(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Shown]:
    """Yields what there is to see, hear or read of such a family; nothing of numbers."""
    if spec.objective in _BY_OBJECTIVE:
        yield from _BY_OBJECTIVE[spec.objective](model, family, spec)
        return
    read = family.as_read
    show = None if read is None else _BY_KIND.get(kind_of(read.inputs))
    if show is not None:
        yield from show(model, family, spec)
    if family.as_classes is not None and domain_of(family.input_format).in_files:
        yield from show_images(model, family, spec)
