"""Learners whose task state is a fitted object of another library: a classifier or a regressor.

Their state is opaque: it is not a dictionary of tensors, cannot be batched, and is saved as recipe
and support set, to be fitted again when loaded. It must then be the same, and the same in whatever
order and company tasks come: what is random in a guest follows from the support alone.

Few have meta-parameters. Those that do have a *meta-stage*: they are shown tasks of the training
part once, and what they make of them are tensors of the model file like any others.
"""

from __future__ import annotations

import hashlib
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from metaloop.core.errors import DivergenceError, GuestError, MetaloopError
from metaloop.core.examples import Batch, EpisodeBatch, Examples, Inputs
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import BUFFER_PREFIX, Learner, MetaLoss, MetaParams
from metaloop.core.randomness import derive_seed
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.core.views import View, checked_view, seen

_SEEDS = 2**31  # NumPy's old generators take no larger ones
LEAST_PROBABILITY = 1e-12


@runtime_checkable
class ProbabilisticClassifier(Protocol):
    """What a guest that tells classes apart must offer: scikit-learn's habits."""

    def fit(self, inputs: np.ndarray, labels: np.ndarray) -> Any:
        """Learns from `inputs [N, features]` and `labels [N]`; returns itself, with `classes_`."""

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        """Returns probabilities `[N, len(classes_)]`."""


@runtime_checkable
class RealPredictor(Protocol):
    """What a guest that predicts real values must offer."""

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Any:
        """Learns from `inputs [N, features]`, `targets [N, targets]` (standardised); itself."""

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Returns values `[N, targets]`, or `[N]` where there is one target."""


@runtime_checkable
class Adapting(Protocol):
    """A guest with habits of its own: it says itself what it learns from, and what it answers."""

    def adapt(self, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> Any:
        """Returns what it learned from class indices `[N]`, or real targets where classes are 0."""

    def predict(self, state: Any, inputs: np.ndarray) -> np.ndarray:
        """Returns logits `[N, classes]` or values `[N, targets]`."""


@runtime_checkable
class Reasoned(Protocol):
    """A fitted guest that tells what its answers are made of."""

    def contributions(self, inputs: np.ndarray) -> np.ndarray:
        """Returns `[N, support]`: what each example moves each answer by, in its unit."""


Guest = ProbabilisticClassifier | RealPredictor | Adapting


@runtime_checkable
class MetaStage(Protocol):
    """A black box that learns from training tasks before it meets one of its own.

    Names of its tensors begin with `buffers.`: nothing in them is trained by gradient.
    """

    num_tasks: ClassVar[int]
    """How many training tasks it wants to see."""

    def start(self, spec: TaskSpec) -> MetaParams:
        """Returns tensors of the names, shapes and types that `prepare` returns."""

    def prepare(self, tasks: EpisodeBatch) -> MetaParams:
        """Returns what it makes of the training tasks; equal tasks give equal tensors."""

    def make_prepared(self, seed: int, meta_params: MetaParams) -> Guest:
        """Returns an unfitted guest that uses them; else as `BlackBoxLearner.make`."""


@dataclass(frozen=True)
class FittedBox:
    """A fitted guest, what it knows of its task (of `Adapting` ones), and the shape of answers.

    `num_outputs` are the classes of the task, known to the guest or not, or the real targets.
    """

    guest: Any
    state: Any
    num_classes: int
    num_outputs: int


@dataclass(frozen=True, kw_only=True)
class BlackBoxLearner(Learner):
    """A learner that fits a guest of another library on the inputs of a support.

    `view`: how the guest is to see inputs; other views than `raw` need the `input_format` with the
    statistics of the training classes. Guests are given copies: they may change what they get.
    """

    view: View = "raw"
    input_format: InputFormat | None = field(default=None, repr=False)

    vmappable: ClassVar[bool] = False

    flattens: ClassVar[bool] = True
    """Whether the guest is given rows `[N, features]`; else inputs keep their shape."""

    def __post_init__(self) -> None:
        if checked_view(self.view) != "raw" and self.input_format is None:
            raise MetaloopError(
                f"the view '{self.view}' needs statistics of training classes; give "
                f"{type(self).__name__} their input_format, or view='raw'"
            )

    @abstractmethod
    def make(self, seed: int) -> Guest:
        """Returns an unfitted guest, whose randomness, if any, comes from `seed`.

        Seeds are below 2^31; one is for one task: equal supports give equal seeds.
        """

    @property
    @final
    def norm_policy(self) -> str:
        """There is no net of metaloop's, so no batch norm of its either."""
        return "none"

    @property
    @final
    def uses_query_batch(self) -> bool:
        """Never."""
        return False

    @final
    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns nothing, or the tensors that a meta-stage begins with."""
        return dict(self.start(spec)) if isinstance(self, MetaStage) else {}

    @final
    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> FittedBox:
        """Returns the guest fitted on the support; its seed is drawn from `rng`, if given.

        Raises `GuestError` in one line if the guest's library refuses the support.
        """
        present = support.mask.cpu().numpy()
        inputs = self._rows(support.inputs)[present]
        targets = support.targets.detach().cpu().numpy()[present]
        seed, classes = _seed(inputs, targets, rng), support.num_classes
        outputs = classes or int(np.prod(targets.shape[1:]))
        state = None
        try:
            if isinstance(self, MetaStage):
                guest = self.make_prepared(seed, meta_params)
            else:
                guest = self.make(seed)
            if isinstance(guest, Adapting):
                state = guest.adapt(inputs, targets, classes)
            else:
                with warnings.catch_warnings():  # an example each of many classes is no mistake
                    warnings.filterwarnings("ignore", "The number of unique classes is greater")
                    guest = guest.fit(inputs, targets)
        except (MetaloopError, MemoryError):
            raise
        except Exception as error:
            raise self._refusal(f"{len(inputs)} examples", error) from error
        return FittedBox(guest, state, classes, outputs)

    @final
    def predict(self, meta_params: MetaParams, task_state: FittedBox, inputs: Inputs) -> Tensor:
        """Returns log-probabilities `[N, classes]` or values `[N, targets]`.

        A class without support is impossible. Raises `DivergenceError` for answers that are not
        numbers, `GuestError` for those of another shape.
        """
        assert isinstance(inputs, Tensor)
        rows = self._rows(inputs)
        expected, number = (len(rows), task_state.num_outputs), len(rows)
        try:
            answers = np.asarray(_answers(task_state, rows), dtype=np.float32)
        except (MetaloopError, MemoryError):
            raise
        except Exception as error:
            raise self._refusal(f"{number} inputs", error) from error
        if answers.shape == (number,) and task_state.num_outputs == 1:
            answers = answers[:, None]
        if answers.shape != expected:
            raise GuestError(
                f"{type(self).__name__}: expected predictions of shape {expected}, got "
                f"{answers.shape}"
            )
        if np.isnan(answers).any():
            raise DivergenceError(
                f"{type(self).__name__} predicted values that are not numbers; its library could "
                "not learn from this support"
            )
        return torch.from_numpy(np.ascontiguousarray(answers)).to(inputs.device)

    @final
    def contributions(self, task_state: FittedBox, inputs: Inputs) -> np.ndarray | None:
        """Returns what each example of the support moves each answer by, `[N, support]`.

        None where the guest cannot tell.
        """
        guest = task_state.guest
        return guest.contributions(self._rows(inputs)) if isinstance(guest, Reasoned) else None

    @final
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Raises `TypeError`: there is nothing to train."""
        raise TypeError(f"{type(self).__name__} has nothing to train")

    def _rows(self, inputs: Inputs) -> np.ndarray:
        """A copy of the inputs as the guest is to have them."""
        assert isinstance(inputs, Tensor)
        if self.view != "raw":
            assert self.input_format is not None
            inputs = seen(inputs, self.input_format, self.view)
        return np.array((inputs.flatten(1) if self.flattens else inputs).detach().cpu().numpy())

    def _refusal(self, what: str, error: Exception) -> GuestError:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return GuestError(f"{type(self).__name__} failed on {what}: {reason}")


def prepared(learner: MetaStage, meta_params: MetaParams, tasks: EpisodeBatch) -> MetaParams:
    """Returns the meta-parameters with what the learner makes of training tasks.

    Raises `GuestError` unless these are the finite tensors that it began with.
    """
    found = learner.prepare(tasks)
    for name, tensor in meta_params.items():
        given = found.get(name)
        fits = given is not None and (given.shape, given.dtype) == (tensor.shape, tensor.dtype)
        if not fits or given is None or not bool(given.isfinite().all()):
            raise GuestError(
                f"{type(learner).__name__} prepared '{name}' as {_short(given)}, expected a finite "
                f"tensor of shape {tuple(tensor.shape)}"
            )
    other = {name for name in found if name not in meta_params} | {
        name for name in found if not name.startswith(BUFFER_PREFIX)
    }
    if other:
        raise GuestError(
            f"{type(learner).__name__} prepared '{min(other)}', which it had not begun with or "
            f"which has no name that begins with '{BUFFER_PREFIX}'"
        )
    return {name: found[name].to(tensor.device) for name, tensor in meta_params.items()}


def _answers(fitted: FittedBox, rows: np.ndarray) -> np.ndarray:
    guest = fitted.guest
    if isinstance(guest, Adapting):
        return np.asarray(guest.predict(fitted.state, rows))
    if not fitted.num_classes:
        return np.asarray(guest.predict(rows))
    known = guest.predict_proba(rows)
    logits = np.full((len(known), fitted.num_classes), -np.inf, dtype=np.float32)
    logits[:, guest.classes_] = np.log(np.maximum(known, LEAST_PROBABILITY))
    return logits


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Lets BLAS and OpenMP use one thread meanwhile, in the whole process.

    Guests are fitted to a few examples, thousands of times: on a busy machine threads that wait for
    each other take ten times as long for a thing that small.
    """
    with _thread_pools().limit(limits=1):
        yield


@cache
def _thread_pools() -> ThreadpoolController:
    """The libraries that are loaded; to look for them again would take longer than a fit."""
    return ThreadpoolController()


def _seed(inputs: np.ndarray, targets: np.ndarray, rng: torch.Generator | None) -> int:
    if rng is not None:
        return int(torch.randint(_SEEDS, (), generator=rng, device=rng.device))
    content = hashlib.sha256(np.ascontiguousarray(inputs).tobytes())
    content.update(np.ascontiguousarray(targets).tobytes())
    return derive_seed(0, "black box", content.hexdigest()) % _SEEDS


def _short(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"one of shape {tuple(tensor.shape)}"
