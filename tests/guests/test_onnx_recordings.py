"""ONNX files as frozen encoders of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.views import encoder_of, view_of_encoder
from metaloop.core.errors import DataError

pytest.importorskip("onnx", reason="tests make ONNX files with onnx: pip install onnx")
pytest.importorskip("onnxruntime", reason="pip install 'metaloop[onnx]'")


def saved(path: Path, shape: tuple[Any, ...] = ("N", "samples"), times: bool = False) -> Path:
    """Writes a net whose features are the mean and the greatest of the samples, and returns it.

    With `times` its last output is `[N, T, 1]`, the samples as they are.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["samples"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("ReduceMax", ["samples"], ["most"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["mean", "most"], ["features"], axis=1),
        helper.make_node("Unsqueeze", ["samples", "last"], ["times"]),
    ]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 2])]
    if times:
        outputs.append(helper.make_tensor_value_info("times", TensorProto.FLOAT, ["N", "T", 1]))
    inputs = [helper.make_tensor_value_info("samples", TensorProto.FLOAT, shape)]
    last = numpy_helper.from_array(np.array([2]), "last")
    graph = helper.make_graph(nodes, "net", inputs, outputs, [last])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    path.write_bytes(made.SerializeToString())
    return path


def recordings() -> dict[str, Tensor]:
    """Three recordings of 4,000, 2,500 and 50 samples."""
    rng = torch.Generator().manual_seed(1)
    values = torch.randint(-9000, 9000, (3, 4000), generator=rng).to(torch.int16)
    return {"values": values, "mask": torch.arange(4000) < torch.tensor([[4000], [2500], [50]])}


def test_recordings_go_through_one_at_a_time_as_they_are(tmp_path: Path) -> None:
    encoder = open_backbone(f"onnx:{saved(tmp_path / 'net.onnx')}", takes="recordings")
    found = encoder.encode(recordings())
    assert (encoder.card.takes, encoder.card.features) == ("recordings", 2)
    samples = recordings()["values"][1, :2500].float() / 32768
    torch.testing.assert_close(found[1], torch.stack([samples.mean(), samples.max()]))
    short = recordings()["values"][2, :50].float() / 32768
    torch.testing.assert_close(found[2], torch.stack([short.sum() / 1600, short.max()]))
    some = {name: tensor[1:] for name, tensor in recordings().items()}
    assert torch.equal(encoder.encode(some), found[1:])
    assert encoder_of(view_of_encoder(encoder)).card == encoder.card


def test_a_fixed_length_is_the_middle_or_filled_up(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", (1, 3000))
    found = open_backbone(str(path), takes="recordings").encode(recordings())
    values = recordings()["values"].float() / 32768
    means = torch.stack([values[0, 500:3500].mean(), values[1, :2500].sum() / 3000])
    torch.testing.assert_close(found[:2, 0], means)


def test_of_an_output_over_times_the_mean_is_taken(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", times=True)
    found = open_backbone(f"onnx:{path}", takes="recordings").encode(recordings())
    named = open_backbone(f"onnx:{path}#features", takes="recordings").encode(recordings())
    torch.testing.assert_close(found[:2, 0], named[:2, 0])
    assert found.shape == (3, 1)


def test_what_takes_no_samples_is_refused_in_one_line(tmp_path: Path) -> None:
    for shape in (("N", 3, 8, 8), ("N",), (4, "samples"), (1, 10**9)):
        path = saved(tmp_path / "net.onnx", shape)
        with pytest.raises(DataError, match=r"takes no recordings|cannot be used") as error:
            open_backbone(f"onnx:{path}", takes="recordings")
        assert "\n" not in str(error.value)
    path = saved(tmp_path / "net.onnx")
    with pytest.raises(DataError, match="takes no images"):
        open_backbone(f"onnx:{path}")
    with pytest.raises(DataError, match="no output 'other'"):
        open_backbone(f"onnx:{path}#other", takes="recordings")
    with pytest.raises(DataError, match="takes recordings; choose another"):
        open_backbone(f"onnx:{path}", takes="recordings").encode(torch.zeros(2, 3))
