"""The table of generators: what data recipes are made of, and which strengths the loop starts from.

How an operator works, and what its arguments may be, is in `generators/operators.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from metaloop.catalogue.domains import domain_of
from metaloop.core.inputs import InputFormat
from metaloop.generators.operators import OPERATORS
from metaloop.generators.recipes import signature


@dataclass(frozen=True)
class GeneratorEntry:
    """An operator: how it is written, a line about it, the inputs it takes, recipes to try first.

    `examples`: what the loop proposes, by the domain of the inputs.
    """

    signature: str
    summary: str
    inputs: str  # a domain, or any
    examples: Mapping[str, tuple[str, ...]]


def _entry(
    name: str,
    images: tuple[str, ...] = (),
    vectors: tuple[str, ...] = (),
    spectrograms: tuple[str, ...] = (),
) -> GeneratorEntry:
    known = OPERATORS[name]
    examples = {"image": images, "vector": vectors, "spectrogram": spectrograms}
    return GeneratorEntry(signature(name), known.summary, known.inputs, examples)


GENERATORS: Mapping[str, GeneratorEntry] = MappingProxyType(
    {
        "affine": _entry("affine", ("affine(0.5)",)),
        "cutmix": _entry("cutmix", ("cutmix(0.3)",)),
        "flip": _entry("flip", ("flip(horizontal)", "flip(vertical)")),
        "generated": _entry("generated", ("generated(0.5)",)),
        "invert": _entry("invert", ("invert()",)),
        "mask": _entry("mask", (), ("mask(0.3)",)),
        "mix": _entry(
            "mix", ("mix(0.3)", "mix(0.5)"), ("mix(0.3)", "mix(0.5)"), ("mix(0.3)", "mix(0.5)")
        ),
        "permute_channels": _entry("permute_channels", ("permute_channels()",)),
        "permute_features": _entry("permute_features", (), ("permute_features(0.3)",)),
        "prior": _entry(
            "prior", ("prior(blobs)", "prior(strokes)"), ("prior(gaussian)",), ("prior(blobs)",)
        ),
        "reverse": _entry("reverse", spectrograms=("reverse()",)),
        "rotate": _entry("rotate", ("rotate(90)", "rotate(180)")),
        "scramble": _entry("scramble", ("scramble(2)",)),
        "sign": _entry("sign", (), ("sign(0.3)",)),
        "splice": _entry("splice", spectrograms=("splice()",)),
        "tempo": _entry("tempo", spectrograms=("tempo(0.65)", "tempo(1.5)")),
    }
)


def generator_arms(input_format: InputFormat, draws: bool = False) -> tuple[str, ...]:
    """Returns the operators, as text, that the loop may try on such inputs, in the table's order.

    Those that cannot work are left out: quarter turns of images that are not square, exchanged
    channels where there are not three, tiles that do not fit; and, unless a model `draws`, what
    needs one.
    """
    domain = domain_of(input_format)
    arms = (
        arm
        for name, entry in GENERATORS.items()
        if draws or not OPERATORS[name].draws
        for arm in entry.examples.get(domain.name, ())
    )
    return tuple(arm for arm in arms if domain.can_work(input_format, arm))
