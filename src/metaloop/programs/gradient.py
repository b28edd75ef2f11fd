"""`EvolvedGradient`: whole nets that learn by gradient steps on a loss that is a program.

    theta_{k+1} = theta_k - rate[k, tensor] * grad inner_loss(support; theta_k),   theta_0 = phi
    min over phi, all rates and the constants of inner_loss:  mean over tasks of L(query; theta_K)

`inner_loss` is that slot of the program (left out: the objective's own loss); every tensor has a
rate of its own in every step, trained like the weights. The evaluated loss L is the objective's.
Per-step rates: Antoniou et al. 2019, arXiv:1810.09502; rates for each tensor: Baik et al. 2020,
arXiv:2011.00209 (there generated from the task's gradients); learned inner losses: Baik et al.
2021, arXiv:2110.03909 (there a small network).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import Batch, Examples, Inputs
from metaloop.core.inner_loop import NormPolicy, loss_after_adapting
from metaloop.core.learner import Learner, MetaLoss, MetaParams, trained
from metaloop.core.objective import CLASSIFICATION, Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.head import HeadedNet
from metaloop.programs.inference import CONSTANT_PREFIX, TypedFunction, infer_loss
from metaloop.programs.interpreter import initial_constants, run_loss
from metaloop.programs.parsing import parse

_RATE = "rate."  # rate.<tensor>: [inner_steps]


@final
@dataclass(frozen=True)
class EvolvedGradient(Learner):
    """MAML with an inner loss from `source` and learned rates, one per tensor and step.

    Raises `ProgramError` if `source` is not a program or its `inner_loss` has no types.
    """

    net: FunctionalNet
    source: str = ""
    objective: Objective = CLASSIFICATION
    inner_steps: int = 5
    initial_rate: float = 0.1
    norm: NormPolicy = "support"
    inner_loss: TypedFunction | None = field(init=False, repr=False, compare=False)

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    vmappable: ClassVar[bool] = True
    citation: ClassVar[str] = """@inproceedings{baik2021meta,
  title = {Meta-Learning with Task-Adaptive Loss Function for Few-Shot Learning},
  author = {Baik, Sungyong and Choi, Janghoon and Kim, Heewon and Cho, Dohee and Min, Jaesik
            and Lee, Kyoung Mu},
  booktitle = {International Conference on Computer Vision},
  year = {2021},
  eprint = {2110.03909},
}"""

    def __post_init__(self) -> None:
        if self.inner_steps < 1:
            raise MetaloopError(f"inner_steps is at least 1, got {self.inner_steps}")
        object.__setattr__(self, "inner_loss", infer_loss(parse(self.source), "inner_loss"))

    @property
    def norm_policy(self) -> str:
        """Whose statistics batch norm uses on queries."""
        return self.norm if self.net.has_norms else "none"

    @property
    def uses_query_batch(self) -> bool:
        """Whether queries are normalised by their own batch."""
        return self.norm_policy == "query batch"

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net with its head, the rates `[inner_steps]`, and the loss's constants."""
        meta_params = HeadedNet(self.net).init(spec, rng)
        rates = {
            f"{_RATE}{name}": torch.full((self.inner_steps,), self.initial_rate)
            for name in trained(meta_params)
        }
        if self.inner_loss is not None:
            rates |= initial_constants(self.inner_loss, self.net.num_features)
        return meta_params | rates

    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> MetaParams:
        """Returns the tensors after the inner steps, with the support's statistics as buffers."""
        model = HeadedNet(self.net)
        own = (_RATE, CONSTANT_PREFIX)
        weights = {name: t for name, t in meta_params.items() if not name.startswith(own)}
        tensors = model.start(weights, support.num_classes)
        moving = trained(tensors)
        fixed = {name: tensor for name, tensor in tensors.items() if name not in moving}
        mask = support.mask if support.padded else None
        y = self._labels(support)  # outside of `loss`: torch makes no one-hot labels under its grad

        def loss(current: MetaParams) -> Tensor:
            outputs, _ = model.forward({**fixed, **current}, support.inputs, True, mask)
            if self.inner_loss is None:
                return self.objective.loss(outputs, support.targets, support.mask)
            masks = {} if mask is None else {"S": mask}
            return run_loss(self.inner_loss, "S", meta_params, masks, outputs, y)

        for step in range(self.inner_steps):
            slopes = torch.func.grad(loss)(moving)
            rates = {name: meta_params[f"{_RATE}{name}"] for name in moving}
            moving = {
                # with more steps than were trained, the last rate goes on
                name: tensor - rates[name][min(step, len(rates[name]) - 1)] * slopes[name]
                for name, tensor in moving.items()
            }
        adapted = {**fixed, **moving}
        if self.norm_policy == "support":
            _, statistics = model.forward(adapted, support.inputs, True, mask)
            adapted = {**adapted, **statistics}
        return adapted

    def predict(self, meta_params: MetaParams, task_state: MetaParams, inputs: Inputs) -> Tensor:
        """Returns the adapted model's outputs."""
        return HeadedNet(self.net).forward(task_state, inputs, self.uses_query_batch, None)[0]

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the mean query loss after adaptation; needs episodes."""
        return loss_after_adapting(self, self.objective, meta_params, batch, over_tasks)

    def _labels(self, support: Examples) -> Tensor:
        """Returns what `inner_loss` is given as `y`: one-hot labels, or real targets."""
        return support.one_hot() if self.objective.target_kind == "classes" else support.targets
