"""`generate`: a family whose training part is enlarged by the classes that a data recipe makes.

Operators apply left to right, each to all training classes so far, original and generated. The new
classes are kept in memory beside the originals: the same bytes per example, at most `limit_bytes`
of them; where an operator would make more, it is applied to a random choice of the classes. While
it works, one operator's new classes are held twice.

A generated class is dropped if most of its examples occur in a class that is there already (a
rotation that the data has as a class of its own), or if any occurs in another part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.columns import behind
from metaloop.core.errors import DataError
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Choice, DataRecipe
from metaloop.generators.classes import Classes, joined, training_classes
from metaloop.generators.drawing import Draw
from metaloop.generators.fingerprints import fingerprints
from metaloop.generators.operators import OPERATORS
from metaloop.generators.recipes import checked, choice_text, operators_of, recipe_text
from metaloop.tasks.family import ClassFamily, Enlargement, TaskFamily
from metaloop.tasks.store import LeftOut, Store

Hold = Callable[[Tensor, np.ndarray], Tensor]  # from a tensor and row numbers to those rows

LIMIT_BYTES = 512 * 1024 * 1024
_IN_ANOTHER_PART = "same content in another part"
_ALREADY_THERE = "same content as another class"
_TOO_MUCH = "more than the limit of memory"


def generate(
    family: TaskFamily,
    recipe: DataRecipe,
    seed: int,
    *,
    limit_bytes: int = LIMIT_BYTES,
    draw: Draw | None = None,
) -> ClassFamily:
    """Returns the family with the recipe's classes in its training part.

    Family, recipe, seed and, where an operator draws, the model behind `draw` decide every byte.
    Other parts stay as they are; the input format is the family's own. A recipe without operators
    returns the family itself. Raises `DataError` if
    the operators do not fit such inputs, or make nothing that is new.
    """
    made = make_classes(family, recipe, seed, limit_bytes=limit_bytes, draw=draw)
    classes = family.as_classes
    assert classes is not None
    if not made.pieces:
        return classes
    return enlarged(classes, made.pieces, recipe.original_share, made.left_out)


@dataclass(frozen=True)
class Made:
    """The classes that a recipe has made, in pieces, and what it has left out."""

    pieces: tuple[Classes, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def make_classes(
    family: TaskFamily,
    recipe: DataRecipe,
    seed: int,
    *,
    limit_bytes: int = LIMIT_BYTES,
    hold: Hold | None = None,
    draw: Draw | None = None,
) -> Made:
    """Returns the recipe's new classes alone; refuses what `generate` refuses.

    `hold` puts the examples that are kept where they stay, such as a file: they are in memory else.
    """
    recipe = checked(recipe)
    classes = family.as_classes
    if classes is None:
        raise DataError(f"{family.name} has no classes to generate others from; use no generators")
    if classes.enlargement is not None:
        raise DataError(f"{family.name} is generated already; generate from the family it was")
    operators = operators_of(recipe)
    if not operators:
        return Made()
    _check_inputs(classes, operators)
    maker = _Maker(classes, limit_bytes, hold, draw)
    for position, choice in enumerate(operators):
        maker.apply(choice, seed, position)
    if not maker.made:
        reasons = "; ".join(f"{item.count:,} {item.reason}" for item in maker.left_out)
        raise DataError(
            f"{family.name}: '{recipe_text(recipe)}' makes no new class ({reasons}); "
            f"use another recipe"
        )
    return Made(tuple(maker.made), maker.left_out)


def enlarged(
    base: ClassFamily,
    made: Sequence[Classes],
    original_share: float,
    left_out: Sequence[LeftOut] = (),
) -> ClassFamily:
    """Returns `base` with the classes of every piece of `made` added to its training part."""
    first = len(base.store.classes)
    sizes = np.concatenate([piece.sizes for piece in made])
    targets = torch.from_numpy(np.repeat(first + np.arange(len(sizes)), sizes))
    store = Store(
        behind([base.store.inputs, *(piece.inputs for piece in made)]),
        torch.cat([base.store.targets, targets.to(base.store.targets.device)]),
        base.store.classes + tuple(info for piece in made for info in piece.infos),
        base.store.polarity,
        names=base.store.names_and(len(targets)),
    )
    train = np.concatenate([base.parts["train"], first + np.arange(len(sizes))])
    return replace(
        base,
        store=store,
        parts={**base.parts, "train": train},
        given_format=base.input_format,
        enlargement=Enlargement(base, original_share, tuple(left_out)),
    )


class _Maker:
    """The classes made so far, and what was left out."""

    def __init__(
        self, family: ClassFamily, limit_bytes: int, hold: Hold | None, draw: Draw | None
    ) -> None:
        self.hold, self.draw = hold, draw
        self.originals = training_classes(family)
        self.room = limit_bytes
        self.made: list[Classes] = []
        self._left_out: dict[tuple[str, str], int] = {}
        train = np.zeros(len(family.store.classes), dtype=bool)
        train[family.parts["train"]] = True
        marks = fingerprints(family.store.inputs)
        in_train = train[family.store.targets.cpu().numpy()]
        self.sealed, self.known = np.sort(marks[~in_train]), np.sort(marks[in_train])

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was left out, with reasons."""
        return tuple(LeftOut(*key, count) for key, count in self._left_out.items())

    def apply(self, choice: Choice, seed: int, position: int) -> None:
        """Makes an operator's classes from all so far and keeps what is new."""
        so_far = joined([self.originals, *self.made])
        copies = int(choice.options.get("copies", 1))
        for copy in range(copies):
            rng = numpy_stream(seed, "generate", position, choice_text(choice), copy)
            fitting = self._fitting(choice, so_far, rng)
            if not len(fitting):
                continue
            new = OPERATORS[choice.name].apply(fitting, rng, choice.options, self.draw)
            if copies > 1:
                infos = (replace(info, name=f"{info.name} #{copy + 1}") for info in new.infos)
                new = replace(new, infos=tuple(infos))
            self._keep(new, choice)

    def _fitting(self, choice: Choice, so_far: Classes, rng: np.random.Generator) -> Classes:
        """Returns as many of the classes as an operator can be applied to within the limit."""
        entry, options = OPERATORS[choice.name], choice.options
        bytes_per_class = so_far.num_bytes / len(so_far)
        possible = int(self.room / bytes_per_class)
        wanted = entry.made(options, len(so_far))
        if wanted <= possible:
            return so_far
        number = int(len(so_far) * possible / wanted)
        # Too few to work on, or as many are made however few it works on.
        if number < entry.needs or entry.made(options, number) > possible:
            number = 0
        kept = entry.made(options, number) if number else 0
        self._leave_out(choice, _TOO_MUCH, wanted - kept)
        return so_far.subset(np.sort(rng.choice(len(so_far), number, replace=False)))

    def _keep(self, new: Classes, choice: Choice) -> None:
        marks, labels = fingerprints(new.inputs), new.labels
        leaks = np.bincount(labels, _among(marks, self.sealed), len(new)) > 0
        repeats = np.bincount(labels, self._occurred(marks, labels), len(new)) > new.sizes / 2
        self._leave_out(choice, _IN_ANOTHER_PART, int(leaks.sum()))
        self._leave_out(choice, _ALREADY_THERE, int((repeats & ~leaks).sum()))
        fresh = np.flatnonzero(~leaks & ~repeats)
        if len(fresh):
            kept = new.subset(fresh) if self.hold is None else _held(new, fresh, self.hold)
            self.made.append(kept)
            self.room -= kept.num_bytes
            is_fresh = np.zeros(len(new), dtype=bool)
            is_fresh[fresh] = True
            self.known = np.sort(np.concatenate([self.known, marks[is_fresh[labels]]]))

    def _occurred(self, marks: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Whether each example occurs in an earlier class, among the new ones, too."""
        order = np.argsort(marks, kind="stable")
        starts_run = np.ones(len(marks), dtype=bool)
        starts_run[1:] = marks[order][1:] != marks[order][:-1]
        first_of_run = np.maximum.accumulate(np.where(starts_run, np.arange(len(marks)), 0))
        earlier = np.empty(len(marks), dtype=bool)
        earlier[order] = labels[order][first_of_run] < labels[order]
        return _among(marks, self.known) | earlier

    def _leave_out(self, choice: Choice, reason: str, count: int) -> None:
        if count:
            key = (f"classes of {choice_text(choice)}", reason)
            self._left_out[key] = self._left_out.get(key, 0) + count


def _held(classes: Classes, chosen: np.ndarray, hold: Hold) -> Classes:
    """Returns the chosen classes with their examples where `hold` puts them."""
    rows = np.flatnonzero(np.isin(classes.labels, chosen))
    infos = tuple(classes.infos[index] for index in chosen)
    return Classes(hold(classes.inputs, rows), classes.sizes[chosen], infos)


def _among(marks: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Whether each mark is one of `ordered`, which is sorted: `np.isin`, several times quicker."""
    if not len(ordered):
        return np.zeros(len(marks), dtype=bool)
    places = np.searchsorted(ordered, marks).clip(max=len(ordered) - 1)
    found: np.ndarray = ordered[places] == marks
    return found


def _check_inputs(family: ClassFamily, operators: Sequence[Choice]) -> None:
    kind = family.input_format.kind
    for choice in operators:
        wanted = OPERATORS[choice.name].inputs
        if wanted not in (kind, "any"):
            fitting = [name for name, entry in OPERATORS.items() if entry.inputs in (kind, "any")]
            raise DataError(
                f"{choice.name} takes {wanted}s, the data are {kind}s; "
                f"operators for them: {', '.join(fitting)}"
            )
