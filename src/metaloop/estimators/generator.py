"""`FewShotGenerator`: new images of a class from a few of it, in scikit-learn's habits."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import InputError
from metaloop.core.randomness import torch_stream
from metaloop.core.sampler import Sampler
from metaloop.estimators.base import FewShotEstimator
from metaloop.estimators.images import sizes_of
from metaloop.estimators.task import BATCH, AdaptedTask, Support, adapt_to
from metaloop.models.sheets import pictures_of

MOST_AT_ONCE = 1000  # images that are drawn side by side
MOST_TRIES = 100
_LEAST_SIDE = 2  # pixels: of one there is no image to learn from


class FewShotGenerator(FewShotEstimator):
    """A distribution over images of a class, learned from a few of them.

    `model`: a path to a `model.metaloop` that was trained with `objective="generation"`, or a
    loaded one; there is none to begin without. `keep_support`: keep the examples, which `save`
    needs. `value_range`: as for `FewShotClassifier`.

    `X` are images as for `FewShotClassifier`; the model's size and number of grey values are what
    they are brought to. After `fit`: `n_features_in_`.
    """

    objective: ClassVar[str] = "generation"

    def fit(self, X: Any, y: Any = None) -> FewShotGenerator:
        """Returns self, having learned from images of one class; forgets what it learned before.

        `y` is there for pipelines: if given, all its labels are the same. Warns where all images
        are the same. Raises `InputError` for X that is no images, for one that is a single pixel
        wide or high, for several classes, and where there is no model.
        """
        if y is not None and len(set(np.asarray(y).ravel().tolist())) > 1:
            raise InputError("a generator is fitted to one class; fit one for each of the classes")
        same: list[int] = []
        fitted = self._learned(lambda new: same.append(new._learn(X)))
        if same[-1] > 1:
            warnings.warn(
                f"all {same[-1]} images are the same: the class is known by one", stacklevel=2
            )
        return fitted

    @property
    def usual_temperature(self) -> float:
        """The temperature that `sample` has where none is given: what suits the model's images."""
        return _sampler(self._snapshot().task_.model.learner).usual_temperature

    def sample(
        self, count: int = 1, seed: int = 0, temperature: float | None = None, tries: int = 1
    ) -> np.ndarray:
        """Returns new images: uint8 `[count, height, width]`, or `[..., 3]` in colour.

        Drawings are dark on white, whatever the support was. Below a temperature of 1 images are
        more likely ones and differ less; None is `usual_temperature`. `tries` images are drawn for
        each that is returned, the one that the support speaks most for: p(x | S) / p(x), where the
        model knows p(x). The same seed gives the same images. Raises `InputError` for a count or
        tries below 1, tries above 100, and a temperature that is not above 0.
        """
        if count < 1:
            raise InputError(f"count is how many images are wanted, at least 1; got {count}")
        if not 1 <= tries <= MOST_TRIES:
            raise InputError(
                f"tries is how many images are drawn for each, 1 to {MOST_TRIES}; got {tries}"
            )
        temperature = self.usual_temperature if temperature is None else temperature
        if not 0 < temperature < math.inf:
            raise InputError(f"a temperature is a number above 0; got {temperature}")
        task, rng = self._snapshot().task_, torch_stream(seed, "sample")
        at_once = max(1, MOST_AT_ONCE // tries)
        drawn = [
            _drawn(task, min(at_once, count - start), rng, temperature, tries)
            for start in range(0, count, at_once)
        ]
        return pictures_of(torch.cat(drawn), task.model.input_format)

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns the natural logarithms of the probabilities of images `[n]`, as the model has it.

        They are of whole images, at the model's size and number of grey values; `bits_per_dim` is
        what reports are in.
        """
        fitted = self._snapshot()
        per_value = fitted._outputs(X)[:, 0].numpy()
        return np.asarray(per_value * math.prod(fitted.task_.model.input_format.shape))

    def bits_per_dim(self, X: Any) -> float:
        """Returns minus the mean log probability of images, in bits per value of a pixel."""
        return float(-self._snapshot()._outputs(X).mean() / math.log(2))

    def score(self, X: Any, y: Any = None) -> float:
        """Returns the mean log probability of images in nats: more is better."""
        return float(self.score_samples(X).mean())

    def _learn(self, X: Any) -> int:
        """Adapts to images; returns how many there are if all are the same, else 0."""
        model = self._model_to_adapt(None)
        if model is None:
            raise InputError(
                "a generator needs a model that was trained with objective='generation'; without "
                "one there is nothing to draw with"
            )
        inputs = self._read(X, model, None)[:]
        check_sides(X)
        targets = torch.zeros(len(inputs), *model.spec.target_shape, dtype=torch.float64)
        self.task_ = adapt_to(
            model,
            Support(inputs, targets),
            0,
            getattr(self, "value_range_", None),
            keep_support=bool(self.keep_support),
        )
        return len(inputs) if bool((inputs == inputs[:1]).all()) else 0


def check_sides(X: Any) -> None:
    """Raises `InputError` for the first of readable images that is too small to learn from."""
    for row, size in enumerate(sizes_of(X)):
        if why := too_small(size):
            raise InputError(f"X[{row}]: the image {why}")


def too_small(size: tuple[int, int]) -> str:
    """Returns why nothing is learned from images of such a width and height; "" where it is."""
    if min(size) >= _LEAST_SIDE:
        return ""
    return (
        f"is {size[0]} x {size[1]} pixels; an image to learn from has {_LEAST_SIDE} or more on "
        "each side"
    )


def _drawn(
    task: AdaptedTask, count: int, rng: torch.Generator, temperature: float, tries: int
) -> Tensor:
    """Images `[count, *input]`, of every `tries` that are drawn the one most like the support."""
    learner, phi = _sampler(task.model.learner), task.model.meta_params
    drawn = learner.sample(phi, task.state, count * tries, rng, temperature)
    if tries > 1:
        told = torch.cat(
            [learner.told_by_support(phi, task.state, some) for some in torch.split(drawn, BATCH)]
        )
        best = told.view(count, tries).argmax(1)
        drawn = drawn.view(count, tries, *drawn.shape[1:])[torch.arange(count), best]
    return drawn.cpu()


def _sampler(learner: Any) -> Sampler:
    if not isinstance(learner, Sampler):
        raise InputError(f"a {type(learner).__name__} draws no images")
    return learner
