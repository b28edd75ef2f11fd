"""The operators that data recipes are made of: what each takes, makes and is for.

`OPERATORS` is the table; a recipe's text, its checks and its limits all come from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.generators.classes import Classes
from metaloop.generators.colours import invert, permute_channels
from metaloop.generators.drawing import Draw, generated
from metaloop.generators.geometry import affine, flip, rotate, scramble
from metaloop.generators.mixing import cutmix, mix
from metaloop.generators.priors import prior
from metaloop.generators.sounds import reverse, splice, tempo
from metaloop.generators.vectors import mask, permute_features, sign

Value = int | float | str


@dataclass(frozen=True)
class Parameter:
    """An argument of an operator: a real or whole number within bounds, or one of some words.

    `default` None: it has to be given. `choices` (of whole numbers or words) go before the bounds.
    """

    name: str
    kind: Literal["real", "whole", "word"]
    low: int | float = 0
    high: int | float = math.inf
    choices: tuple[Value, ...] = ()
    default: Value | None = None

    @property
    def expected(self) -> str:
        """What the argument may be, in words."""
        if self.choices:
            return " or ".join(map(str, self.choices))
        noun = "a number" if self.kind == "real" else "a whole number"
        return f"{noun} from {self.low:g} to {self.high:g}"

    def checked(self, value: Any, operator: str) -> Value:
        """Returns the value in this parameter's type; `MetaloopError` if it may not be that."""
        right: Value | None = None
        if self.kind == "word":
            right = value if isinstance(value, str) else None
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            if self.kind == "real":
                right = float(value)
            elif value == int(value):
                right = int(value)
        if right is None or (self.choices and right not in self.choices):
            raise self._refused(value, operator)
        if (
            not self.choices
            and isinstance(right, int | float)
            and not (self.low <= right <= self.high)
        ):
            raise self._refused(value, operator)
        return right

    def _refused(self, value: Any, operator: str) -> MetaloopError:
        if self.kind == "word" and isinstance(value, str):
            return unknown_name(f"{self.name} of {operator}", value, map(str, self.choices))
        return MetaloopError(f"{self.name} of {operator} is {self.expected}; got {value!r}")


@dataclass(frozen=True)
class Operator:
    """An operator: its function, a line about it, the inputs it takes, its parameters in order.

    `function(classes, rng, **options)` returns new classes. `made(options, classes)` says how many
    that are, before they are made, for so many classes. An operator that `repeats` also has the
    option `copies`: it is applied that often, each time at random anew. It `needs` so many classes.
    One that `draws` works with a generative model, which whoever applies it brings along.
    """

    function: Callable[..., Classes]
    summary: str
    inputs: Literal["image", "spectrogram", "vector", "any"]
    parameters: tuple[Parameter, ...] = ()
    made: Callable[[Mapping[str, Any], int], int] = lambda options, num_classes: num_classes
    repeats: bool = False
    needs: int = 1
    draws: bool = False

    @property
    def all_parameters(self) -> tuple[Parameter, ...]:
        """The parameters, with `copies` where the operator repeats."""
        return (*self.parameters, *((_COPIES,) if self.repeats else ()))

    def apply(
        self,
        classes: Classes,
        rng: np.random.Generator,
        options: Mapping[str, Any],
        draw: Draw | None = None,
    ) -> Classes:
        """Returns the new classes of one application, `copies` left aside."""
        given = {p.name: options.get(p.name, p.default) for p in self.parameters}
        if self.draws:
            given["draw"] = draw
        return self.function(classes, rng, **given)


_COPIES = Parameter("copies", "whole", 1, 8, default=1)
_STRENGTH = Parameter("strength", "real", 0.05, 1.0)


def _share(low: float, high: float) -> tuple[Parameter, ...]:
    return (Parameter("share", "real", low, high),)


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "affine": Operator(
            affine, "a rotation, stretch and shift fixed for each class", "image", (_STRENGTH,),
            repeats=True,
        ),
        "cutmix": Operator(
            cutmix, "a rectangle of another class, at one place for each new class", "image",
            _share(0.05, 0.5), repeats=True, needs=2,
        ),
        "flip": Operator(
            flip, "mirrored classes", "image",
            (Parameter("direction", "word", choices=("horizontal", "vertical")),),
        ),
        "generated": Operator(
            generated, "classes drawn by a generative model, after some of a class", "image",
            (
                Parameter("temperature", "real", 0.05, 2.0),
                Parameter("number", "whole", 1, 5000, default=1000),
                Parameter("shots", "whole", 1, 20, default=5),
            ),
            made=lambda options, num_classes: min(num_classes, int(options.get("number", 1000))),
            repeats=True, draws=True,
        ),
        "invert": Operator(invert, "negatives", "image"),
        "mask": Operator(
            mask, "features hidden, the same for a whole class", "vector", _share(0.01, 0.95),
            repeats=True,
        ),
        "mix": Operator(
            mix, "examples between those of two classes", "any", _share(0.05, 0.5),
            repeats=True, needs=2,
        ),
        "permute_channels": Operator(
            permute_channels, "colours exchanged, the same way for a whole class", "image"
        ),
        "permute_features": Operator(
            permute_features, "features exchanged, the same way for a whole class", "vector",
            _share(0.01, 1.0), repeats=True,
        ),
        "prior": Operator(
            prior, "synthetic classes: drawn strokes, smooth blobs, Gaussian clouds", "any",
            (
                Parameter("kind", "word", choices=("blobs", "gaussian", "strokes")),
                Parameter("number", "whole", 2, 5000, default=200),
            ),
            made=lambda options, num_classes: int(options.get("number", 200)),
        ),
        "reverse": Operator(reverse, "words played backwards", "spectrogram"),
        "rotate": Operator(
            rotate, "rotated classes", "image",
            (Parameter("degrees", "whole", choices=(90, 180)),),
            made=lambda options, num_classes: (360 // int(options["degrees"]) - 1) * num_classes,
        ),
        "scramble": Operator(
            scramble, "tiles in another order, the same for a whole class", "image",
            (Parameter("grid", "whole", choices=(2, 3, 4)),), repeats=True,
        ),
        "sign": Operator(
            sign, "features mirrored at their mean, the same for a whole class", "vector",
            _share(0.01, 1.0), repeats=True,
        ),
        "splice": Operator(
            splice, "the beginning of one word and the end of another", "spectrogram",
            repeats=True, needs=2,
        ),
        "tempo": Operator(
            tempo, "words so many times as fast", "spectrogram",
            (Parameter("factor", "real", 0.4, 2.5),),
        ),
    }
)  # fmt: skip


def operator(name: str) -> Operator:
    """Returns the operator of this name; raises `UnknownNameError`."""
    if name not in OPERATORS:
        raise unknown_name("operator", name, OPERATORS)
    return OPERATORS[name]
