"""Learners whose embedding is a net: what all of them have in common."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples, Inputs
from metaloop.core.learner import CENTER, EmbeddingLearner, MetaLoss, MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.classifier import init_classifier, whole_class_loss
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prototypes import centred_and_normalised, class_means


class NetLearner(EmbeddingLearner):
    """A head on the features of a net, by the net's running statistics."""

    net: FunctionalNet
    vmappable: ClassVar[bool] = True

    @property
    def norm_policy(self) -> str:
        """Running statistics, those of meta-training; none without batch norm."""
        return "running" if self.net.has_norms else "none"

    @final
    def embed(self, meta_params: MetaParams, inputs: Inputs) -> Tensor:
        """Returns the net's features `[N, D]`."""
        return self.net(meta_params, inputs)[0]


class WholeClassLearner(NetLearner):
    """A head on a net that is trained as a classifier over all training classes."""

    @final
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the loss of the whole-class classifier; raises `TypeError` on episodes."""
        return whole_class_loss(self.net, meta_params, batch)


class CentredMeans(WholeClassLearner):
    """Class means of features that are centred on the training classes and of unit length."""

    @final
    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, the whole-class classifier and a centre of zero."""
        meta_params = self.net.init(rng)
        meta_params |= init_classifier(self.net.num_features, spec.num_training_classes, rng)
        meta_params[CENTER] = torch.zeros(self.net.num_features)
        return meta_params

    @final
    def finish(self, meta_params: MetaParams, mean_feature: Tensor) -> MetaParams:
        """Returns the meta-parameters with the mean training feature as the centre."""
        return {**meta_params, CENTER: mean_feature}

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the centroids `[classes, D]` and which classes have any support."""
        directions = centred_and_normalised(features.features, meta_params[CENTER])
        means, present = class_means(features.with_inputs(directions))
        return {"centroids": means, "present": present}
