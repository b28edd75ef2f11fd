"""What a training begins with: tensors that a net computes of training images, and keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from metaloop.core.budget import Budget
from metaloop.core.learner import trained
from metaloop.core.records import Plan
from metaloop.engine.beginning import initial_state
from metaloop.engine.events import Finished
from metaloop.engine.optimisation import make_optimisers
from metaloop.engine.training import train
from metaloop.nets import whitened
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.lean import Lean, lean
from metaloop.nets.whitened import whitening

STEM = "buffers.net.stem.weight"


def _lean_job(new_job: Any, name: str) -> Any:
    job = new_job(name, side=12)
    net = FunctionalNet(job.family.input_format, build=partial(lean, widths=(12, 8, 8)))
    return replace(job, learner=replace(job.learner, net=net))


@pytest.mark.parametrize("name", ["simpleshot", "protonet", "fomaml"])
def test_a_stem_whitens_training_images_and_stays_as_it_is(new_job: Any, name: str) -> None:
    job = _lean_job(new_job, name)
    state = initial_state(job.learner, job.family, job.spec, 0, plan=job.plan)
    filters = state.meta_params[STEM]
    rows = job.family.labelled("train")[0]
    images = job.family.input_format.normalise(
        job.family.input_format.to_float(job.family.store.taken(rows))
    )
    patches = torch.nn.functional.conv2d(images, filters)[:, :6].transpose(0, 1).flatten(1)
    covariance = torch.cov(patches)
    torch.testing.assert_close(covariance, torch.eye(6), atol=0.15, rtol=0.0)
    torch.testing.assert_close(filters[:6], -filters[6:])
    last = list(train(*job, Budget(steps=5), job.spec, evaluations=0))[-1]
    assert isinstance(last, Finished) and last.status == "finished"
    torch.testing.assert_close(last.state.meta_params[STEM], filters)
    assert STEM not in trained(last.state.meta_params)


def test_where_nothing_is_trained_the_stem_is_drawn(new_job: Any) -> None:
    job = _lean_job(new_job, "simpleshot")
    drawn = initial_state(job.learner, job.family, job.spec, 0).meta_params[STEM]
    flat = drawn[:6].flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(6), atol=1e-5, rtol=0.0)
    computed = initial_state(job.learner, job.family, job.spec, 0, plan=job.plan).meta_params[STEM]
    assert not torch.allclose(drawn, computed)


def test_muon_moves_the_first_convolution_behind_a_computed_stem(new_job: Any) -> None:
    job = _lean_job(new_job, "simpleshot")
    params = initial_state(job.learner, job.family, job.spec, 0, plan=job.plan).meta_params
    params = {n: t.requires_grad_() if n in trained(params) else t for n, t in params.items()}
    muon = make_optimisers(Plan("classes", optimiser="muon"), params)[0]
    moved = {id(tensor) for group in muon.param_groups for tensor in group["params"]}
    convolutions = {n for n, t in trained(params).items() if n.startswith("net.") and t.dim() == 4}
    assert len(convolutions) == 4
    assert {name for name in params if id(params[name]) in moved} == convolutions


def test_whitening_has_both_signs_and_the_largest_components_first() -> None:
    images = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.avg_pool2d(images, 3, stride=1, padding=1)  # neighbours alike
    filters = whitening(images, kernel=4, components=5)
    assert filters.shape == (10, 3, 4, 4)
    torch.testing.assert_close(filters[:5], -filters[5:])
    sizes = filters[:5].flatten(1).norm(dim=1)  # one over the standard deviation
    assert (sizes.diff() > 0).all()


def test_images_that_are_not_numbers_end_the_training_by_themselves(new_job: Any) -> None:
    job = _lean_job(new_job, "simpleshot")
    store = job.family.store
    inputs = torch.full_like(store.inputs, torch.nan, dtype=torch.float32)
    poisoned = replace(store, inputs=inputs)
    family = replace(job.family, store=poisoned, given_format=job.family.input_format)
    last = list(train(job.learner, family, job.plan, Budget(steps=5), job.spec))[-1]
    assert isinstance(last, Finished) and last.status == "diverged"


@pytest.mark.parametrize("shape", [(3, 8, 200), (1, 90, 20), (3, 224, 224)])
def test_images_of_any_shape_have_a_stem_and_large_ones_take_little_memory(shape: Any) -> None:
    net = lean(shape)
    assert isinstance(net, Lean)
    images = torch.rand(8, *shape, generator=torch.Generator().manual_seed(0))
    net.load_state_dict(net.computed(images), strict=False)
    assert net(images).shape == (8, 128)


def test_whitening_looks_at_no_more_patches_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(whitened, "_MOST_NUMBERS", 64 * 7 * 7 * 4 // 8)
    torch.testing.assert_close(whitening(images, 2, 3), whitening(images[::8], 2, 3))
