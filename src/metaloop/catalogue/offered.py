"""Which frozen encoders a family is offered: none, those installed, or those that were named.

What is named is used, however long it takes. What is installed is offered as far as it is
affordable: the features of all examples are computed before a budget begins, and may take
`ENCODING_SHARE` of it, by what a first batch takes. One of images is asked for the largest side
that is affordable, for that is worth more than most of what can be learned after it (LOG.md). The
first one of other inputs, which has no smaller size, may take `FIRST_SHARE`: without one, nets of
texts and of sound are far behind, and nets of images may be ahead. From a budget of
`FINE_TUNED_FROM` seconds on, the front of a net is offered beside the whole one, in what is left:
its other half can then be trained. That of texts is there by name alone: fine-tuned, it was level
with a map behind the whole net that takes a tenth of the time (LOG.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from metaloop.catalogue.backbones import (
    BACKBONES,
    installed,
    installed_for_entities,
    open_backbone,
)
from metaloop.core.column_kinds import kind_of
from metaloop.core.columns import Column, Taken, length, take
from metaloop.core.encoder import Encoder, JoinedEncoder
from metaloop.core.errors import InputError, MetaloopError
from metaloop.core.fitted_view import key_of
from metaloop.domains.text.entities import has_marks
from metaloop.tasks.family import TaskFamily

NONE, AUTO = "none", "auto"
ENCODING_SHARE = 0.5  # of a budget in seconds: so long may encoding take that comes before it
FIRST_SHARE = 1.0  # the same of the first encoder, if it comes in one size
_LITTLE = 0.1  # of what is encoded anyway: a pair that takes no more beside it is never too long
FINE_TUNED_FROM = 600.0  # seconds: a training of the other half takes three times a head's (LOG.md)
MOST_WITHOUT_A_CLOCK = 100_000  # examples, where a budget is in steps: nothing is timed then
_BATCH = 16  # examples whose encoding is timed
_SIDES: Mapping[str, Sequence[str]] = MappingProxyType(
    {"lite0": ("lite0@160", "lite0@128", "lite0")}  # the last is the usual one
)
_FRONTS = {"lite0": "lite0-front"}
# What is weaker than the one that holds it, on all that was measured (LOG.md): a view less to race.
# The first stands in where there is no time for the other, the rest take as long as theirs.
_PIECES = {"wordllama": "minilm-layers+wordllama"}
_OUTDONE = {**_PIECES, "minilm": "minilm-layers", "minilm+wordllama": "minilm-layers+wordllama"}


@dataclass(frozen=True)
class Allowance:
    """What `auto` may offer: encoders that take `seconds` together; None: no clock decides.

    `first`: what the first may take alone, if that is more and it comes in one size. `names`: just
    these instead, as an earlier try of the same run was offered them. `fine_tunes`: the fronts of
    nets are offered, too.
    """

    seconds: float | None = None
    first: float = 0.0
    names: tuple[str, ...] | None = None
    fine_tunes: bool = False


NO_CLOCK = Allowance()


def allowance_of(budget_seconds: float | None) -> Allowance:
    """Returns what encoding may take before a budget of so many seconds, or of steps (None)."""
    if budget_seconds is None:
        return NO_CLOCK
    return Allowance(
        ENCODING_SHARE * budget_seconds,
        FIRST_SHARE * budget_seconds,
        fine_tunes=budget_seconds >= FINE_TUNED_FROM,
    )


@dataclass(frozen=True)
class Offer:
    """The encoders that so many examples are seen through, too; and what is left out, and why."""

    number: int
    encoders: tuple[Encoder, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def side(self) -> int:
        """The side in pixels at which these want images; 0 for none."""
        return max((encoder.card.size for encoder in self.encoders), default=0)


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
        for name in usual_names(kind_of(store.inputs), has_marks(store.inputs))
    ]


def name_of_backbone(backbone: str | Encoder) -> str | None:
    """Returns what was asked for, as records have it: None for what is usual."""
    if isinstance(backbone, Encoder):
        return backbone.card.name
    return None if backbone == AUTO else backbone


def named(backbone: str | Encoder, takes: str, *, download: bool = False) -> tuple[Encoder, ...]:
    """Returns the encoders that `backbone` names, for inputs of this kind: none for `auto`.

    It is `none`, `auto`, names with commas between them, or an encoder. Raises `UnknownNameError`
    for a name that nothing has, and `InputError` for no name at all.
    """
    if isinstance(backbone, Encoder):
        return (backbone,) if backbone.card.takes == takes else ()
    if backbone in (NONE, AUTO):
        return ()
    names = [name.strip() for name in backbone.split(",") if name.strip()]
    if not names:
        raise InputError(f"a backbone is {NONE}, {AUTO}, or names with commas; got {backbone!r}")
    return tuple(open_backbone(name, takes=takes, download=download) for name in names)


def usual_names(takes: str, marked: bool) -> tuple[str, ...]:
    """Returns the installed ones for such inputs, without what only adds a view to a better one."""
    if marked and (for_entities := installed_for_entities()):
        return for_entities
    names = installed(takes)
    return tuple(name for name in names if _OUTDONE.get(name) not in names)


def affordable(
    takes: str,
    number: int,
    allowance: Allowance,
    column: Column | None = None,
    *,
    marked: bool = False,
) -> Offer:
    """Returns what `auto` offers so many inputs of this kind: encoders that are installed.

    The first ones are served first. `column` holds inputs to time them with; images are all alike.
    `marked`: texts have two marked entities.
    """
    if allowance.names is not None:
        return Offer(number, _opened(takes, allowance.names))
    found = _Found(takes, number, allowance, column)
    names = usual_names(takes, marked)
    for name in names:
        found.offer(name)
    for name in names if allowance.fine_tunes else ():
        if name in _FRONTS:
            found.offer(_FRONTS[name])
    for piece, whole in _PIECES.items():  # where both are more than is affordable
        if whole in names and whole not in found.names:
            found.offer(piece)
    return Offer(number, tuple(found.encoders), tuple(found.left_out))


class _Found:
    """What is offered so far, what it takes, and what is left out."""

    def __init__(
        self, takes: str, number: int, allowance: Allowance, column: Column | None
    ) -> None:
        self.takes, self.number, self.allowance, self.column = takes, number, allowance, column
        self.encoders: list[Encoder] = []
        self.left_out: list[str] = []
        self._left = allowance.seconds
        self._taken = 0.0
        self._computed: set[str] = set()  # keys of what is encoded anyway

    @property
    def names(self) -> list[str]:
        return [encoder.card.name for encoder in self.encoders]

    def offer(self, name: str) -> None:
        """Offers the encoder in the largest size that is affordable, or says why in none."""
        tried: list[tuple[str, float]] = []
        sizes = (name,) if self._left is None else _SIDES.get(name, (name,))
        used = ""
        for size in sizes:
            try:
                encoder = open_backbone(size, takes=self.takes)
            except MetaloopError as error:  # nobody asked for it: that it is damaged is told
                self.left_out.append(f"the backbone '{name}' is left out: {error}")
                return
            needed = self._needed(encoder)
            little = isinstance(encoder, JoinedEncoder) and needed <= _LITTLE * self._taken
            if little or self._fits(needed, only=len(sizes) == 1):
                self._take(encoder, needed)
                used = encoder.card.name
                break
            tried.append((size, needed))
        if tried:
            seconds = self.allowance.seconds
            self.left_out.append(_said(tried[0], self.takes, self.number, seconds, used))

    def _needed(self, encoder: Encoder) -> float:
        """Seconds for all examples; what is encoded anyway takes none."""
        if self._left is None:
            return 0.0
        new = [piece for piece in _pieces(encoder) if _key(piece) not in self._computed]
        return self.number * sum((seconds_each(piece, self.column) for piece in new), 0.0)

    def _fits(self, needed: float, *, only: bool) -> bool:
        if self._left is None:
            return self.number <= MOST_WITHOUT_A_CLOCK
        if only and not self.encoders:
            return needed <= max(self._left, self.allowance.first)
        return needed <= self._left

    def _take(self, encoder: Encoder, needed: float) -> None:
        self.encoders.append(encoder)
        self._computed.update(map(_key, _pieces(encoder)))
        self._taken += needed
        if self._left is not None:
            self._left = max(0.0, self._left - needed)


def _pieces(encoder: Encoder) -> tuple[Encoder, ...]:
    return encoder.pieces if isinstance(encoder, JoinedEncoder) else (encoder,)


def _key(encoder: Encoder) -> str:
    return key_of(encoder.card.name, encoder.card.weights)


def seconds_each(encoder: Encoder, column: Column | None = None) -> float:
    """Returns how long an example takes to encode, by two batches of which the first warms up."""
    inputs, number = _batch(encoder, column)
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        encoder.encode(inputs)
        taken.append(time.perf_counter() - start)
    return min(taken) / max(1, number)


def _batch(encoder: Encoder, column: Column | None) -> tuple[Taken, int]:
    side = encoder.card.size
    if column is None or side:  # images are all alike
        return torch.zeros((_BATCH, 3, side, side), dtype=torch.uint8), _BATCH
    number = min(_BATCH, length(column))
    return take(column, torch.linspace(0, max(0, length(column) - 1), number).long()), number


def _opened(takes: str, names: Sequence[str]) -> tuple[Encoder, ...]:
    """Those of these that are still there; who misses one of the others says so."""
    found = []
    for name in names:
        try:
            found.append(open_backbone(name, takes=takes))
        except MetaloopError:
            continue
    return tuple(found)


def _said(
    first: tuple[str, float], takes: str, number: int, seconds: float | None, used: str
) -> str:
    """What is left out, why, what is used instead, and how to have it all the same."""
    name, needed = first
    if seconds is None:
        why = f"a budget in steps has no clock, and {number:,} {takes} may take long"
    else:
        why = (
            f"it would take {_time(needed)} for {number:,} {takes}, and all encoding may take "
            f"{_time(seconds)}, {ENCODING_SHARE:.0%} of the budget"
        )
    instead = f"; {used} is offered instead" if used else ""
    return f"the backbone '{name}' is left out: {why}{instead} (--backbone {name} has it used)"


def _time(seconds: float) -> str:
    """A duration as people say it: `45 s`, `12 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
