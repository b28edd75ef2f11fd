"""`Domain`: what is particular to one kind of inputs, as data and functions of their format.

Nobody else asks which kind of inputs there is: what differs between kinds is in a domain's folder,
and the table of them in `catalogue/domains.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice


@dataclass(frozen=True)
class Domain:
    """A kind of inputs as tensors.

    `name` is that of formats, records and operators; `axes` is how many an input's shape has,
    `most_numbers` how many numbers an input from a file of a stranger may have.
    `usual_net(format, target_kind, quick)` suits a small budget; `quick`: for learners whose steps
    take long with any net. `companions(format)` are nets that differ, to be joined; `beginning(net,
    format)` is the net as it is trained first, its tensors the same. `nets(format, known)`: which
    of these nets, by the smallest side that each takes, a search is among.
    `plan` are fields of every plan, `plan_for(format, style)` those of such inputs and such
    training, `augmentation(format)` is the usual one, and `augmentations` those of a search, each
    with the options that mean something. `operators(format, text)` says whether a generator as text
    can work. `forms` are views of inputs that need no training and differ enough to be joined.
    `quick_to_tell`: whether a few seconds tell all learners apart.
    `in_files`: whether an example is a file of its own (a picture); else examples are rows of
    tables and arrays. `is_one(shape)`: whether an array of that shape is a single example.
    `as_read(format)` are the options by which a reader makes inputs of that format.
    """

    name: str
    axes: int
    most_numbers: int
    usual_net: Callable[[InputFormat, str, bool], Choice]
    companions: Callable[[InputFormat], tuple[Choice, ...]]
    beginning: Callable[[Choice, InputFormat], Choice]
    nets: Callable[[InputFormat, Mapping[str, int]], tuple[str, ...]]
    plan: Mapping[str, Any]
    augmentation: Callable[[InputFormat], Choice]
    augmentations: tuple[str, ...]
    without_meaning: Callable[[InputFormat], frozenset[str]]
    can_work: Callable[[InputFormat, str], bool]
    plan_for: Callable[[InputFormat, str], Mapping[str, Any]] = lambda input_format, style: {}
    forms: tuple[str, ...] = field(default=())
    quick_to_tell: bool = True
    in_files: bool = False
    is_one: Callable[[tuple[int, ...]], bool] = lambda shape: len(shape) == 1
    as_read: Callable[[InputFormat], Mapping[str, Any]] = lambda _: {}
