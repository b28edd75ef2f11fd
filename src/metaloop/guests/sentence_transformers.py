"""sentence-transformers: any of its models, in a folder or by name, as a frozen encoder of texts.

`st:FOLDER` and `st:NAME` give what the library's own `encode` gives, with its pooling, prompts and
the length at which it cuts texts. Texts of equally many tokens go through together, so that nothing
is padded. Weights must be safetensors, and modules the library's own: code that a folder brings is
never run. Reimers and Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from metaloop.core.columns import Taken
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError, missing_extra
from metaloop.modelfile.checkpoint import MOST_BYTES, hash_of_weights, read_weights
from metaloop.modelfile.hub import datasets_in, hub_folder, json_list_in, licence_in
from metaloop.nets.frozen_texts import MOST_CHARACTERS, by_length, checked_texts

EXTRA = "text"
_LISTED = "modules.json"
_NEEDED = (_LISTED, "*.json", "vocab*", "merges.txt", "*.model", "*/config.json",
           "*/model*.safetensors", "*/tokenizer*")  # fmt: skip
_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize", "LayerNorm", "StaticEmbedding")

CITATION = """@inproceedings{reimers2019sentence,
  title = {Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks},
  author = {Reimers, Nils and Gurevych, Iryna},
  booktitle = {EMNLP-IJCNLP},
  year = {2019},
  eprint = {1908.10084},
}"""


@final
class SentenceEncoder(Encoder):
    """A model of sentence-transformers as an encoder."""

    def __init__(self, card: EncoderCard, model: Any) -> None:
        self.card = card
        self._model = model

    def encode(self, inputs: Taken) -> Tensor:
        """Returns what the library's `encode` makes of each text by itself."""
        texts = [text[:MOST_CHARACTERS] for text in checked_texts(inputs)]
        encoded = torch.zeros(len(texts), self.card.features)
        if not texts:
            return encoded
        with torch.inference_mode():
            for rows in by_length(_lengths(self._model.tokenizer, texts)):
                encoded[rows] = _encoded(self._model, [texts[row] for row in rows])
        return encoded


def sentence_encoder(name: str, download: bool = False) -> SentenceEncoder:
    """Returns the model in a folder, or of that name in the user's cache of the hub.

    Raises `MissingExtraError` without sentence-transformers, and `DataError` for what is none of
    its models, has other weights than safetensors, or modules that are not the library's.
    """
    called = f"st:{name}"
    library = _library(called)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.startswith((".", "/", "~")) or name.count("/") > 1:
            raise DataError(f"there is no folder '{name}' for backbone '{called}'")
        repository = name if "/" in name else f"sentence-transformers/{name}"
        folder = hub_folder(repository, called, EXTRA, download, _NEEDED)
    places = _checked_modules(folder, called)
    tensors = _weights(folder, places)
    model = _opened(library, folder, called)
    probe = _encoded(model, ["a text"])
    if not bool(torch.isfinite(probe).all()):
        raise DataError(f"backbone '{called}' makes numbers that are not finite; get it anew")
    card = EncoderCard(
        name=called,
        takes="texts",
        features=probe.shape[1],
        weights=hash_of_weights({**tensors, **_words(folder)}),
        version=f"sentence-transformers {library.__version__}",
        licence=licence_in(folder),
        knows=datasets_in(folder),
        citation=CITATION,
    )
    return SentenceEncoder(card, model)


def _library(called: str) -> Any:
    try:
        import sentence_transformers  # optional extra
    except ImportError as error:
        raise missing_extra(f"backbone '{called}'", EXTRA) from error
    except Exception as error:  # it imports torchvision, where one is installed
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"sentence-transformers cannot be imported ({reason}); a torchvision that was built "
            f"for another torch is the usual reason: pip uninstall torchvision"
        ) from error
    return sentence_transformers


def _checked_modules(folder: Path, called: str) -> list[str]:
    """The folders of the modules, within this one, none of which brings code."""
    listed = json_list_in(folder, _LISTED)
    if not listed:
        raise DataError(f"'{folder}' has no {_LISTED}: it is no model of sentence-transformers")
    places = []
    for each in listed:
        kind, place = str(each.get("type", "")), str(each.get("path", ""))
        if not kind.startswith("sentence_transformers.") or kind.rpartition(".")[2] not in _KNOWN:
            raise DataError(
                f"backbone '{called}' has a module '{kind}'; those that metaloop runs are "
                f"{', '.join(_KNOWN)} of sentence-transformers"
            )
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise DataError(f"'{folder / _LISTED}' names a place outside of its folder: '{place}'")
        places.append(place)
    return places


def _weights(folder: Path, places: list[str]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for place in dict.fromkeys(places):
        files = sorted((folder / place).glob("*.safetensors"))
        if not files and list((folder / place).glob("*.bin")):
            raise DataError(
                f"'{folder / place}' has weights that are no safetensors, which are not read; save "
                f"the model anew: SentenceTransformer(...).save_pretrained(...)"
            )
        for file in files:
            found = read_weights(file, MOST_BYTES)
            tensors |= {f"{place}/{name}": tensor for name, tensor in found.items()}
    return tensors


def _words(folder: Path) -> dict[str, Tensor]:
    """How texts are cut and pooled, as bytes: other settings make other features."""
    files = {f for pattern in _NEEDED for f in folder.glob(pattern) if f.suffix != ".safetensors"}
    return {
        f"file {file.relative_to(folder).as_posix()}": torch.frombuffer(
            bytearray(file.read_bytes() or b"\0"), dtype=torch.uint8
        )
        for file in sorted(files)
        if file.is_file()
    }


def _opened(library: Any, folder: Path, called: str) -> Any:
    try:
        with torch.random.fork_rng(devices=[]), _quiet():
            model = library.SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "torch_dtype": torch.float32},
            )
        return model.float().requires_grad_(False).eval()
    except Exception as error:  # whatever a folder that is odd raises
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"backbone '{called}' cannot be opened: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars: what is wrong is told by one line."""
    import transformers  # optional extra

    logging: Any = transformers.utils.logging
    loudness, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(loudness)
        if bars:
            logging.enable_progress_bar()


def _lengths(rules: Any, texts: list[str]) -> list[int]:
    """How many tokens each text has, none makes zeros; static embeddings need one group only."""
    if not callable(rules):
        return [1] * len(texts)
    return [len(ids) for ids in rules(texts, truncation=True)["input_ids"]]


def _encoded(model: Any, texts: list[str]) -> Tensor:
    made = model.encode(
        texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True
    )
    return torch.as_tensor(made).float().cpu()
