"""Nets that write summaries: a small real one in a folder, tuned on pairs by LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.made_documents import WORDS, rows

from metaloop.core.errors import DataError, InputError, MissingExtraError
from metaloop.guests.transformers.seq2seq import Seq2SeqSummariser, _within

pytest.importorskip("sentencex", reason="needs metaloop[summaries]: sentencex")
DOCUMENTS = [" ".join(map(str, row["document"])) for row in rows(4)]  # type: ignore[call-overload]
SUMMARIES = [str(row["summary"]) for row in rows(4)]


@pytest.fixture(scope="module")
def library(working_torchvision: None) -> Any:
    return pytest.importorskip("transformers", reason="pip install 'metaloop[transformers]'")


@pytest.fixture(scope="module")
def folder(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 with few parameters, drawn at random, with a word for each token."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("hf") / "t5"
    known = ["<pad>", "</s>", "<unk>", "we", "show", "that", ".", *WORDS]
    rules = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, "<unk>"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    library.PreTrainedTokenizerFast(
        tokenizer_object=rules, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    config = library.T5Config(
        vocab_size=len(known), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        library.T5ForConditionalGeneration(config).save_pretrained(path)
    return path


def test_a_few_pairs_tune_what_is_added_and_leave_the_net_as_it_is(folder: Path) -> None:
    made = Seq2SeqSummariser(folder, steps=30, rate=0.05, rank=4, most_words=6)
    before = {name: each.clone() for name, each in made._net.state_dict().items()}
    untuned = made.loss(DOCUMENTS, SUMMARIES)
    assert made.fit(DOCUMENTS, SUMMARIES).loss(DOCUMENTS, SUMMARIES) < 0.9 * untuned
    assert all(torch.equal(before[name], each) for name, each in made._net.state_dict().items())
    written = made.predict(DOCUMENTS[:2])
    assert all(0 < len(each.split()) <= 6 for each in written)
    again = Seq2SeqSummariser(folder, steps=30, rate=0.05, rank=4, most_words=6)
    assert again.fit(DOCUMENTS, SUMMARIES).predict(DOCUMENTS[:2]) == written
    made.steps = 0  # begins anew
    assert made.fit(DOCUMENTS, SUMMARIES).loss(DOCUMENTS, SUMMARIES) == pytest.approx(untuned)


def test_what_cannot_write_is_refused_in_one_line(
    library: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = library.BertConfig(**body, intermediate_size=8, vocab_size=20)
    library.BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(DataError, match="reads and does not write"):
        Seq2SeqSummariser(tmp_path / "bert")
    with pytest.raises(DataError, match=r"there is no folder '.*nothing' for summariser '.*nothi"):
        Seq2SeqSummariser(tmp_path / "nothing")
    with pytest.raises(InputError, match="3 documents but 2 summaries"):
        Seq2SeqSummariser(folder).fit(DOCUMENTS[:3], SUMMARIES[:2])
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(
        MissingExtraError, match=r"summariser .* install 'metaloop\[transformers\]'"
    ):
        Seq2SeqSummariser(folder)


def test_what_is_written_fits_into_the_words_and_is_never_nothing() -> None:
    assert _within("One two. Three four five.", 3) == "One two."
    assert _within("One two three. Four.", 2) == "One two…"
    assert _within("是" * 50, 3) == "是" * 6 + "…"
    assert _within("语" * 30 + "。" + "短。", 60) == "语" * 30 + "。 短。"
