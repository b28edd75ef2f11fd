"""Models of sentence-transformers as frozen encoders: a small real one, as users save them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.errors import DataError

pytestmark = pytest.mark.long  # importing the library takes five seconds
TEXTS = ("a b c", "c", "", "a z o e", "b a " * 30, "🎉 مرحبا")


@pytest.fixture(scope="module")
def library(working_torchvision: None) -> Any:
    return pytest.importorskip(
        "sentence_transformers", reason="pip install 'metaloop[text]'", exc_type=ImportError
    )


@pytest.fixture(scope="module")
def folder(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer of one layer, the mean of its tokens, a dense layer, and unit length."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    root = tmp_path_factory.mktemp("st")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmno"]
    rules = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=rules, pad_token="[PAD]", unk_token="[UNK]", model_max_length=12
    )
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=12,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        BertModel(config).save_pretrained(root / "bert")
        tokens.save_pretrained(root / "bert")
        modules = library.sentence_transformer.modules
        body = modules.Transformer(str(root / "bert"))
        pooling = modules.Pooling(8)
        dense = library.base.modules.Dense(8, 6)
    model = library.SentenceTransformer(modules=[body, pooling, dense], device="cpu")
    model.save_pretrained(str(root / "model"))
    return root / "model"


def test_features_are_those_of_the_library(library: Any, folder: Path) -> None:
    encoder = open_backbone(f"st:{folder}", takes="texts")
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    some = [text for text in TEXTS if text]
    expected = torch.cat([torch.as_tensor(model.encode([text])) for text in some])
    found = encoder.encode(tuple(some))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert found.std() > 0
    assert (encoder.card.takes, encoder.card.features) == ("texts", 6)
    assert encoder.card.version == f"sentence-transformers {library.__version__}"
    assert open_backbone(str(folder), takes="texts").card.weights == encoder.card.weights


def test_what_comes_back_hangs_on_the_text_alone(library: Any, folder: Path) -> None:
    encoder = open_backbone(f"st:{folder}", takes="texts")
    together = encoder.encode(TEXTS * 2)[: len(TEXTS)]
    alone = torch.cat([encoder.encode((text,)) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert bool(together.isfinite().all())
    assert encoder.encode(()).shape == (0, 6)


def _copy(folder: Path, target: Path) -> Path:
    for file in folder.rglob("*"):
        if file.is_file():
            place = target / file.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    return target


def _modules(folder: Path, place: int, **changes: Any) -> None:
    listed = json.loads((folder / "modules.json").read_text())
    listed[place] |= changes
    (folder / "modules.json").write_text(json.dumps(listed))


def _as_checkpoint(folder: Path) -> None:
    tensors = load_file(folder / "2_Dense" / "model.safetensors")
    (folder / "2_Dense" / "model.safetensors").unlink()
    torch.save(tensors, folder / "2_Dense" / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: (f / "modules.json").unlink(), "has no modules.json"),
        (lambda f: (f / "modules.json").write_text("{}"), "no list of JSON objects"),
        (lambda f: _modules(f, 1, type="os.system"), "a module 'os.system'"),
        (lambda f: _modules(f, 2, type="sentence_transformers.models.CNN"), "a module .*CNN"),
        (lambda f: _modules(f, 2, path="../bert"), "outside of its folder"),
        (_as_checkpoint, "no safetensors, which are not read"),
        (lambda f: (f / "config.json").write_text("[1"), "cannot be opened"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10"), "no file of weights|damaged"),
    ],
)
def test_a_folder_with_something_wrong_is_told_in_one_line(
    harm: Callable[[Path], None], told: str, folder: Path, tmp_path: Path
) -> None:
    copy = _copy(folder, tmp_path / "copy")
    harm(copy)
    with pytest.raises(DataError, match=told) as error:
        open_backbone(f"st:{copy}", takes="texts")
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(
    library: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        open_backbone(f"st:{tmp_path / 'nothing'}", takes="texts")
