"""Set VAE: a hierarchical variational autoencoder whose context is the support.

    log p(x | S) >= E_q log p(x | z, w, S) - KL(q(z, w | x, S) || p(z, w | S))

An image is a vector of what it is and how it is drawn, a map of where, and pixels that these two
leave to chance; what they usually are is read off the support. Images are drawn at once, not pixel
by pixel. `log_prob` is a lower bound of the logarithm, with ten draws.
Edwards & Storkey 2017, arXiv:1606.02185 (Neural Statistician); Giannone & Winther 2022,
arXiv:2205.06025 (SCHA-VAE). What differs from them is told by the net, `nets/set_vae.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from metaloop.nets.functional import FunctionalNet
from metaloop.nets.generative import GenerativeNetLearner


@final
@dataclass(frozen=True)
class SetVaeLearner(GenerativeNetLearner):
    """Latent variables whose prior is what the support says."""

    net: FunctionalNet

    exact: ClassVar[bool] = False
    citation: ClassVar[str] = """@inproceedings{giannone2022scha,
  title = {{SCHA-VAE}: Hierarchical Context Aggregation for Few-Shot Generation},
  author = {Giannone, Giorgio and Winther, Ole},
  booktitle = {International Conference on Machine Learning},
  year = {2022},
  eprint = {2205.06025},
}"""
