"""Several trained nets as one: their features, each centred and normalised, side by side.

    f(x) = [ g_1(x), ..., g_m(x) ] / sqrt(m),   g_i(x) = (f_i(x) - c_i) / |f_i(x) - c_i|,

with c_i the mean feature of the training classes under net i, so that every net has the same say
in a distance and in a cosine. A net that is `mirrored` looks at an image x and at its mirror image
x', and has (g_i(x) + g_i(x')) / 2 instead: what is left and what is right says nothing of a class
of photographs. `join` makes the tensors of the whole from those of its members.
Nets that were trained from different data recipes err differently; ensembles in few-shot learning:
Dvornik et al. 2019, arXiv:1903.11341. Where each member has a head of its own (`committee.py`),
features stay as its net gives them: f(x) = [ f_1(x), ..., f_m(x) ].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.inputs import InputFormat
from metaloop.core.learner import BUFFER_PREFIX, MetaParams

_NET = "net."  # what FunctionalNet calls the tensors of its module


class Joined(nn.Module):
    """Member nets on one input; their centred, normalised features `[N, D_1 + ... + D_m]`.

    `widths` are the numbers of features D_i of the members. Where inputs are several beside each
    other, `input_format` says which, and `pieces` which of them each member has; None: all of it.
    Features that are not `centred` stay as the members give them, and there are no centres.
    `mirrored`: the members, of centred features of images, that see mirror images, too.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        widths: Sequence[int],
        input_format: InputFormat,
        pieces: Sequence[int | None],
        centred: bool = True,
        mirrored: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        self.unit_length = centred  # of its features, about: see `FunctionalNet.unit_length`
        self.members = nn.ModuleList(members)
        self.input_format = input_format
        self.pieces = tuple(pieces)
        self.mirrored = tuple(mirrored) or (False,) * len(members)
        self.vmappable = all(getattr(member, "vmappable", True) for member in members)
        for index, width in enumerate(widths if centred else ()):
            self.register_buffer(f"center{index}", torch.zeros(width))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the joined features."""
        parts = self.input_format.parted(inputs) if self.input_format.pieces else []
        seen = [inputs if piece is None else parts[piece] for piece in self.pieces]
        if not self.unit_length:
            features = [member(own) for member, own in zip(self.members, seen, strict=True)]
            return torch.cat(features, dim=-1)
        return beside([self._direction(index, own) for index, own in enumerate(seen)])

    def _direction(self, index: int, inputs: Tensor) -> Tensor:
        """Returns what a member says of its inputs: g_i, or the mean of both sides of an image."""
        looks = (inputs, inputs.flip(-1)) if self.mirrored[index] else (inputs,)
        member, center = self.members[index], getattr(self, f"center{index}")
        return mean_of([functional.normalize(member(look) - center, dim=-1) for look in looks])


def mean_of(looks: Sequence[Tensor]) -> Tensor:
    """Returns the mean of what a net says of several looks at the same inputs, `[N, D]` each."""
    return reduce(torch.add, looks) / len(looks)


def beside(directions: Sequence[Tensor]) -> Tensor:
    """Returns features `[N, D_i]` of several nets, each at unit length, as one `[N, sum D_i]`."""
    return torch.cat(list(directions), dim=-1) / math.sqrt(len(directions))


def join(members: Sequence[MetaParams], centers: Sequence[Tensor] | None = None) -> MetaParams:
    """Returns a joined net's tensors from those of its members and their mean features.

    `centers` None: of one that is not centred. Tensors that are not the nets' own (heads,
    classifiers) are left behind.
    """
    tensors: MetaParams = {}
    for index, member in enumerate(members):
        for prefix in (_NET, BUFFER_PREFIX + _NET):
            tensors |= {
                f"{prefix}members.{index}.{name.removeprefix(prefix)}": tensor
                for name, tensor in member.items()
                if name.startswith(prefix)
            }
    for index, (_, center) in enumerate(zip(members, centers or (), strict=centers is not None)):
        tensors[f"{BUFFER_PREFIX}{_NET}center{index}"] = center
    return tensors
