"""Examples, input formats and task maps."""

from __future__ import annotations

import pytest
import torch

from metaloop.core.examples import Examples, map_inputs
from metaloop.core.inputs import InputFormat
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks


def test_rows_of_padding_are_all_zero_in_one_hot() -> None:
    mask = torch.tensor([True, False, True])
    examples = Examples(torch.zeros(3, 2), torch.tensor([1, 1, 0]), mask, 3, True)
    assert examples.one_hot().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_inputs_are_mapped_alone_or_by_name() -> None:
    ones = torch.ones(2)
    assert torch.equal(map_inputs(torch.neg, ones), -ones)  # type: ignore[arg-type]
    both = map_inputs(torch.neg, {"a": ones, "b": 2 * ones})
    assert isinstance(both, dict)
    assert both["b"].tolist() == [-2, -2]


def test_bytes_become_floats_from_zero_to_one_and_vectors_stay() -> None:
    image = InputFormat("image", (2, 1, 1), (0.5, 0.25), (0.5, 0.125))
    floats = image.to_float(torch.tensor([[[[255]], [[51]]]], dtype=torch.uint8))
    assert floats.flatten().tolist() == pytest.approx([1.0, 0.2])
    normalised = image.normalise(floats)
    assert normalised.flatten().tolist() == pytest.approx([1.0, -0.4])
    vector = InputFormat("vector", (2,), (1.0, 2.0), (2.0, 4.0))
    assert vector.to_float(torch.tensor([[300.0, -1.0]])).tolist() == [[300.0, -1.0]]
    stacked = vector.normalise(torch.tensor([[[3.0, -2.0]]]))
    assert stacked.tolist() == [[[1.0, -1.0]]]


def test_task_maps_take_trees_and_agree() -> None:
    def function(inputs: dict[str, torch.Tensor], scale: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": (inputs["a"] * scale).sum(), "b": inputs["b"] + scale}

    stacked = {"a": torch.rand(4, 3), "b": torch.rand(4, 2)}
    scale = torch.rand(4)
    first = loop_over_tasks(function, stacked, scale)
    second = vmap_over_tasks(function, stacked, scale)
    for name in ("sum", "b"):
        torch.testing.assert_close(first[name], second[name])
    assert first["sum"].shape == (4,)
