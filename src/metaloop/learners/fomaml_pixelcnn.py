"""First-order MAML on a generator: a PixelCNN that gradient steps on the support adapt.

    theta_0 = phi,   theta_{k+1} = theta_k + inner_rate * grad mean over S of log p(s; theta_k) / D
    phi descends minus the mean over queries of log p(x; theta_K) / D, g_k held constant

D is the number of values in an image. The net sees the support in no other way.
Finn et al. 2017, arXiv:1703.03400; on generators: Reed et al. 2018, arXiv:1710.10304, section 3.4
(second order, one step); Clouatre & Demers 2019, arXiv:1901.02199 (Reptile on a GAN).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor

from metaloop.core.examples import Inputs
from metaloop.core.generation import GENERATION
from metaloop.core.inner_loop import GradientLearner, NormPolicy
from metaloop.core.learner import MetaParams
from metaloop.core.metric import Objective
from metaloop.core.sampler import per_dimension
from metaloop.core.spec import TaskSpec
from metaloop.nets.functional import FunctionalNet


@dataclass(frozen=True)
class _Generator:
    """A generative net without support, as the model of a task."""

    net: FunctionalNet

    @property
    def has_norms(self) -> bool:
        """Never."""
        return False

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net's tensors."""
        return self.net.init(rng)

    def start(self, meta_params: MetaParams, num_classes: int) -> MetaParams:
        """Returns the same tensors."""
        return meta_params

    def forward(
        self, tensors: MetaParams, inputs: Inputs, own_statistics: bool, mask: Tensor | None
    ) -> tuple[Tensor, MetaParams]:
        """Returns `[N, 1]` nats per dimension, and no buffers."""
        assert isinstance(inputs, Tensor)
        images = self.net.input_format.quantise(inputs)
        known = self.known(tensors)
        found = self.net.call(tensors, "log_prob", known, images.unsqueeze(0))[0]
        return per_dimension(found, images), {}

    def known(self, tensors: MetaParams) -> dict[str, Tensor]:
        """Returns what the net knows where there is no support."""
        like = next(iter(tensors.values()))
        empty = torch.zeros(1, 0, *self.net.input_format.shape, device=like.device)
        return cast(dict[str, Any], self.net.call(tensors, "encode", empty))


@final
@dataclass(frozen=True)
class FomamlPixelCnn(GradientLearner):
    """All weights adapt to the support; inner gradients count as constants."""

    net: FunctionalNet
    objective: Objective = GENERATION
    inner_steps: int = 4
    inner_rate: float = 0.3
    norm: NormPolicy = "support"

    target_kinds: ClassVar[frozenset[str]] = frozenset({"inputs"})
    vmappable: ClassVar[bool] = False
    exact: ClassVar[bool] = True
    citation: ClassVar[str] = """@inproceedings{reed2018few,
  title = {Few-shot Autoregressive Density Estimation: Towards Learning to Learn Distributions},
  author = {Reed, Scott and Chen, Yutian and Paine, Thomas and van den Oord, A{\\"a}ron and
            Eslami, S. M. Ali and Rezende, Danilo and Vinyals, Oriol and de Freitas, Nando},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  eprint = {1710.10304},
}"""

    @property
    def model(self) -> _Generator:
        """The net without support."""
        return _Generator(self.net)

    @property
    def first_order(self) -> bool:
        """Always: that is the method."""
        return True

    def adapts(self, name: str) -> bool:
        """Every trained tensor adapts."""
        return True

    def log_prob(self, meta_params: MetaParams, task_state: MetaParams, inputs: Tensor) -> Tensor:
        """Returns `[N]` nats."""
        per_value = self.predict(meta_params, task_state, inputs)[..., 0]
        return per_value * inputs[0].numel()

    @property
    def usual_temperature(self) -> float:
        """Examples are drawn as they are likely, where no temperature is asked for."""
        return 1.0

    @torch.no_grad()
    def told_by_support(
        self, meta_params: MetaParams, task_state: MetaParams, inputs: Tensor
    ) -> Tensor:
        """Returns `[N]` nats: by how much the steps on the support made examples likelier."""
        told = self.log_prob(meta_params, task_state, inputs)
        return told - self.log_prob(meta_params, meta_params, inputs)

    @torch.no_grad()
    def sample(
        self,
        meta_params: MetaParams,
        task_state: MetaParams,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[count, *input]` new examples by the adapted net."""
        known = self.model.known(task_state)
        return cast(Tensor, self.net.call(task_state, "draw", known, count, rng, temperature))

    @torch.no_grad()
    def draw_pixel(
        self,
        meta_params: MetaParams,
        task_state: MetaParams,
        images: Tensor,
        place: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """Returns images `[N, *input]` with the pixel at `place` `[1]`, those before it given."""
        known = self.model.known(task_state)
        found = self.net.call(task_state, "draw_pixel", known, images, place, rng)
        return cast(Tensor, found)
