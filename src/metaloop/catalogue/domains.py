"""The table of domains: what is particular to one kind of inputs, by the name in its format."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from metaloop.core.domain import Domain
from metaloop.core.errors import unknown_name
from metaloop.core.inputs import InputFormat
from metaloop.domains.images import IMAGES
from metaloop.domains.ratings import ITEMS
from metaloop.domains.speech.domain import SPECTROGRAMS
from metaloop.domains.summaries import SENTENCES
from metaloop.domains.text.domain import TOKENS
from metaloop.domains.vectors import VECTORS

DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {each.name: each for each in (IMAGES, SPECTROGRAMS, TOKENS, VECTORS, ITEMS, SENTENCES)}
)


def domain_of(input_format: InputFormat) -> Domain:
    """Returns the domain of such inputs; raises `UnknownNameError`."""
    if input_format.kind not in DOMAINS:
        raise unknown_name("kind of inputs", input_format.kind, DOMAINS)
    return DOMAINS[input_format.kind]
