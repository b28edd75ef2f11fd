"""Nets of timm as frozen encoders: their features, and one clear line for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.errors import DataError, MissingExtraError, UnknownNameError

NET = "test_resnet"  # timm's smallest


@pytest.fixture(scope="module")
def timm(working_torchvision: None) -> Any:
    return pytest.importorskip("timm", reason="pip install 'metaloop[vision]'")


@pytest.fixture(scope="module")
def net(timm: Any) -> Any:
    """With random weights, but as if it was trained."""
    made = timm.create_model(NET).eval()
    rng = torch.Generator().manual_seed(0)
    for name, each in made.state_dict().items():
        if name.endswith("running_var"):
            each.copy_(torch.rand(each.shape, generator=rng) + 0.5)
    return made


@pytest.fixture(scope="module")
def file(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "net.safetensors"
    save_file(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(0, 256, (3, 3, 40, 40), generator=torch.Generator().manual_seed(1)).byte()


def test_features_are_those_of_timm(net: Any, file: Path, images: Tensor, timm: Any) -> None:
    encoder = open_backbone(f"timm:{NET}#{file}")
    config = timm.data.resolve_data_config(model=net)
    side = config["input_size"][-1]
    pixels = torch.nn.functional.interpolate(
        images.float() / 255, (side, side), mode=config["interpolation"], antialias=True
    ).clamp(0, 1)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        expected = net.forward_head(net.forward_features((pixels - mean) / std), pre_logits=True)
    assert encoder.card.features == expected.shape[1]
    assert encoder.card.size == side
    assert expected.std() > 0.01
    torch.testing.assert_close(encoder.encode(images), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "name", ["deit_tiny_distilled_patch16_224", "levit_128s", "repvit_m0_9", "efficientformer_l1"]
)
def test_a_net_with_two_classifiers_is_opened(name: str, timm: Any, tmp_path: Path) -> None:
    """Distilled nets tell classes apart twice, with as many classes as their weights have."""
    made = timm.create_model(name, num_classes=7).eval()
    assert isinstance(made.pretrained_cfg["classifier"], tuple)
    save_file(made.state_dict(), tmp_path / "net")
    encoder = open_backbone(f"timm:{name}#{tmp_path / 'net'}")
    grey = torch.full((1, 3, 224, 224), 100, dtype=torch.uint8)
    config = made.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        seen = made.forward_features((grey / 255 - mean) / std)
        expected = made.forward_head(seen, pre_logits=True)
    torch.testing.assert_close(encoder.encode(grey), expected, atol=1e-3, rtol=1e-3)


def test_another_side_and_another_kind_of_file_are_taken(
    net: Any, file: Path, images: Tensor, tmp_path: Path
) -> None:
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "net.pth.tar")
    smaller = open_backbone(f"timm:{NET}#{tmp_path / 'net.pth.tar'}@64")
    usual = open_backbone(f"timm:{NET}#{file}")
    assert smaller.card.size == 64
    assert smaller.card.name.endswith("@64")
    assert smaller.card.weights == usual.card.weights
    assert not torch.allclose(smaller.encode(images), usual.encode(images))


def test_the_card_says_what_is_known(file: Path, timm: Any) -> None:
    card = open_backbone(f"timm:{NET}#{file}").card
    assert card.version == f"timm {timm.__version__}"
    assert (card.licence, card.knows) == ("unknown", "unknown")  # the file is somebody's own
    assert len(card.weights) == 16


def test_opening_leaves_the_global_random_state_alone(file: Path) -> None:
    before = torch.random.get_rng_state()
    open_backbone(f"timm:{NET}#{file}")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_name_that_timm_has_not_lists_near_ones(timm: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"'resnet81'; did you mean '.*resnet"):
        open_backbone("timm:resnet81")


def test_weights_of_another_net_are_refused(net: Any, tmp_path: Path) -> None:
    states = net.state_dict()
    first = next(iter(states))
    save_file({**states, first: torch.zeros(2, 2)}, tmp_path / "shape.safetensors")
    save_file({k: v for k, v in states.items() if k != first}, tmp_path / "less.safetensors")
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    for name in ("shape", "less", "other"):
        with pytest.raises(DataError, match=r"the weights are not those of 'timm:test_resnet#"):
            open_backbone(f"timm:{NET}#{tmp_path / name}.safetensors")


def test_weights_that_are_not_finite_or_damaged_or_code_are_refused(
    net: Any, file: Path, tmp_path: Path
) -> None:
    states = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    next(iter(states.values()))[0] = torch.inf
    save_file(states, tmp_path / "infinite")
    (tmp_path / "cut").write_bytes(file.read_bytes()[:5000])
    torch.save(net, tmp_path / "code")
    for name, told in (("infinite", "finite"), ("cut", "weights"), ("code", "asks for")):
        with pytest.raises(DataError, match=told) as error:
            open_backbone(f"timm:{NET}#{tmp_path / name}")
        assert "\n" not in str(error.value)


def test_weights_that_are_not_on_this_machine_are_not_fetched(
    timm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"not on this machine; download them with --download"):
        open_backbone("timm:resnet18")


def test_a_torchvision_for_another_torch_is_told_with_the_remedy() -> None:
    """The real thing, where there is one: the wheel of PyPI beside a torch for the CPU."""
    imported = _run("import torchvision")
    if imported.returncode == 0 or "torchvision::nms" not in imported.stderr:
        pytest.skip("torchvision works here, or is not installed")
    told = (
        _run("from metaloop.guests.timm import timm_encoder; timm_encoder('resnet18')")
        .stderr.strip()
        .splitlines()[-1]
    )
    assert "timm needs torchvision, and the one that is installed was built for another" in told
    assert "pip install" in told
    assert MissingExtraError.__name__ in told


def _run(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
