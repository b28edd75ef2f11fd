"""Views of inputs: what each one is, on vectors and images, and wrong names."""

from __future__ import annotations

import pytest
import torch

from metaloop.core.errors import MetaloopError, UnknownNameError
from metaloop.core.inputs import InputFormat
from metaloop.core.views import VIEWS, checked_view, restored, seen

VECTORS = InputFormat("vector", (3,), (1.0, -2.0, 100.0), (2.0, 0.5, 30.0))
IMAGES = InputFormat("image", (2, 4, 4), (0.3, 0.6), (0.2, 0.1))
INPUTS = {
    "vector": torch.tensor([[3.0, -1.0, 40.0], [0.0, 2.0, 130.0]]),
    "image": torch.rand(5, 2, 4, 4, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("form", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_unit_is_the_direction_from_the_mean_of_the_training_classes(form: InputFormat) -> None:
    inputs = INPUTS[form.kind]
    view = seen(inputs, form, "unit")
    mean = torch.tensor(form.mean).view(-1, *(1,) * (len(form.shape) - 1))
    centred = (inputs - mean).flatten(1)
    assert view.shape == inputs.shape
    torch.testing.assert_close(view.flatten(1), centred / centred.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("form", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_every_view_can_be_had_from_standardised_inputs(form: InputFormat) -> None:
    inputs = INPUTS[form.kind]
    assert torch.equal(seen(inputs, form, "raw"), inputs)
    assert torch.equal(seen(inputs, form, "standardised"), form.normalise(inputs))
    for view in VIEWS:
        again = restored(form.normalise(inputs), form, view)
        torch.testing.assert_close(again, seen(inputs, form, view), rtol=1e-5, atol=1e-5)


def test_an_input_at_the_very_mean_has_no_direction_and_no_accident() -> None:
    assert torch.equal(seen(torch.tensor([VECTORS.mean]), VECTORS, "unit"), torch.zeros(1, 3))


def test_a_view_does_not_depend_on_what_else_is_in_the_batch() -> None:
    inputs = INPUTS["vector"]
    for view in VIEWS:
        assert torch.equal(seen(inputs, VECTORS, view)[1:], seen(inputs[1:], VECTORS, view))


def test_wrong_names_are_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'standardised'"):
        checked_view("standardized")
    with pytest.raises(MetaloopError, match="one of raw, standardised, unit, got 3"):
        checked_view(3)
