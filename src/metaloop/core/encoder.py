"""`Encoder`: a pretrained net of another library, frozen, that turns raw inputs into features.

What it is, and under which terms, is in its `EncoderCard`: results that were made with an encoder
name it, and a model file that needs one holds its name and the hash of its weights, never the
weights themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor

from metaloop.core.columns import Taken


@dataclass(frozen=True)
class EncoderCard:
    """What is known of an encoder.

    `name` is how `--backbone` names it (`lite0`, `timm:resnet18`, `onnx:net.onnx`), `takes` the
    kind of raw inputs: `images`, `texts` or `recordings`. `size`: the side in pixels of the images
    that it sees, 0 where there is none. `weights` are 16 hexadecimal digits of the SHA-256 of its
    weights, in whatever file they lie. `knows` says what it was trained on, as far as is known
    (`ImageNet-1k`): classes of that are not new to it. `licence` is an SPDX name, or "unknown".
    """

    name: str
    takes: str
    features: int
    weights: str
    size: int = 0
    version: str = ""
    licence: str = "unknown"
    knows: str = "unknown"
    citation: str = field(default="", repr=False)


class Encoder(ABC):
    """A frozen net behind one method; what it returns for an input hangs on that input alone."""

    card: EncoderCard

    @abstractmethod
    def encode(self, inputs: Taken) -> Tensor:
        """Returns float32 features `[N, card.features]`, on the CPU, without gradients.

        `inputs`: images uint8 `[N, 1 or 3, height, width]` of any one size, a tuple of N texts, or
        recordings `{"values": [N, longest], "mask": [N, longest]}`. Any N, from none to thousands:
        it goes through them in batches of its own. Raises `DataError` for inputs of another kind.
        """
