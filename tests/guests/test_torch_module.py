"""A net of one's own as a frozen encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import metaloop
from metaloop.cli import run as command
from metaloop.core.errors import DataError
from metaloop.guests.torch_module import module_encoder


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))


def test_features_are_those_of_the_net_when_it_evaluates() -> None:
    net = _net()
    images = torch.randint(0, 256, (70, 3, 8, 8)).byte()
    encoder = module_encoder(net, side=8, mean=(0.5,) * 3, deviation=(0.25,) * 3, knows="shapes")
    assert net.training  # the user's own net stays as it is
    assert net[0].weight.requires_grad
    with torch.inference_mode():
        expected = net.eval()((images.float() / 255 - 0.5) / 0.25)
    torch.testing.assert_close(encoder.encode(images), expected, atol=1e-5, rtol=1e-4)
    assert (encoder.card.name, encoder.card.features) == ("module:Sequential", 5)
    assert encoder.card.knows == "shapes"


def test_the_hash_is_of_the_weights() -> None:
    net = _net()
    hashes = {module_encoder(net, side=8).card.weights for _ in range(2)}
    with torch.no_grad():
        net[3].weight[0, 0] += 1
    hashes.add(module_encoder(net, side=8).card.weights)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    "said", [{}, {"version": "3", "licence": "MIT", "citation": "@misc{mine}"}]
)
def test_cite_names_it(
    said: dict[str, str], reading: Any, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """With what is known of it, and with its hash in any case."""
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    encoder = module_encoder(_net(), side=8, name="my_net", **said)
    trained = metaloop.train(reading, "simpleshot", backbone=encoder, budget="1steps")
    trained.save(tmp_path / "m")
    assert command(["cite", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    for part in (r"title = {my\_net}", encoder.card.weights, encoder.card.licence):
        assert part in printed
    assert f"version = {{{said.get('version', f'torch {torch.__version__}')}}}" in printed
    assert printed.count("@misc{mine}") == len(said) // 3
    assert command(["cite", str(tmp_path / "m"), "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)["backbones"]
    assert (card["name"], card["weights"]) == ("my_net", encoder.card.weights)


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (nn.Conv2d(3, 4, 3), r"returns \[1, 4, 6, 6\] for one image"),
        (nn.Flatten(0), "for one image"),
        (nn.Linear(3, 4), "cannot take an image of 8 pixels"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), "not finite"),
    ],
)
def test_a_net_that_returns_no_features_is_refused(net: nn.Module, told: str) -> None:
    if told == "not finite":
        net[1].weight.data.fill_(torch.nan)  # type: ignore[index, union-attr]
    with pytest.raises(DataError, match=told):
        module_encoder(net, side=8)


def test_a_side_that_fills_the_memory_is_refused() -> None:
    with pytest.raises(DataError, match=r"50000 pixels"):
        module_encoder(_net(), side=50_000)
