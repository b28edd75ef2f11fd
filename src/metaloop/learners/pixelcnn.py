"""PixelCNN: an autoregressive model of all images, which is not shown the support.

    log p(x) = sum over pixels i of log p(x_i | x_<i)

It is what a model that adapts has to beat: what is left of `set_pixelcnn` without its support.
van den Oord et al. 2016, arXiv:1606.05328. What differs is told by the net, `nets/pixelcnn.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from metaloop.nets.functional import FunctionalNet
from metaloop.nets.generative import PixelNetLearner


@final
@dataclass(frozen=True)
class PixelCnnAlone(PixelNetLearner):
    """Pixel by pixel, whatever the support."""

    net: FunctionalNet
    looks: ClassVar[bool] = False  # type: ignore[misc]

    citation: ClassVar[str] = """@inproceedings{oord2016conditional,
  title = {Conditional Image Generation with {PixelCNN} Decoders},
  author = {van den Oord, A{\\"a}ron and Kalchbrenner, Nal and Vinyals, Oriol and
            Espeholt, Lasse and Graves, Alex and Kavukcuoglu, Koray},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2016},
  eprint = {1606.05328},
}"""
