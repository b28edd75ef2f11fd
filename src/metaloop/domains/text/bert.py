"""BERT's encoder as one torch module, from the tensors of a file; enough to run a frozen one.

    h = LayerNorm(word + position + kind);  each layer: h = LayerNorm(h + attention(h)),
    h = LayerNorm(h + W2 gelu(W1 h));  a text is the mean of its tokens, of unit length

transformers has the same and needs seconds to be imported, and a torchvision that works, if one is
there. Differences: no dropout, no pooler, no padding. Devlin et al. 2019, arXiv:1810.04805; the
mean: Reimers and Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import DataError

_EPSILON = 1e-12  # of the layer norms, as in the paper's code


@final
class MeanOfBert(nn.Module):
    """Token ids `[N, length]` to features `[N, width]` of unit length."""

    def __init__(
        self, tokens: int, width: int, layers: int, heads: int, hidden: int, longest: int
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(tokens, width)
        self.positions = nn.Embedding(longest, width)
        self.kind = nn.Parameter(torch.zeros(width))  # of a first sentence; there is no second
        self.norm = nn.LayerNorm(width, _EPSILON)
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))

    def forward(self, ids: Tensor) -> Tensor:
        """Returns the features of texts of equally many tokens."""
        *_, last = self.layers_of(ids)
        return functional.normalize(last.mean(1), dim=1)

    def layers_of(self, ids: Tensor) -> Iterator[Tensor]:
        """Yields the tokens `[N, length, width]` before the first layer and behind each."""
        seen = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.kind
        seen = self.norm(seen)
        yield seen
        for layer in self.layers:
            seen = layer(seen)
            yield seen


class Layer(nn.Module):
    """One layer: tokens `[N, length, width]` to tokens of the same shape."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.Linear(width, 3 * width)  # query, key, value
        self.after_attention = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, _EPSILON)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width, _EPSILON)

    def forward(self, seen: Tensor, there: Tensor | None = None) -> Tensor:
        """Returns the tokens behind the layer.

        `there` bool `[N, length]` tells which of them there are, where texts differ in length; with
        it `seen` may be those tokens alone, `[tokens, width]`, and so is what is returned.
        """
        parts = self.attention(seen)
        mixed = self._whole(parts) if there is None else self._masked(parts, there)
        seen = self.norm1(seen + self.after_attention(mixed))
        return cast(Tensor, self.norm2(seen + self.narrow(functional.gelu(self.widen(seen)))))

    def _whole(self, parts: Tensor) -> Tensor:
        """What the tokens tell each other: `[N, length, 3 width]` to `[N, length, width]`."""
        mixed = functional.scaled_dot_product_attention(*self._of_heads(parts))
        return mixed.transpose(1, 2).flatten(2)

    def _masked(self, parts: Tensor, there: Tensor) -> Tensor:
        """The same among the tokens that are there, in operations that have second derivatives."""
        packed = parts.dim() == 2
        query, key, value = self._of_heads(unpacked(parts, there) if packed else parts)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~there[:, None, None], torch.finfo(scores.dtype).min)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        return mixed[there] if packed else mixed

    def _of_heads(self, parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each `[N, heads, length, width / heads]`."""
        n, length, width = parts.shape
        each = width // (3 * self.heads)
        query, key, value = parts.reshape(n, length, 3, self.heads, each).permute(2, 0, 3, 1, 4)
        return query, key, value


def unpacked(tokens: Tensor, there: Tensor) -> Tensor:
    """Returns tokens `[tokens, D]` in their places `[N, length, D]`, zeros where none is there."""
    places = tokens.new_zeros(*there.shape, tokens.shape[1])
    return places.index_put((there,), tokens)


def mean_of_bert(tensors: Mapping[str, Tensor], heads: int, where: str) -> MeanOfBert:
    """Returns the frozen net with the tensors of a BERT, by the names that its files have.

    Raises `DataError` for tensors that are missing, of another shape or not finite.
    """
    given = _Given(tensors, where)
    tokens, width = given("embeddings.word_embeddings.weight", 2).shape
    longest = len(given("embeddings.position_embeddings.weight", 2))
    layers = 0
    while f"encoder.layer.{layers}.attention.self.query.weight" in tensors:
        layers += 1
    if not layers or width % heads:
        raise DataError(f"{where} is no BERT: it has {layers} layers and {width} features")
    hidden = len(given("encoder.layer.0.intermediate.dense.weight", 2))
    net = MeanOfBert(tokens, width, layers, heads, hidden, longest)
    state = {
        "words.weight": given("embeddings.word_embeddings.weight"),
        "positions.weight": given("embeddings.position_embeddings.weight"),
        "kind": given("embeddings.token_type_embeddings.weight", 2)[0],
        **given.pair("norm", "embeddings.LayerNorm"),
    }
    for place in range(layers):
        mine, theirs = f"layers.{place}", f"encoder.layer.{place}"
        for of in ("weight", "bias"):
            parts = [given(f"{theirs}.attention.self.{p}.{of}") for p in ("query", "key", "value")]
            state[f"{mine}.attention.{of}"] = torch.cat(parts)
        state |= given.pair(f"{mine}.after_attention", f"{theirs}.attention.output.dense")
        state |= given.pair(f"{mine}.norm1", f"{theirs}.attention.output.LayerNorm")
        state |= given.pair(f"{mine}.widen", f"{theirs}.intermediate.dense")
        state |= given.pair(f"{mine}.narrow", f"{theirs}.output.dense")
        state |= given.pair(f"{mine}.norm2", f"{theirs}.output.LayerNorm")
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{where} has tensors of another net: {reason}") from error
    return net.float().requires_grad_(False).eval()


class _Given:
    """The tensors of a file, asked for by name."""

    def __init__(self, tensors: Mapping[str, Tensor], where: str) -> None:
        self._tensors, self._where = tensors, where

    def __call__(self, name: str, dimensions: int | None = None) -> Tensor:
        tensor = self._tensors.get(name)
        if tensor is None or dimensions not in (None, tensor.ndim):
            raise DataError(f"{self._where} is no BERT: it has no '{name}' as expected")
        if not bool(torch.isfinite(tensor).all()):
            raise DataError(f"'{name}' of {self._where} is not finite; get the file anew")
        return tensor.float()

    def pair(self, mine: str, theirs: str) -> dict[str, Tensor]:
        """Weight and bias of one piece, by the names of the module."""
        return {f"{mine}.{of}": self(f"{theirs}.{of}") for of in ("weight", "bias")}
