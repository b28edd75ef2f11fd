"""A `keras.Model` as the net of any learner that has one, on Keras' torch backend.

Keras keeps weights in variables of its own, which `torch.func.functional_call` does not reach; here
they are the parameters of a torch module that hands them to the model in each call. The model that
is given stays as it is. Batch normalisation becomes metaloop's own, for learners say whose
statistics it uses; whatever else changes its state in training is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.nets.norm import BatchNorm


def is_keras_model(net: object) -> bool:
    """Whether it is a `keras.Model`; Keras is not imported to find out."""
    keras = sys.modules.get("keras")
    return keras is not None and hasattr(keras, "Model") and isinstance(net, keras.Model)


def as_net(model: Any, input_shape: Shape) -> KerasNet:
    """Returns the Keras model as a torch module from inputs `[N, *input_shape]` to features.

    Raises `MetaloopError` in one line for a backend other than torch, a model that is not built,
    takes other inputs, returns several tensors, or holds state that changes in training.
    """
    import keras  # optional extra

    backend = keras.backend.backend()
    if backend != "torch":
        raise MetaloopError(
            f"Keras runs on {backend}; as a net its models need the torch backend: set "
            "KERAS_BACKEND=torch before Keras is imported, or use guests.keras.as_learner"
        )
    if not model.built:
        raise MetaloopError("the Keras model is not built yet; begin it with keras.Input(shape)")
    channels_last = _layout(tuple(model.input_shape[1:]), input_shape)
    norms = [_converted(layer) for layer in _leaves(model) if _is_norm(layer)]
    net = KerasNet(_without_norms(model, norms) if norms else model, norms, channels_last)
    net.check(input_shape)
    return net


@final
class KerasNet(nn.Module):
    """A Keras model whose weights are this module's; made by `as_net`."""

    def __init__(self, model: Any, norms: list[BatchNorm], channels_last: bool) -> None:
        super().__init__()
        self._held = (model,)  # in a tuple: torch is not to find its variables, too
        self._channels_last = channels_last
        self.norms = nn.ModuleList(norms)
        self._trained, self._others = list[str](), list[str]()
        for variable in model.trainable_variables:
            name = f"{len(self._trained):03d}_{variable.name}"  # paths count models of a process
            self.register_parameter(name, nn.Parameter(variable.value.detach().clone()))
            self._trained.append(name)
        for variable in model.non_trainable_variables:
            name = f"fixed_{len(self._others):03d}_{variable.name}"
            value = variable.value.detach().clone()
            persistent = value.is_floating_point()  # the others are seeds, which Keras wants back
            self.register_buffer(name, value, persistent=persistent)
            self._others.append(name)
        self.vmappable = all(parameter.dim() < 3 for parameter in self.parameters())

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns features `[N, D]` of inputs as metaloop has them."""
        features: Tensor = self._call(inputs)[0]
        return features

    def named_buffers(self, *args: Any, **options: Any) -> Iterator[tuple[str, Tensor]]:
        """Yields the buffers that belong to a model file: all but the seeds."""
        for name, buffer in super().named_buffers(*args, **options):
            if buffer.is_floating_point():
                yield name, buffer

    @torch.no_grad()
    def check(self, input_shape: Shape) -> None:
        """Raises `MetaloopError` unless outputs are one tensor and training changes no state."""
        before = [getattr(self, name).clone() for name in self._others]
        self.train()
        self.norms.eval()  # theirs is to change, but not here
        try:
            outputs, after = self._call(torch.zeros(2, *input_shape))
        finally:
            self.eval()
        for name, old, new in zip(self._others, before, after, strict=True):
            if not torch.equal(old, new):
                raise MetaloopError(
                    f"'{name.split('_', 2)[2]}' of the Keras model changes in training; leave that "
                    "layer away, or the seed that it was given"
                )
        if not isinstance(outputs, Tensor):
            raise MetaloopError("the Keras model returns several tensors; a net returns features")

    def _call(self, inputs: Tensor) -> tuple[Any, list[Tensor]]:
        if inputs.dim() == 4 and self._channels_last:
            inputs = inputs.permute(0, 2, 3, 1)
        trained = [getattr(self, name) for name in self._trained]
        others = [getattr(self, name) for name in self._others]
        outputs, after = self._held[0].stateless_call(
            trained, others, inputs, training=self.training
        )
        return outputs.flatten(1) if isinstance(outputs, Tensor) else outputs, after


def _layout(takes: tuple[int | None, ...], shape: Shape) -> bool:
    """Whether channels are last in the model; raises unless it takes inputs of this shape."""

    def fits(given: tuple[int, ...]) -> bool:
        return len(takes) == len(given) and all(
            wanted in (None, number) for wanted, number in zip(takes, given, strict=True)
        )

    last = (*shape[1:], shape[0])
    if len(shape) == 3 and fits(last):
        return True
    if fits(tuple(shape)):
        return False
    expected = last if len(shape) == 3 else tuple(shape)
    raise MetaloopError(
        f"the Keras model takes inputs of shape {takes}, the data have {expected}; give it "
        f"keras.Input({expected})"
    )


def _leaves(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if not list(layer._layers)]


def _is_norm(layer: Any) -> bool:
    import keras  # optional extra

    return isinstance(layer, keras.layers.BatchNormalization)


def _converted(layer: Any) -> BatchNorm:
    """metaloop's batch norm with the weights of Keras'."""
    if not (layer.center and layer.scale) or layer.axis not in (-1, layer.input_spec.ndim - 1):
        raise MetaloopError(
            f"batch normalisation '{layer.name}' of the Keras model must have center and scale, "
            "over the last axis"
        )
    norm = BatchNorm(layer.gamma.shape[0], layer.epsilon, 1 - layer.momentum)
    with torch.no_grad():
        norm.weight.copy_(layer.gamma.value)
        norm.bias.copy_(layer.beta.value)
        norm.running_mean.copy_(layer.moving_mean.value)
        norm.running_var.copy_(layer.moving_variance.value)
    return norm


def _without_norms(model: Any, norms: list[BatchNorm]) -> Any:
    """Returns a copy of the model in which its batch normalisations are `norms`, in order."""
    import keras  # optional extra

    class Held(keras.layers.Layer):  # type: ignore[misc]
        """A layer that calls a torch module which belongs to somebody else."""

        def call(self, inputs: Tensor) -> Tensor:
            if inputs.device.type == "meta":  # Keras asks for the shape
                return inputs
            outputs: Tensor = self._module_of_others[0](inputs.movedim(-1, 1))
            return outputs.movedim(1, -1)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    # By name: models are cloned in an order of their own.
    by_name = dict(zip((_path(e) for e in _leaves(model) if _is_norm(e)), norms, strict=True))

    def copied(layer: Any) -> Any:
        if _is_norm(layer):
            held = Held(name=layer.name)
            held._module_of_others = (by_name[_path(layer)],)
            return held
        return type(layer).from_config(layer.get_config())

    try:
        copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    except ValueError as error:
        raise MetaloopError(
            "the Keras model has batch normalisation and is no Sequential or functional model, so "
            "it cannot be converted; use LayerNormalization or GroupNormalization"
        ) from error
    for theirs, ours in zip(_leaves(model), _leaves(copy), strict=True):
        if not _is_norm(theirs):
            for mine, known in zip(ours.weights, theirs.weights, strict=True):
                mine.assign(known.value)
            ours.trainable = theirs.trainable
    return copy


def _path(layer: Any) -> str:
    return str(layer.path)
