"""Nets of transformers for texts as frozen encoders: BERT, RoBERTa, MPNet, T5, GPT-2 and their kin.

    features of a text = mean over its tokens of the last hidden states

`hf:FOLDER` and `hf:NAME` take any net for texts whose class transformers itself has; of one with an
encoder and a decoder it is the encoder. The mean counts the tokens that begin and end a text, too,
and nothing is scaled. A net that was tuned as a sentence encoder has a pooling of its own, which
`st:` honours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError
from metaloop.guests.transformers.loading import (
    CITATION,
    config_in,
    folder_named,
    library_for,
    net_in,
)
from metaloop.modelfile.checkpoint import hash_of_weights
from metaloop.modelfile.hub import datasets_in, licence_in, weights_in
from metaloop.nets.frozen_texts import TextEncoder

MOST_TOKENS = 512  # of a text; what the net itself takes, if that is less
_RULES = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "*.model")


def transformers_text_encoder(name: str, download: bool = False) -> TextEncoder:
    """Returns the net for texts in a folder, or of that name in the user's cache of the hub.

    Raises `MissingExtraError` without transformers, and `DataError` for what is no net for texts,
    has no rules for tokens, or has weights that are not there, damaged or of another net.
    """
    called = f"hf:{name}"
    library = library_for(called)
    folder = folder_named(name, called, download, _RULES)
    config = config_in(library, folder, called)
    tensors = weights_in(folder)
    net = _Mean(net_in(library, config, tensors, called, "texts"))
    rules = _rules(library, folder, called)
    most = min(MOST_TOKENS, rules.model_max_length, _positions(config))

    def tokens(texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        cut = rules(list(texts), truncation=True, max_length=most, padding=False)
        return cast("list[list[int]]", cut["input_ids"])

    card = EncoderCard(
        name=called,
        takes="texts",
        features=_measured(net, tokens(["a text"]), called),
        weights=hash_of_weights({**tensors, **_as_tensors(folder)}),
        version=f"transformers {library.__version__}",
        licence=licence_in(folder),
        knows=datasets_in(folder),
        citation=CITATION,
    )
    return TextEncoder(card, tokens, net)


class _Mean(nn.Module):
    """The mean of the last hidden states of texts of equally many tokens."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net.get_encoder() if net.config.is_encoder_decoder else net
        self.float().requires_grad_(False).eval()

    def forward(self, ids: Tensor) -> Tensor:
        """Returns features `[N, D]` for token ids `[N, length]`."""
        made = self.net(input_ids=ids, attention_mask=torch.ones_like(ids))
        return cast(Tensor, made.last_hidden_state.mean(1))


def _rules(library: Any, folder: Path, called: str) -> Any:
    if not any(True for pattern in _RULES for _ in folder.glob(pattern)):
        raise DataError(f"'{folder}' has no rules for the tokens of '{called}'; get them, too")
    try:
        return library.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever the reading of rules raises
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"'{folder}' has no rules for the tokens of '{called}': {reason}"
        ) from error


def _positions(config: Any) -> int:
    """How many tokens the net has positions for; some of RoBERTa's are for padding."""
    most = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
    padded = "roberta" in config.model_type or config.model_type in ("camembert", "mpnet")
    return int(most) - (2 if padded else 0)


def _measured(net: _Mean, ids: list[list[int]], called: str) -> int:
    """How many features the net has, by one text."""
    try:
        with torch.inference_mode():
            features = net(torch.tensor(ids))
    except Exception as error:  # whatever a net raises for tokens that are not its own
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"backbone '{called}' cannot take a text: {reason}") from error
    if features.ndim != 2 or not bool(torch.isfinite(features).all()):
        raise DataError(f"backbone '{called}' makes no vector of finite numbers of a text")
    return int(features.shape[1])


def _as_tensors(folder: Path) -> dict[str, Tensor]:
    """The rules of tokens as bytes: other tokens make other features, as other weights do."""
    files = {file for pattern in _RULES for file in folder.glob(pattern) if file.is_file()}
    return {
        f"rules of tokens: {file.name}": torch.frombuffer(
            bytearray(file.read_bytes() or b"\0"), dtype=torch.uint8
        )
        for file in sorted(files)
    }
