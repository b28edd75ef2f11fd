"""`wordllama`: texts as the mean of 256 numbers for each token, distilled from large models.

There is no net: a table of 32,000 tokens is looked up, thousands of texts a second. Its package of
19 MB is found by its metadata and never imported; of its files, the table and the rules of tokens
are read. Every token of a text counts, its order does not. A text without tokens is all zeros.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.domains.text.packaged import packaged_file
from metaloop.domains.text.tokens import rules_as_tensor, tokens_by
from metaloop.modelfile.checkpoint import hash_of_weights, read_weights
from metaloop.nets.frozen_texts import TextEncoder

PACKAGE = "wordllama"
MOST_BYTES = 100_000_000  # six times what the file has
LICENCE = "MIT"
KNOWS = "the tokens of large language models"
_TABLE, _RULES = "/l2_supercat_256.safetensors", "/l2_supercat_tokenizer_config.json"

CITATION = """@software{miller2024wordllama,
  title = {WordLlama: Recycled Token Embeddings from Large Language Models},
  author = {Miller, D. Lee},
  year = {2024},
}"""


def wordllama(table_file: Path | None = None, rules_file: Path | None = None) -> TextEncoder:
    """Returns the encoder with the package's files, or with a table and rules of one's own.

    Raises `MissingExtraError` where the package or tokenizers are not installed, and `DataError`
    for files that are damaged or hold something else.
    """
    where = table_file or packaged_file(PACKAGE, _TABLE)
    rules = rules_file or packaged_file(PACKAGE, _RULES)
    if where is None or rules is None:
        raise missing_extra("backbone 'wordllama'", "wordllama")
    tensors = read_weights(where, MOST_BYTES)
    found = list(tensors.values())
    if len(found) != 1 or found[0].ndim != 2 or not found[0].is_floating_point():
        raise DataError(f"'{where}' is no table of tokens: one of [tokens, features] was expected")
    table = found[0].float()
    if not bool(torch.isfinite(table).all()):
        raise DataError(f"'{where}' has values that are not finite; get the file anew")
    own = table_file is not None or rules_file is not None
    card = EncoderCard(
        name="wordllama",
        takes="texts",
        features=table.shape[1],
        weights=hash_of_weights({**tensors, "rules of tokens": rules_as_tensor(rules)}),
        version=where.name if own else f"{PACKAGE} {metadata.version(PACKAGE)}",
        licence=LICENCE,
        knows=KNOWS,
        citation=CITATION,
    )

    def mean_of_rows(ids: Tensor) -> Tensor:
        return table[ids.clamp(max=len(table) - 1)].mean(1)

    return TextEncoder(card, tokens_by(rules, "wordllama", special=False), mean_of_rows)
