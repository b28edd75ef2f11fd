"""Summaries that are written: a net of transformers in a folder, tuned on a few pairs by LoRA.

    W x  ->  W x + (2 / r) B A x,   A [r, in] at random, B [out, r] nothing as it begins

for the queries and values of all attention; the net's own weights stay what they are. Steps descend
the cross-entropy of the pairs' summaries, and the net writes by beam search. It is a black box for
who has such a net (BART, T5, Pegasus): it takes no part in `learn`, whose summaries are extracts.
Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from metaloop.core.errors import DataError, InputError
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.guests.transformers.loading import config_in, folder_named, library_for, quiet
from metaloop.modelfile.hub import weights_in
from metaloop.tasks.readers.sentences import as_document, beginning, lines_of, number_of_words

_TUNED = ("q", "v", "q_proj", "v_proj")  # how nets call the queries and values of attention
_ALPHA = 2.0
_MOST_TOKENS = 1024  # of a document; what the net itself takes, if that is less
_TOKENS_PER_WORD = 3  # at most, that are written
_BATCH, _BEAMS, _CLIP = 4, 4, 1.0
_NO_LOSS = -100  # the label of what is no token
_WHAT = "summariser"  # in messages
_RULES = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "*.model")


@final
class Seq2SeqSummariser:
    """Writes summaries of at most `most_words` words, by the net in a folder.

    `prefix` stands before every document, as T5 was trained ("summarize: "). `rank`, `steps`,
    `rate`: of what `fit` adds to the net; it begins anew each time. Nothing is downloaded unless
    `download` is given. Raises `MissingExtraError` without transformers, and `DataError` for what
    is no folder of such a net.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        prefix: str = "",
        most_words: int = 60,
        rank: int = 8,
        steps: int = 60,
        rate: float = 1e-3,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        for name, value in (("most_words", most_words), ("rank", rank)):
            if value < 1:
                raise InputError(f"{name} is at least 1; got {value}")
        self.prefix, self.most_words, self.rank = prefix, most_words, rank
        self.steps, self.rate, self.seed = steps, rate, seed
        called = str(folder)
        self._library = library_for(called, _WHAT)
        place = folder_named(called, called, download, _RULES, _WHAT)
        self._net, self._rules = _opened(self._library, place, called)
        self._added: dict[str, tuple[Tensor, Tensor]] = {}
        for name, layer in _layers(self._net, called).items():
            layer.register_forward_hook(self._adding(name))

    def fit(self, documents: Sequence[str], summaries: Sequence[str]) -> Seq2SeqSummariser:
        """Returns self, tuned to these pairs; forgets what it was tuned to before.

        Raises `InputError` for other than as many texts with words as summaries.
        """
        if len(documents) != len(summaries):
            raise InputError(f"{len(documents)} documents but {len(summaries)} summaries")
        known = _texts("documents", documents), _texts("summaries", summaries)
        pairs = list(zip(*known, strict=True))
        self._added = self._beginning()
        tensors = [each for both in self._added.values() for each in both]
        optimiser = torch.optim.AdamW(tensors, self.rate, weight_decay=0.0)
        order = numpy_stream(self.seed, "pairs")
        for _ in range(self.steps):
            drawn = order.permutation(len(pairs))[:_BATCH]
            loss = self._loss([pairs[place] for place in drawn])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(tensors, _CLIP)
            optimiser.step()
        self._added = {
            name: (one.detach(), other.detach()) for name, (one, other) in self._added.items()
        }
        return self

    @torch.no_grad()
    def predict(self, documents: Sequence[str]) -> list[str]:
        """Returns a summary of each document: whole sentences where one is short enough.

        Where the net writes nothing, that is the beginning of the document.
        """
        found = []
        for document in _texts("documents", documents):
            inputs = self._tokens([self.prefix + document])
            with quiet(self._library):
                written = self._net.generate(  # type: ignore[operator]
                    **inputs,
                    max_new_tokens=_TOKENS_PER_WORD * self.most_words,
                    num_beams=_BEAMS,
                    do_sample=False,
                )
            text = self._rules.batch_decode(written, skip_special_tokens=True)[0].strip()
            found.append(_within(text or document, self.most_words))
        return found

    @torch.no_grad()
    def loss(self, documents: Sequence[str], summaries: Sequence[str]) -> float:
        """Returns the mean cross-entropy of the summaries' tokens, in nats, as it is tuned now."""
        return float(self._loss(list(zip(documents, summaries, strict=True))))

    def _beginning(self) -> dict[str, tuple[Tensor, Tensor]]:
        rng, found = torch_stream(self.seed, "low rank"), {}
        for name, layer in _layers(self._net, "").items():
            wide, narrow = layer.weight.shape
            one = torch.randn(self.rank, narrow, generator=rng) / narrow**0.5
            found[name] = one.requires_grad_(), torch.zeros(wide, self.rank, requires_grad=True)
        return found

    def _adding(self, name: str) -> Any:
        def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if name not in self._added:
                return output
            one, other = self._added[name]
            return output + (_ALPHA / self.rank) * (inputs[0] @ one.mT) @ other.mT

        return add

    def _loss(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        inputs = self._tokens([self.prefix + document for document, _ in pairs])
        told = self._tokens([summary for _, summary in pairs])
        labels = told["input_ids"].masked_fill(told["attention_mask"] == 0, _NO_LOSS)
        return cast(Tensor, self._net(**inputs, labels=labels).loss)

    def _tokens(self, texts: list[str]) -> dict[str, Tensor]:
        most = min(_MOST_TOKENS, self._rules.model_max_length, _positions(self._net))
        cut = self._rules(
            texts, truncation=True, max_length=most, padding=True, return_tensors="pt"
        )
        return {name: cut[name] for name in ("input_ids", "attention_mask")}


def _opened(library: Any, folder: Path, called: str) -> tuple[nn.Module, Any]:
    """The net with the weights of its folder, whose tensors stay as they are, and its tokens."""
    config = config_in(library, folder, called, _WHAT)
    if not getattr(config, "is_encoder_decoder", False):
        raise DataError(f"'{folder}' ({config.model_type}) reads and does not write texts")
    tensors = weights_in(folder)
    try:
        with torch.device("meta"):
            kind = type(library.AutoModelForSeq2SeqLM.from_config(config, trust_remote_code=False))
        with torch.random.fork_rng(devices=[]), quiet(library):
            net, told = kind.from_pretrained(
                None, config=config, state_dict=tensors, output_loading_info=True
            )
            rules = library.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # whatever nets and rules that are not whole raise
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"'{folder}' is no whole net that writes texts: {reason}") from error
    if told["missing_keys"]:
        raise DataError(
            f"'{folder}' lacks {len(told['missing_keys'])} tensors of its net, "
            f"'{sorted(told['missing_keys'])[0]}' among them"
        )
    if rules.pad_token is None:
        rules.pad_token = rules.eos_token
    return net.eval().requires_grad_(False), rules


def _layers(net: nn.Module, called: str) -> dict[str, nn.Linear]:
    """The layers that are added to, by name."""
    found = {
        name: layer
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in _TUNED
    }
    if not found:
        raise DataError(f"net '{called}' has no attention with {' or '.join(_TUNED)} to be tuned")
    return found


def _positions(net: nn.Module) -> int:
    found = getattr(net.config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else _MOST_TOKENS


def _texts(name: str, values: Sequence[str]) -> list[str]:
    if isinstance(values, str) or not all(
        isinstance(each, str) and each.strip() for each in values
    ):
        raise InputError(f"{name} are a list of texts, each with a word at least")
    return [" ".join(each.split()) for each in values]


def _within(text: str, most: int) -> str:
    """The first sentences that fit into so many words; else the beginning of the first one."""
    taken: list[str] = []
    left = most
    for sentence in lines_of(as_document(text)):
        if number_of_words(sentence) > left:
            break
        taken.append(sentence)
        left -= number_of_words(sentence)
    return " ".join(taken) if taken else beginning(text, most)
