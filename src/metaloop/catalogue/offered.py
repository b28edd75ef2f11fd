"""Which frozen encoders a family is offered: none, those installed, or those that were named."""

from __future__ import annotations

from metaloop.catalogue.backbones import (
    BACKBONES,
    installed,
    installed_for_entities,
    open_backbone,
)
from metaloop.core.columns import kind_of
from metaloop.core.encoder import Encoder
from metaloop.core.errors import InputError
from metaloop.domains.text.entities import has_marks
from metaloop.tasks.family import TaskFamily

NONE, AUTO = "none", "auto"
# What is weaker than the one that holds it, on all that was measured (LOG.md): a view less to race.
_PIECES = {"wordllama": "minilm+wordllama"}


def on_offer(family: TaskFamily) -> list[dict[str, str]]:
    """Returns what `auto` offers a family that was read: `name`, `licence` and `knows` of each.

    Cheap: nothing is opened for it.
    """
    classes = family.as_classes
    if classes is None:
        return []
    store = classes.store if classes.raw is None else classes.raw
    return [
        {"name": name, "licence": BACKBONES[name].licence, "knows": BACKBONES[name].knows}
        for name in _usual(kind_of(store.inputs), has_marks(store.inputs))
    ]


def name_of_backbone(backbone: str | Encoder) -> str | None:
    """Returns what was asked for, as records have it: None for what is usual."""
    if isinstance(backbone, Encoder):
        return backbone.card.name
    return None if backbone == AUTO else backbone


def offered(
    backbone: str | Encoder, takes: str, *, download: bool = False, marked: bool = False
) -> tuple[Encoder, ...]:
    """Returns the encoders that `backbone` stands for, for inputs of this kind.

    `none`, `auto` (those installed), names with commas between them, or an encoder. `marked`: texts
    have two marked entities. Raises
    `UnknownNameError` for a name that nothing has, and `InputError` for no name at all.
    """
    if isinstance(backbone, Encoder):
        return (backbone,) if backbone.card.takes == takes else ()
    if backbone == NONE:
        return ()
    if backbone == AUTO:
        return tuple(open_backbone(name, takes=takes) for name in _usual(takes, marked))
    names = [name.strip() for name in backbone.split(",") if name.strip()]
    if not names:
        raise InputError(f"a backbone is {NONE}, {AUTO}, or names with commas; got {backbone!r}")
    return tuple(open_backbone(name, takes=takes, download=download) for name in names)


def _usual(takes: str, marked: bool) -> tuple[str, ...]:
    """The installed ones for such inputs, without those that only add a view to a better one."""
    if marked and (for_entities := installed_for_entities()):
        return for_entities
    names = installed(takes)
    return tuple(name for name in names if not (name in _PIECES and _PIECES[name] in names))
