"""ONNX files as frozen encoders: their features, and one clear line for files that are none."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import metaloop
from metaloop.catalogue.backbones import open_backbone
from metaloop.cli import run as command
from metaloop.core.errors import DataError
from metaloop.modelfile.onnx_parts import has_other_files

onnx = pytest.importorskip("onnx", reason="tests make ONNX files with onnx: pip install onnx")
pytest.importorskip("onnxruntime", reason="pip install 'metaloop[onnx]'")


def model(
    outputs: tuple[str, ...] = ("features",),
    shape: tuple[Any, ...] = ("N", 3, 8, 8),
    weight: np.ndarray | None = None,
    operator: str = "Relu",
    domain: str = "",
    metadata: dict[str, str] | None = None,
) -> Any:
    """A net of one layer: `maps` [N, 4, h, w], `features` [N, 4] their means, and twice those."""
    from onnx import TensorProto, helper, numpy_helper

    if weight is None:
        weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "weight"], ["linear"]),
        helper.make_node(operator, ["linear"], ["maps"], domain=domain),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["features"]),
        helper.make_node("Add", ["features", "features"], ["double"]),
    ]
    shapes = {"maps": ["N", 4, "h", "w"], "features": ["N", 4], "double": ["N", 4]}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(weight, "weight")],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    helper.set_model_props(made, metadata or {})
    return made


def saved(made: Any, path: Path) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (70, 3, 8, 8), generator=torch.Generator().manual_seed(1)).byte()


def expected(images: Tensor, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    pixels = (images.float() / 255 - mean) / deviation
    return torch.nn.functional.conv2d(pixels, torch.from_numpy(weight)).relu().mean((2, 3))


PLAIN = {"mean": "0,0,0", "std": "1,1,1"}


def test_features_are_the_last_vector_or_the_one_that_is_named(
    images: Tensor, tmp_path: Path
) -> None:
    names = ("features", "double", "maps")
    path = saved(model(names, metadata=PLAIN), tmp_path / "net.onnx")
    right = expected(images)
    torch.testing.assert_close(open_backbone(f"onnx:{path}").encode(images), 2 * right)
    named = open_backbone(f"onnx:{path}#features")
    assert (named.card.features, named.card.size) == (4, 8)
    torch.testing.assert_close(named.encode(images), right)
    assert torch.equal(open_backbone(str(path)).encode(images), 2 * named.encode(images))
    assert named.encode(images[:0]).shape == (0, 4)


def test_cite_names_the_file(reading: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """With its hash and what ran it, though it has no paper."""
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    path = saved(model(metadata=PLAIN), tmp_path / "a_net.onnx")
    metaloop.train(
        reading, "simpleshot", backbone=f"onnx:{path}", budget="1steps", out=tmp_path / "m"
    )
    assert command(["cite", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    entry = next(each for each in printed.split("\n\n") if r"a\_net.onnx" in each)
    assert entry.startswith(f"@misc{{a-net-onnx-{digits},")
    for said in ("version = {onnxruntime ", "licence: unknown", f"SHA-256 {digits}"):
        assert said in entry


def test_images_are_prepared_as_the_file_says(images: Tensor, tmp_path: Path) -> None:
    told = {"mean": "0.5,0.5,0.5", "std": "0.25, 0.25, 0.25"}
    path = saved(model(metadata=told), tmp_path / "net.onnx")
    found = open_backbone(f"onnx:{path}").encode(images)
    torch.testing.assert_close(found, expected(images, 0.5, 0.25))
    usual = open_backbone(f"onnx:{saved(model(), tmp_path / 'usual.onnx')}").encode(images)
    assert not torch.allclose(usual, expected(images))
    for wrong in ("1,2", "a,b,c", "0,0,0"):
        path = saved(model(metadata={"std": wrong}), tmp_path / "wrong.onnx")
        with pytest.raises(DataError, match="three numbers"):
            open_backbone(f"onnx:{path}")


def test_the_side_counts_where_the_file_leaves_it_open(images: Tensor, tmp_path: Path) -> None:
    path = saved(model(shape=("N", 3, "h", "w"), metadata=PLAIN), tmp_path / "net.onnx")
    assert open_backbone(f"onnx:{path}").card.size == 224
    encoder = open_backbone(f"onnx:{path}@8")
    torch.testing.assert_close(encoder.encode(images), expected(images))
    fixed = saved(model(), tmp_path / "fixed.onnx")
    with pytest.raises(DataError, match="takes images of 8 pixels, 16 were asked for"):
        open_backbone(f"onnx:{fixed}@16")


def test_a_net_for_one_image_at_a_time_takes_many(images: Tensor, tmp_path: Path) -> None:
    path = saved(model(shape=(1, 3, 8, 8), metadata=PLAIN), tmp_path / "net.onnx")
    torch.testing.assert_close(open_backbone(f"onnx:{path}").encode(images), expected(images))


def test_a_net_exported_by_torch_is_the_same_net(images: Tensor, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.Flatten(), torch.nn.ReLU()).eval()
    open_sizes = {"images": {0: "N"}, "features": {0: "N"}}
    with warnings.catch_warnings():  # the exporter that needs no further package is an old one
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (torch.zeros(2, 3, 8, 8),), str(tmp_path / "net.onnx"), dynamo=False,
            input_names=["images"], output_names=["features"], dynamic_axes=open_sizes,
        )  # fmt: skip
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.inference_mode():
        right = net((images.float() / 255 - mean) / deviation)
    found = open_backbone(f"onnx:{tmp_path / 'net.onnx'}").encode(images)
    torch.testing.assert_close(found, right, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: model(("maps",)), r"no output \[N, D\] for features: maps \['N', 4"),
        (lambda: model(operator="Magic", domain="own.ops"), "cannot be used .*Magic"),
        (lambda: model(shape=("N", 1, 8, 8)), "cannot be used|takes no images"),
        (lambda: model(shape=("N", 3, 8)), "cannot be used|takes no images"),
        (lambda: model(shape=("N", 3, 8, 9)), "squares"),
        (lambda: model(shape=("N", 3, 1 << 20, 1 << 20)), "squares"),
        (lambda: model(weight=np.full((4, 3, 3, 3), np.nan, np.float32)), "not finite"),
        (lambda: model(weight=np.ones((4, 3, 9, 9), np.float32)), "cannot"),
    ],
)  # fmt: skip
def test_a_net_that_is_none_for_images_is_refused(made: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told) as error:
        open_backbone(f"onnx:{saved(made(), tmp_path / 'net.onnx')}")
    assert "\n" not in str(error.value)


def test_an_output_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = saved(model(), tmp_path / "net.onnx")
    with pytest.raises(DataError, match="has no output 'nothing'; it has features"):
        open_backbone(f"onnx:{path}#nothing")


def test_weights_in_other_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even those that lie where the program runs: a file may not make it read others."""
    made = model()
    onnx.save(
        made, str(tmp_path / "net.onnx"), save_as_external_data=True, location="weights.bin",
        size_threshold=0,
    )  # fmt: skip
    assert (tmp_path / "weights.bin").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="its weights are in other files"):
        open_backbone(f"onnx:{tmp_path / 'net.onnx'}")


def test_weights_in_other_files_are_found_wherever_they_hide() -> None:
    """In a constant, in a branch of it, in a function, in what it was trained with."""
    from onnx import TensorProto, helper

    outside = TensorProto(dims=[1], data_type=TensorProto.FLOAT, name="outside")
    outside.data_location = TensorProto.EXTERNAL
    constant = helper.make_node("Constant", [], ["c"], value=outside)
    inner = helper.make_graph([constant], "inner", [], [])
    branch = helper.make_node("If", ["x"], ["y"], then_branch=inner)
    sparse = helper.make_sparse_tensor(outside, outside, [1])
    function = helper.make_function("own", "f", [], ["c"], [constant], [])
    hidden = [
        helper.make_model(helper.make_graph([constant], "g", [], [])),
        helper.make_model(helper.make_graph([branch], "g", [], [])),
        helper.make_model(helper.make_graph([], "g", [], [], sparse_initializer=[sparse])),
        helper.make_model(helper.make_graph([], "g", [], []), functions=[function]),
    ]
    trained = helper.make_model(helper.make_graph([], "g", [], []))
    trained.training_info.add().algorithm.CopyFrom(inner)
    for made in [*hidden, trained]:
        assert has_other_files(made.SerializeToString())
    assert not has_other_files(model().SerializeToString())


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    whole = model().SerializeToString()
    for end in (0, 1, 10, len(whole) // 2, len(whole) - 3):
        (tmp_path / "net.onnx").write_bytes(whole[:end])
        with pytest.raises(DataError) as error:
            open_backbone(f"onnx:{tmp_path / 'net.onnx'}")
        assert "\n" not in str(error.value)


@settings(max_examples=40)
@given(st.data())
def test_whatever_bytes_are_exchanged_there_is_one_line_and_nothing_is_printed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(model(("features", "maps"), metadata=PLAIN).SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "exchanged.onnx"
    path.write_bytes(content)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            open_backbone(f"onnx:{path}")
        except DataError as error:
            printed.write("\n" if "\n" in str(error) else "")
    assert not printed.getvalue()


def test_a_file_of_10_gb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(DataError, match=r"has 10\.7 GB; an ONNX file has at most 2\.1 GB"):
        open_backbone(f"onnx:{tmp_path / 'net.onnx'}")
    with pytest.raises(DataError, match="No such file"):
        open_backbone("onnx:nowhere.onnx")
