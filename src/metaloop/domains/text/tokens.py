"""Tokens of texts: the rules in a `tokenizer.json`, run by Hugging Face's tokenizers.

That library brings no net and no network; sentence-transformers, transformers and wordllama need
it, too. Without those, metaloop's extra `text` brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metaloop.core.errors import DataError, missing_extra

MOST_BYTES = 50_000_000  # of a file of rules; those for a hundred languages have 17 million

Cut = Callable[[Sequence[str]], list[list[int]]]
CutWithSpans = Callable[[Sequence[str]], list[tuple[list[int], list[tuple[int, int]]]]]


def tokens_by(file: Path, called: str, special: bool, most: int | None = None) -> Cut:
    """Returns what cuts texts into the ids of their tokens by the rules of a file.

    `special`: with the tokens that begin and end a text. `most`: only the first so many tokens.
    Raises `MissingExtraError` without tokenizers, and `DataError` for a file that has no rules.
    """
    rules = _rules(file, called, most)

    def cut(texts: Sequence[str]) -> list[list[int]]:
        found = rules.encode_batch(list(texts), add_special_tokens=special)
        return [list(each.ids) for each in found]

    return cut


def spans_by(file: Path, called: str, most: int | None = None) -> CutWithSpans:
    """Returns the same that tells of each token, those at the ends too, which characters it is.

    From the first to behind the last one; nothing of a text is (0, 0). Raises as `tokens_by`.
    """
    rules = _rules(file, called, most)

    def cut(texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        found = rules.encode_batch(list(texts), add_special_tokens=True)
        return [(list(each.ids), list(each.offsets)) for each in found]

    return cut


def _rules(file: Path, called: str, most: int | None) -> Any:
    """The rules of a file, for texts that are cut behind so many tokens and never padded."""
    try:
        from tokenizers import Tokenizer  # optional extra
    except ImportError as error:
        raise missing_extra(f"backbone '{called}'", "text") from error
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"'{file}' is too long for the rules of tokens")
        rules: Any = Tokenizer.from_file(str(file))
    except DataError:
        raise
    except Exception as error:  # tokenizers raises nothing more special
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"'{file}' has no rules for tokens: {reason}") from error
    rules.no_padding()
    if most is None:
        rules.no_truncation()
    else:
        rules.enable_truncation(most)
    return rules


def rules_as_tensor(file: Path) -> Tensor:
    """Returns the bytes of the rules: other tokens make other features, as other weights do."""
    return torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8)
