"""What is written is read back equal, and equal models are equal files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from metaloop.core.errors import ModelFileError
from metaloop.modelfile import (
    ModelFile,
    file_hash,
    flatten_tensors,
    read_model,
    unflatten_tensors,
    write_model,
)

GOLDEN = Path(__file__).parent / "golden_version_1.zip"
TENSORS = ("weights", "support", "state")


def same(first: ModelFile, second: ModelFile) -> bool:
    """Whether two models are equal in every field and every bit."""
    for field in fields(ModelFile):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name not in TENSORS or one is None or other is None:
            if one != other:
                return False
        elif set(one) != set(other) or not all(
            one[name].dtype == other[name].dtype and torch.equal(one[name], other[name])
            for name in one
        ):
            return False
    return True


@pytest.mark.parametrize("which", ["learner", "adapted"])
def test_a_model_is_read_back_equal(
    tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(which)
    write_model(tmp_path / "model.metaloop", model)
    read = read_model(tmp_path / "model.metaloop")
    assert same(read, model)
    assert read.candidate.identity == model.candidate.identity


def test_equal_models_are_equal_files(tmp_path: Path, adapted: ModelFile) -> None:
    strided = {
        name: tensor.to(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
        for name, tensor in reversed(adapted.weights.items())
    }
    write_model(tmp_path / "a", adapted)
    write_model(tmp_path / "b", replace(adapted, weights=strided))
    write_model(tmp_path / "c", read_model(tmp_path / "a"))
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
    assert len({file_hash(tmp_path / name) for name in "abc"}) == 1


def test_a_file_of_version_1_is_read_and_written_as_ever(
    tmp_path: Path, adapted: ModelFile
) -> None:
    assert same(read_model(GOLDEN), adapted)
    write_model(tmp_path / "again", adapted)
    assert (tmp_path / "again").read_bytes() == GOLDEN.read_bytes()


def test_members_are_stored_in_order_and_readable_by_people(
    tmp_path: Path, adapted: ModelFile
) -> None:
    write_model(tmp_path / "model.metaloop", adapted)
    with zipfile.ZipFile(tmp_path / "model.metaloop") as archive:
        names = [info.filename for info in archive.infolist()]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        card = json.loads(archive.read("learner.json"))
    assert names == [
        "learner.json",
        "weights.safetensors",
        "support.safetensors",
        "state.safetensors",
    ]
    assert set(card["sha256"]) == set(names)
    assert (card["format_version"], card["metaloop_version"]) == (1, "0.1.0")
    assert card["candidate"]["plan"]["ways"] == 60


def test_tensors_of_any_layout_come_back_contiguous(tmp_path: Path, learner: ModelFile) -> None:
    whole = torch.arange(48.0).reshape(2, 3, 2, 4)
    weights = {
        "channels_last": whole.to(memory_format=torch.channels_last),
        "transposed": torch.arange(6).reshape(2, 3).T,
        "slice": whole[1:, :2],
        "shared": whole,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "scalar": torch.tensor(float("nan")),
    }
    write_model(tmp_path / "model.metaloop", replace(learner, weights=weights))
    read = read_model(tmp_path / "model.metaloop").weights
    for name, tensor in weights.items():
        assert torch.equal(torch.nan_to_num(read[name]), torch.nan_to_num(tensor))
        assert read[name].is_contiguous()
        assert not read[name].requires_grad
        assert read[name].data_ptr() % 16 == 0
        read[name].zero_()  # it can be written to
    assert whole[0, 0, 0, 1] == 1


@pytest.mark.parametrize("tensor", [torch.ones(2, dtype=torch.complex64), torch.eye(2).to_sparse()])
def test_tensors_that_the_format_cannot_hold_are_refused(
    tmp_path: Path, learner: ModelFile, tensor: torch.Tensor
) -> None:
    with pytest.raises(ModelFileError, match="'odd'"):
        write_model(tmp_path / "model.metaloop", replace(learner, weights={"odd": tensor}))
    assert list(tmp_path.iterdir()) == []


def test_a_black_box_has_no_weights_and_only_its_support(
    tmp_path: Path, adapted: ModelFile
) -> None:
    black_box = replace(adapted, weights={}, state=None, classes=())
    write_model(tmp_path / "model.metaloop", black_box)
    assert same(read_model(tmp_path / "model.metaloop"), black_box)


def test_what_does_not_fit_together_is_no_model(learner: ModelFile) -> None:
    with pytest.raises(ValueError, match="needs its task state"):
        replace(learner, kind="adapted")
    with pytest.raises(ValueError, match="of its own"):
        replace(learner, state={})


def test_nested_states_are_made_flat_and_nested_again() -> None:
    nested = {
        "head": {"weight": torch.ones(2), "inner": {"a.b": torch.zeros(1)}},
        "n": torch.ones(1),
    }
    flat = flatten_tensors(nested)
    assert list(flat) == ["head/weight", "head/inner/a.b", "n"]
    assert unflatten_tensors(flat) == nested
    with pytest.raises(TypeError, match=r"head/bias is a float"):
        flatten_tensors({"head": {"bias": 1.0}})
    with pytest.raises(ValueError, match="contains"):
        flatten_tensors({"a/b": torch.ones(1)})
