"""Fitted estimators as model files of kind `adapted`, and back.

The learner's task state is saved as tensors; a black box, which has none, is fitted again from its
support when loaded. What an estimator knows besides is saved with the state, under `estimator/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from metaloop.catalogue.model import model_from_file
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import InputError, MetaloopError, ModelFileError
from metaloop.estimators.task import AdaptedTask, Support, adapt_to, in_settled_layout
from metaloop.modelfile import ModelFile, flatten_tensors, unflatten_tensors
from metaloop.modelfile.model import Label

_OWN = "estimator"
_RANGE, _SCALE = f"{_OWN}/value_range", f"{_OWN}/target_scale"


def adapted_file(task: AdaptedTask, classes: tuple[Label, ...]) -> ModelFile:
    """Returns the content of an adapted model's file; `classes` are empty for real targets.

    Raises `InputError` for a black box whose support was not kept.
    """
    state = flatten_tensors(task.state) if isinstance(task.state, Mapping) else None
    if state is None and task.support is None:
        raise InputError(
            f"a fitted {task.model.candidate.learner.name} is saved with its support, which was "
            f"not kept; fit it with keep_support=True"
        )
    if task.value_range is not None:
        state = {**(state or {}), _RANGE: torch.tensor(task.value_range, dtype=torch.float64)}
    if task.target_scale is not None:
        state = {**(state or {}), _SCALE: task.target_scale}
    kept = task.support
    return replace(
        task.model.to_file(),
        kind="adapted",
        classes=classes,
        state=state,
        support={"inputs": kept.inputs, "targets": kept.targets} if kept is not None else None,
    )


def task_from_file(content: ModelFile, net: nn.Module | None = None) -> AdaptedTask:
    """Returns the task of an adapted file; raises `ModelFileError` if its parts do not fit."""
    model = model_from_file(content, net)
    num_classes = len(content.classes)
    if bool(num_classes) != (content.spec.objective == "classification"):
        raise ModelFileError("the model file is damaged: its classes do not fit its objective")
    try:
        learned = dict(content.state or {})
        own = {name: learned.pop(name) for name in (_RANGE, _SCALE) if name in learned}
        value_range = _pair(own[_RANGE]) if _RANGE in own else None
        support = _support(content.support) if content.support is not None else None
        if content.state is None or isinstance(model.learner, BlackBoxLearner):
            if support is None:
                raise ValueError("it has neither a task state nor a support")
            task = adapt_to(model, support, num_classes, value_range)
        else:
            state = {name: in_settled_layout(tensor) for name, tensor in learned.items()}
            task = AdaptedTask(
                model, unflatten_tensors(state), num_classes, value_range, own.get(_SCALE), support
            )
        _check(task)
    except MetaloopError:
        raise
    except Exception as error:  # of tensors with wrong names or shapes: nearly any
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file's task state does not fit it: {reason}") from error
    return task


def _support(tensors: Mapping[str, Tensor]) -> Support:
    inputs, targets = tensors["inputs"], tensors["targets"]
    if len(inputs) != len(targets):
        raise ValueError(f"its support has {len(inputs)} inputs, {len(targets)} targets")
    return Support(inputs, targets)


def _pair(tensor: Tensor) -> tuple[float, float]:
    low, high = tensor.tolist()
    return low, high


def _check(task: AdaptedTask) -> None:
    """Raises unless the task can predict an input of zeros."""
    model = task.model
    dtype = torch.uint8 if model.input_format.kind == "image" else torch.float32
    outputs = task.outputs(torch.zeros(1, *model.input_format.shape, dtype=dtype))
    shape = (task.num_classes,) if task.num_classes else tuple(model.spec.target_shape)
    if tuple(outputs.shape[1:]) != shape:
        raise ValueError(f"outputs have shape {tuple(outputs.shape[1:])}, expected {shape}")
