"""Fitted estimators as model files of kind `adapted`, and back.

The learner's task state is saved as tensors; a black box, which has none, is fitted again from its
support when loaded. What an estimator knows besides is saved with the state, under `estimator/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.columns import Texts
from metaloop.core.errors import InputError, MetaloopError, ModelFileError
from metaloop.core.examples import Examples
from metaloop.core.extraction import PLACES
from metaloop.core.learner import EmbeddingLearner, KeepsSupport
from metaloop.core.own import NOTHING_OWN, Own
from metaloop.core.sampler import Sampler
from metaloop.estimators.documents import Worth, length_of
from metaloop.estimators.task import AdaptedTask, Shown, Support, adapt_to, in_settled_layout
from metaloop.modelfile import ModelFile, flatten_tensors, unflatten_tensors
from metaloop.modelfile.model import Label, Tensors
from metaloop.models.checking import (
    Shapes,
    check_finite,
    check_tensors,
    shapes_of,
    with_one_step,
)
from metaloop.models.model import Model, model_from_file
from metaloop.nets.head import HeadedNet
from metaloop.programs.learner import ProgramLearner

_OWN = "estimator"
_RANGE, _SCALE = f"{_OWN}/value_range", f"{_OWN}/target_scale"
_COUNTS, _MEANS = f"{_OWN}/counts", f"{_OWN}/means"
_OWN_NAMES = (_RANGE, _SCALE, _COUNTS, _MEANS)
_WORTH = ("by_words", "by_sentences", "total")  # of a support of documents
_ITEMS = ("items", "item_ends")  # of a support of items
_NOT_ADAPTED = ("rate.", "program.")  # meta-parameters of gradient learners beside the net
_SMALL_STATE = 1 << 22  # numbers that a check may use, whatever a file holds


def adapted_file(task: AdaptedTask, classes: tuple[Label, ...]) -> ModelFile:
    """Returns the content of an adapted model's file; `classes` are empty for real targets.

    Raises `InputError` for a black box whose support was not kept.
    """
    state = flatten_tensors(task.state) if isinstance(task.state, Mapping) else None
    if isinstance(task.model.learner, Sampler):  # adapted again from its support
        state = None
    if state is None and task.support is None:
        raise InputError(
            f"a fitted {task.model.candidate.learner.name} is saved with its support, which was "
            f"not kept; fit it with keep_support=True"
        )
    if task.value_range is not None:
        state = {**(state or {}), _RANGE: torch.tensor(task.value_range, dtype=torch.float64)}
    if task.target_scale is not None:
        state = {**(state or {}), _SCALE: task.target_scale}
    if task.shown is not None:
        state = {**(state or {}), _COUNTS: task.shown.counts}
        if task.shown.means is not None:
            state[_MEANS] = task.shown.means
    return replace(
        task.model.to_file(),
        kind="adapted",
        classes=classes,
        state=state,
        support=None if task.support is None else _kept(task.support),
    )


def _kept(support: Support) -> Tensors:
    """A support as tensors by name; see `_support`."""
    tensors = {"inputs": support.inputs, "targets": support.targets}
    if support.worth is not None:
        tensors |= {name: getattr(support.worth, name) for name in _WORTH}
    if support.items is not None:
        names = Texts.of(support.items)
        tensors |= {"items": names.utf8, "item_ends": names.ends}
    return tensors


def task_from_file(content: ModelFile, own: Own = NOTHING_OWN) -> AdaptedTask:
    """Returns the task of an adapted file; raises `ModelFileError` if its parts do not fit."""
    model = model_from_file(content, own)
    num_classes = len(content.classes)
    if bool(num_classes) != bool(content.spec.ways):
        raise ModelFileError("the model file is damaged: its classes do not fit its objective")
    try:
        learned = dict(content.state or {})
        kept = {name: learned.pop(name) for name in _OWN_NAMES if name in learned}
        value_range = _pair(kept[_RANGE]) if _RANGE in kept else None
        if _SCALE in kept:
            _check_scale(kept[_SCALE], model)
        support = None
        if content.support is not None:
            support = _support(content.support, model, num_classes)
        if isinstance(model.learner, BlackBoxLearner | Sampler):
            if support is None or learned:
                raise ValueError("a model that is fitted when it is loaded has a support, no state")
            task = adapt_to(model, support, num_classes, value_range)
        elif content.state is None:  # else a file could have its reader adapt for hours
            raise ValueError("it lacks its task state")
        else:
            _check_state(learned, model, num_classes)
            state = {name: in_settled_layout(tensor) for name, tensor in learned.items()}
            task = AdaptedTask(
                model, unflatten_tensors(state), num_classes, value_range, kept.get(_SCALE), support
            )
        task = replace(task, shown=_shown(kept, model, num_classes))
        _check(task)
    except MetaloopError:
        raise
    except Exception as error:  # of tensors with wrong names or shapes: nearly any
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file's task state does not fit it: {reason}") from error
    return task


def _support(tensors: Mapping[str, Tensor], model: Model, num_classes: int) -> Support:
    more = set(tensors) - {"inputs", "targets"}
    if len(tensors) - len(more) != 2 or more not in _further(model, more):
        raise ValueError(f"a support is inputs and targets, got {sorted(tensors)}")
    inputs, targets = tensors["inputs"], tensors["targets"]
    shape, target_shape = tuple(model.input_format.shape), tuple(model.spec.target_shape)
    number, kind = len(targets), torch.int64 if num_classes else torch.float64
    if not number or tuple(targets.shape) != (number, *target_shape) or targets.dtype != kind:
        raise ValueError(f"its support's targets are {targets.dtype} {tuple(targets.shape)}")
    if tuple(inputs.shape) != (number, *shape) or inputs.dtype not in (torch.uint8, torch.float32):
        raise ValueError(
            f"its support's inputs are {inputs.dtype} {tuple(inputs.shape)}, expected {number} "
            f"inputs of shape {shape}"
        )
    for name, tensor in tensors.items():
        check_finite("support", name, tensor)
    if num_classes and not 0 <= int(targets.min()) <= int(targets.max()) < num_classes:
        raise ValueError(f"its support has targets that are none of its {num_classes} classes")
    worth = _worth(tensors, model) if more & set(_WORTH) else None
    return Support(inputs, targets, worth, _items(tensors, number) if "items" in more else None)


def _further(model: Model, more: set[str]) -> tuple[set[str], ...]:
    """What a support may hold beside inputs and targets: none of it, in older files."""
    if model.takes == "documents":
        return (set(), more & set(_WORTH))
    return (set(), set(_ITEMS)) if model.takes == "items" else (set(),)


def _worth(tensors: Mapping[str, Tensor], model: Model) -> Worth:
    """What the targets of documents would be at other lengths, and at the model's surely are."""
    targets, found = tensors["targets"], {n: tensors[n] for n in _WORTH if n in tensors}
    shape = (len(targets), PLACES)
    expected: Shapes = dict.fromkeys(_WORTH, (shape, torch.float64))
    check_tensors("support", found, {**expected, "total": (shape[:1], torch.int64)})
    assert model.view is not None
    worth = Worth(**found)
    if not torch.equal(worth.targets(length_of(model.view)), targets):
        raise ValueError("its support's targets are not those of its length")
    if bool((worth.total < 0).any()):
        raise ValueError("its support has documents of fewer than no words")
    return worth


def _items(tensors: Mapping[str, Tensor], number: int) -> tuple[str, ...]:
    """The names of so many items."""
    utf8, ends = tensors["items"], tensors["item_ends"]
    expected: Shapes = {
        "items": ((utf8.numel(),), torch.uint8),
        "item_ends": ((number,), torch.int64),
    }
    check_tensors("support", {"items": utf8, "item_ends": ends}, expected)
    names = Texts(utf8, ends)
    if not names.is_sound:
        raise ValueError("the names of its support's items do not fit it")
    return names.all()


def _pair(tensor: Tensor) -> tuple[float, float]:
    check_tensors("state", {_RANGE: tensor}, {_RANGE: ((2,), torch.float64)})
    low, high = tensor.tolist()
    if low >= high:
        raise ValueError(f"its pixels have values from {low} to {high}")
    return low, high


def _shown(kept: Mapping[str, Tensor], model: Model, num_classes: int) -> Shown | None:
    """Returns what evidence needs of the support, where the model has thresholds."""
    tensors = {name: kept[name] for name in (_COUNTS, _MEANS) if name in kept}
    if model.rejection is None or not num_classes:
        check_tensors("state", tensors, {})
        return None
    expected: Shapes = {_COUNTS: ((num_classes,), torch.float32)}
    likeness = model.rejection.likeness
    if likeness is not None:
        expected[_MEANS] = ((num_classes, len(likeness.between)), torch.float32)
    check_tensors("state", tensors, expected)
    if bool((tensors[_COUNTS] < 0).any()):
        raise ValueError("its classes have fewer than no examples")
    return Shown(tensors[_COUNTS], tensors.get(_MEANS))


def _check_scale(tensor: Tensor, model: Model) -> None:
    expected = ((2, *model.spec.target_shape), torch.float64)
    check_tensors("state", {_SCALE: tensor}, {_SCALE: expected})


def _check_state(state: Mapping[str, Tensor], model: Model, num_classes: int) -> None:
    """Raises unless a task state has the tensors that the learner would have learned."""
    learner = model.learner
    if num_classes == 1:
        check_tensors("state", state, {})
    elif isinstance(learner, EmbeddingLearner):
        check_tensors("state", state, shapes_of(_any_state(learner, model, state, num_classes)))
    elif hasattr(learner, "net"):
        weights = {n: t for n, t in model.meta_params.items() if not n.startswith(_NOT_ADAPTED)}
        started = HeadedNet(learner.net).start(weights, num_classes)
        check_tensors("state", state, shapes_of(started))


def _any_state(
    learner: EmbeddingLearner, model: Model, state: Mapping[str, Tensor], num_classes: int
) -> Mapping[str, Tensor]:
    """Returns what the learner makes of features that are all zero."""
    number = 1
    if isinstance(learner, ProgramLearner):  # its state may hold the support itself
        for place, kind in enumerate(learner.typed.state_types):
            tensor = state.get(f"state.{place}")
            if "S" in kind.axes and tensor is not None and tensor.dim() == len(kind.axes):
                number = max(1, tensor.shape[kind.axes.index("S")])
    if isinstance(learner, KeepsSupport):
        number = max(1, learner.support_size(state))
    width = getattr(learner, "net").num_features  # noqa: B009
    outputs = max(num_classes, *model.spec.target_shape, 1)
    there = sum(tensor.numel() for tensor in state.values())
    if (number + outputs) * (width + number) > max(_SMALL_STATE, 8 * there):
        raise ValueError(f"its state is too small for {outputs} outputs on {width} features")
    targets = torch.zeros(number, *model.spec.target_shape)
    mask = torch.ones(number, dtype=torch.bool)
    features = Examples(
        torch.zeros(number, width), targets.long() if num_classes else targets, mask, num_classes
    )
    quick = with_one_step(learner)
    assert isinstance(quick, EmbeddingLearner)
    learned: Mapping[str, Tensor] = quick.fit_head(model.meta_params, features)
    return learned


def _check(task: AdaptedTask) -> None:
    """Raises unless the task can predict an input of zeros."""
    model = task.model
    outputs = task.outputs(torch.zeros(1, *model.input_format.shape))
    shape = (task.num_classes,) if task.num_classes else tuple(model.spec.target_shape)
    shape = (1,) if isinstance(model.learner, Sampler) else shape  # how likely an input is
    if tuple(outputs.shape[1:]) != shape:
        raise ValueError(f"outputs have shape {tuple(outputs.shape[1:])}, expected {shape}")
