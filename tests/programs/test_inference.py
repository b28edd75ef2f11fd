"""Types keep programs right, and queries apart; the ways around it that were tried are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metaloop.core.examples import EpisodeBatch
from metaloop.core.randomness import torch_stream
from metaloop.programs.checking import check
from metaloop.programs.errors import ProgramError
from metaloop.programs.inference import infer_loss, infer_types
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program

Run = Callable[..., Tensor]
ADAPT = "def adapt(x, y):\n    {}\n"
MEANS = ADAPT.format("return matmul(transpose(y), x)")
PREDICT = "def predict(x, w):\n    {}\n"
LINEAR = PREDICT.format("return matmul(x, transpose(w))")
EMBED = "def embed_map(x, center):\n    {}\n"


@pytest.mark.parametrize("name", LIBRARY)
def test_programs_of_the_library_pass_the_check(name: str) -> None:
    typed = check(library_program(name).source)
    assert str(typed.slots["predict"].result_types[0]) == "Mat[Q,C]"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=12)
def test_programs_with_types_run(random_program: Callable[[int], Program], seed: int) -> None:
    check(random_program(seed))


# Every way to let one query see another, with the word of the refusal.
MIXING = [
    ("multiply(x, mean(x, axis=0))", "mix queries"),
    ("subtract(x, max(x, axis=0))", "mix queries"),
    ("divide(x, norm(x, axis=0))", "mix queries"),
    ("multiply(x, logsumexp(x, axis=0))", "mix queries"),
    ("multiply(x, sum(sum(x, axis=0), axis=0))", "mix queries"),
    ("multiply(x, sum(sum(x, axis=1), axis=0))", "mix queries"),
    ("softmax(x, axis=0)", "mix queries"),
    ("log_softmax(x, axis=0)", "mix queries"),
    ("transpose(softmax(transpose(x), axis=1))", "mix queries"),
    ("matmul(x, matmul(transpose(x), x))", "mix queries"),
    ("matmul(matmul(x, transpose(x)), x)", "relate queries"),
    ("multiply(x, matmul(transpose(x), sum(x, axis=1)))", "mix queries"),
    ("multiply(x, matmul(sum(x, axis=1), x))", "mix queries"),
    ("multiply(x, matmul(sum(x, axis=1), sum(x, axis=1)))", "mix queries"),
    ("matmul(identity(x, axis=0), x)", "relate queries"),
    ("solve(identity(x, axis=0), x)", "relate queries"),
    ("transpose(solve(matmul(transpose(x), x), transpose(x)))", "mix queries"),
    ("grad(w)", "for adapt only"),
    ("multiply(x, y)", "no value is called 'y'"),
]


@pytest.mark.parametrize(("expression", "words"), MIXING)
def test_a_prediction_that_would_see_other_queries_is_refused(expression: str, words: str) -> None:
    body = f"return matmul({expression}, transpose(w))"
    with pytest.raises(ProgramError, match=words):
        check(MEANS + PREDICT.format(body))


@pytest.mark.parametrize(
    ("expression", "words"),
    [(e, w.replace("queries", "examples")) for e, w in MIXING if "grad" not in e and "y)" not in e],
)
def test_an_embedding_that_would_see_other_examples_is_refused(expression: str, words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        check(EMBED.format(f"return {expression}") + MEANS + LINEAR)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def embed_map(x, y): return multiply(x, sum(y, axis=1))\n", r"a Vec\[D\] needs axis=0"),
        (ADAPT.format("return logits"), "no value is called 'logits'"),
        (ADAPT.format("return query"), "no value is called 'query'"),
        ("def adapt(x, y, q): return q\n", "got 3 parameters"),
        ("def predict(x, w, y): return multiply(matmul(x, transpose(w)), y)\n", "2 parameters"),
        ("def predict(y, w): return y\n", r"expected to return Mat\[Q,C\], got Mat\[Q,D\]"),
        ("def meta_loss(logits, y): return logits\n", "expected to return Scalar"),
    ],
)
def test_query_labels_cannot_be_named(text: str, words: str) -> None:
    slot = text.split("(")[0].removeprefix("def ")
    usual = {"adapt": MEANS, "predict": LINEAR}
    with pytest.raises(ProgramError, match=words):
        check(text + "".join(v for k, v in usual.items() if k != slot))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=12)
def test_no_prediction_depends_on_other_queries_or_on_query_labels(
    random_program: Callable[[int], Program],
    random_episodes: Callable[..., EpisodeBatch],
    run: Run,
    seed: int,
) -> None:
    """Exactly: other queries are replaced, and labels removed, without the last bit changing."""
    typed = infer_types(random_program(seed))
    episodes = random_episodes(seed)
    logits = run(typed, episodes)
    for place in (0, 5):
        shape, rng = episodes.query.features.shape, torch_stream(seed, "others")
        others = 9 * torch.randn(shape, generator=rng, dtype=torch.float64)
        others[:, place] = episodes.query.features[:, place]
        no_labels = torch.zeros_like(episodes.query.targets)
        changed = replace(episodes.query, inputs=others, targets=no_labels)
        again = run(typed, EpisodeBatch(episodes.support, changed))
        assert torch.equal(again[:, place].nan_to_num(), logits[:, place].nan_to_num())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs the slot 'adapt'"),
        (MEANS, "needs the slot 'predict'"),
        (MEANS + "def predict(x): return x\n", "expected 2 parameters, as adapt returns 1 values"),
        (MEANS + PREDICT.format("return x"), r"predict: expected to return Mat\[Q,C\], got Mat"),
        (ADAPT.format("return add(x, y)") + LINEAR, r"adapt: in `a = add\(x, y\)`"),
        (ADAPT.format("return grad(x, y)") + LINEAR, "grad takes a whole state"),
        (ADAPT.format("return grad(x, wrt=1)") + LINEAR, "wrt=1 is none of the 1 values"),
        (ADAPT.format("return grad()") + LINEAR, "wrt=0 is none of the 0 values"),
        (ADAPT.format("return vector(x)") + LINEAR, "'vector' takes one number"),
        (
            MEANS + LINEAR + "def meta_loss(logits, y): return mean(vector(1.0), axis=0)\n",
            "'vector' is for adapt and embed_map and predict only",
        ),
        (MEANS + LINEAR + EMBED.format("return transpose(x)"), "embed_map: expected to return"),
        (MEANS + LINEAR + EMBED.format("return x, x"), r"got Mat\[N,D\], Mat\[N,D\]"),
    ],
)
def test_programs_without_types_are_refused(text: str, words: str) -> None:
    with pytest.raises(ProgramError, match=words) as caught:
        check(text)
    assert "\n" not in str(caught.value)


def test_the_state_may_hold_the_support() -> None:
    """Attention on the support: nearest neighbours are within the language."""
    typed = check(
        ADAPT.format("return x, y")
        + "def predict(x, w, v):\n"
        + "    return matmul(softmax(matmul(x, transpose(w)), axis=1), v)\n"
    )
    assert [str(t) for t in typed.state_types] == ["Mat[S,D]", "Mat[S,C]"]


def test_constants_are_numbered_in_the_order_of_the_printed_text() -> None:
    typed = check(
        ADAPT.format("return multiply(2.0, matmul(transpose(y), multiply(x, vector(3.0))))")
        + PREDICT.format("return multiply(5.0, matmul(x, transpose(w)))")
    )
    assert [(c.name, c.initial, c.is_vector) for c in typed.constants] == [
        ("program.adapt.0", 3.0, True),
        ("program.adapt.1", 2.0, False),
        ("program.predict.0", 5.0, False),
    ]


def test_gradient_steps_cost_more_than_what_they_differentiate() -> None:
    sizes = {"S": 25, "Q": 75, "C": 5, "D": 64}
    plain = check(MEANS + LINEAR).cost(sizes)
    stepping = check(ADAPT.format("return grad(matmul(transpose(y), x))") + LINEAR).cost(sizes)
    assert stepping > plain + 2 * 25 * 5 * 64


def test_a_loss_alone_has_types() -> None:
    loss = infer_loss(
        parse("def inner_loss(logits, y): return mean(mean(logits, axis=0), axis=0)"), "inner_loss"
    )
    assert loss is not None
    assert infer_loss(parse(MEANS), "inner_loss") is None
    with pytest.raises(ProgramError, match="expected to return Scalar"):
        infer_loss(parse("def inner_loss(logits, y): return logits"), "inner_loss")
