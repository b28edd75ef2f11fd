"""Texts become tensors in a view that is fitted on training classes, measured, kept in the file."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.sights import seen_family
from metaloop.catalogue.views import VIEWS, fitted, seen
from metaloop.core.columns import Texts
from metaloop.core.errors import DataError, ModelFileError, UnknownNameError
from metaloop.core.fitted_view import FittedView
from metaloop.core.records import Choice
from metaloop.estimators import FewShotClassifier
from metaloop.modelfile import read_model, write_model
from metaloop.models import Trained, evaluate_model, load_model, open_for, train_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, Reading, Store

ABOUT = (
    "parcel invoice password refund delivery account card loan flight hotel luggage weather "
    "recipe oven garden tomato piano concert ticket museum dentist fever bicycle tyre"
)
SUBJECTS = ABOUT.split()
FRAMES = (
    "where is my {}", "please help me with the {}", "the {} does not work", "I lost my {}!",
    "tell me about {}s", "what does a {} cost", "cancel the {} now", "a question on {}",
)  # fmt: skip


@pytest.fixture(scope="module")
def reading() -> Reading:
    """Classes told apart by what they are about."""
    texts = [frame.format(subject) for subject in SUBJECTS for frame in FRAMES]
    targets = torch.arange(len(SUBJECTS)).repeat_interleave(len(FRAMES))
    classes = tuple(ClassInfo(f"about {subject}") for subject in SUBJECTS)
    return Reading("questions", "texts", Store(Texts.of(texts), targets, classes))


@pytest.fixture(scope="module")
def family(reading: Reading) -> ClassFamily:
    return class_family(reading)[0]


NO_GENSIM = pytest.mark.skipif(find_spec("gensim") is None, reason="pip install 'metaloop[gensim]'")
OF_TEXTS = [
    pytest.param(name, marks=[] if entry.offered else NO_GENSIM)
    for name, entry in VIEWS.items()
    if entry.takes == "texts"
]


@pytest.fixture(scope="module")
def trained(reading: Reading) -> Trained:
    *_, last = train_model(reading, "protonet", budget="20 steps", ways=4, shots=1, queries=5)
    assert isinstance(last, Trained)
    return last


@pytest.mark.parametrize("name", OF_TEXTS)
def test_a_view_is_made_of_training_texts_alone(family: ClassFamily, name: str) -> None:
    texts = list(family.store.inputs.take(torch.arange(len(family.store))))  # type: ignore[union-attr]
    for row in np.concatenate([family.labelled(p)[0] for p in ("search", "promotion", "test")]):
        texts[row] = "something else entirely"
    other = replace(family, store=replace(family.store, inputs=Texts.of(texts)))
    assert fitted(family, name).identity == fitted(other, name).identity


@pytest.mark.parametrize("name", OF_TEXTS)
def test_texts_are_seen_alike_alone_and_in_company(family: ClassFamily, name: str) -> None:
    view = fitted(family, name)
    together = seen(view, family.store.inputs)
    assert together.shape[0] == len(family.store)
    assert together[0].numel() == view.choice.options["features"]
    if together.dim() == 2:  # vectors, not words
        lengths = together.norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones(len(together)), atol=1e-3, rtol=0)
    (third,) = family.store.inputs.take(torch.tensor([2]))  # type: ignore[union-attr]
    assert torch.equal(seen(view, Texts.of([third]))[0], together[2])
    assert not seen(view, Texts.of(["", " \n "])).any()


def test_words_that_no_training_text_has_count_and_common_ones_count_less(
    family: ClassFamily,
) -> None:
    view = fitted(family, "words")
    new, same, unlike = seen(view, Texts.of(["the zeppelin", "the Zeppelin!", "the submarine"]))
    assert torch.equal(new, same)
    assert float(new @ unlike) < 0.5 < float(new @ seen(view, Texts.of(["zeppelin"]))[0])


def test_the_view_is_chosen_by_what_is_right_on_search(family: ClassFamily) -> None:
    best, told = seen_family(family)
    assert best.view is not None and best.raw is family.store
    assert best.view.choice.name in VIEWS
    assert "% on 'search' (other views: " in told
    asked, told = seen_family(family, "words")
    assert asked.view is not None and asked.view.choice.name == "words"
    with pytest.raises(UnknownNameError, match="characters"):
        seen_family(family, "charcters")


def test_a_view_is_refused_for_what_is_seen_as_it_is() -> None:
    with pytest.raises(DataError, match="seen as it is; leave --view away"):
        open_data("digits", DataOptions(view="words"))


def test_a_model_of_texts_learns_predicts_and_comes_back_from_its_file(
    trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "texts.metaloop"
    trained.model.save(path)
    assert read_model(path).view == trained.model.view.choice  # type: ignore[union-attr]
    model = load_model(path)
    X = ["open an account", "my account is closed", "play the piano", "a piano for sale"]
    y = ["bank", "bank", "music", "music"]
    asked = np.array(["the account", "piano?"], dtype=object)
    fitted_now = FewShotClassifier(model).fit(X, y)
    assert fitted_now.predict(asked).tolist() == ["bank", "music"]
    fitted_now.save(tmp_path / "adapted.metaloop")
    again = FewShotClassifier.load(tmp_path / "adapted.metaloop")
    np.testing.assert_array_equal(again.predict_proba(asked), fitted_now.predict_proba(asked))
    more = again.partial_fit(["boil the potato"], ["food"])
    assert more.predict(["potato"]).tolist() == ["food"]


def test_what_is_no_text_is_refused_in_one_line(trained: Trained) -> None:
    estimator = FewShotClassifier(trained.model)
    for X, message in (
        ([["a"], [1]], r"X\[0\] is a list"),
        ([1.5, 2.5], r"X\[0\] is a float \(1.5\); expected a list, array or column of strings"),
        ("abc", r"X is one text"),
        (np.zeros((2, 3)), r"got X as \[2, 3\]"),
        (["fine", "\ud800"], "half of a character"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, ["a", "b"])


def test_evaluation_knows_the_classes_again_by_their_texts(
    trained: Trained, reading: Reading
) -> None:
    renamed = tuple(ClassInfo(f"{place:02d}") for place in range(len(reading.store.classes)))
    shouted = [
        text.upper() + "!!" for text in reading.store.inputs.take(torch.arange(len(reading.store)))
    ]  # type: ignore[union-attr]
    store = replace(reading.store, inputs=Texts.of(shouted), classes=renamed)
    opened = open_for(trained.model, replace(reading, store=store))
    assert opened.recognised is not None
    assert opened.recognised.counts["unknown"] == 0
    assert opened.recognised.counts["train"] == len(trained.model.parts["train"])
    result = evaluate_model(trained.model, opened, shots=1, episodes=100)
    assert result.value > 0.5


def test_a_damaged_view_is_refused(trained: Trained, tmp_path: Path) -> None:
    content = trained.model.to_file()
    assert content.view is not None and content.assets is not None
    cases = (
        (replace(content, view=Choice("vowels", dict(content.view.options))), "'vowels', a view"),
        (replace(content, view=Choice("words", {"features": 10**9})), "1 to 2048 features"),
        (replace(content, view=Choice("words", {})), "no number of features"),
        (replace(content, assets={"idf": torch.zeros(1, 5)}), "'idf' are expected to be float32"),
        (replace(content, assets={}), "lack 'idf'"),
    )
    for place, (wrong, message) in enumerate(cases):
        path = tmp_path / f"{place}.metaloop"
        write_model(path, wrong)
        with pytest.raises(ModelFileError, match=message):
            load_model(path)


def test_a_view_is_the_same_by_its_content() -> None:
    one = FittedView(Choice("words", {"features": 4}), {"idf": torch.ones(1, 3)})
    assert one.identity == replace(one, assets={"idf": torch.ones(1, 3)}).identity
    assert one.identity != replace(one, assets={"idf": torch.zeros(1, 3)}).identity
