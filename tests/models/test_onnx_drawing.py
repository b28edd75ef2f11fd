"""Graphs of what makes images: the learner's own words with random numbers that are given."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.test_onnx import PICTURES, built, quick

from metaloop.catalogue.candidates import make_candidate
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec
from metaloop.models import Model
from metaloop.models.onnx_drawing import difference_of_drawing, drawing_of
from metaloop.models.onnx_export import check_exportable
from metaloop.models.onnx_noise import Given, drawn_noise, widths_of

_SMALL: dict[str, dict[str, Any]] = {
    "pixelcnn": {
        "channels": 6, "depth": 1, "head_width": 4, "reach": 2, "far": 1, "tile": 2, "margin": 1,
    },
    "set_vae": {"channels": 4, "width": 4, "depth_of_map": 2},
    "raw": {},
}  # fmt: skip
_STEPS = {"inner_steps": 1}


def model_of(name: str, levels: int, channels: int = 1) -> Model:
    """An untrained model of what makes small images, with a small net."""
    sides = (8, 7) if name == "blurred_mixture" else (4, 3)  # it moves images by a pixel
    scale = (0.5,) * channels
    inputs = InputFormat("image", (channels, *sides), scale, scale, levels=levels)
    spec = TaskSpec(0, 1, 2, inputs.shape, "generation", (levels,))
    candidate = make_candidate(name, inputs, spec)
    net = candidate.net
    candidate = replace(candidate, net=Choice(net.name, {**net.options, **_SMALL[net.name]}))
    if name.startswith("fomaml"):
        options = {**candidate.learner.options, **_STEPS}
        candidate = replace(candidate, learner=Choice(name, options))
    return built(candidate, inputs, spec)


def in_torch(model: Model) -> Any:
    """What runs the functions of which graphs are made, as graphs are run."""
    of = drawing_of(model)

    def run(name: str, given: Any) -> dict[str, Any]:
        tensors = {key: torch.as_tensor(each) for key, each in given.items()}
        with torch.no_grad():
            return {key: each.numpy() for key, each in of.functions[name](tensors).items()}

    return run


@pytest.mark.parametrize(("levels", "channels"), [(2, 1), (8, 3)])
@pytest.mark.parametrize("name", sorted(PICTURES))
def test_functions_of_a_graph_draw_and_score_as_the_learner_does(
    name: str, levels: int, channels: int
) -> None:
    model = model_of(name, levels, channels)
    check_exportable(model)
    assert difference_of_drawing(model, in_torch(model)) < 1e-3


def test_a_runner_that_draws_otherwise_or_says_no_number_is_noticed() -> None:
    model = model_of("blurred_mixture", 2)
    run = in_torch(model)

    def wrong(function: str, given: Any) -> Any:
        found = run(function, given)
        return {"drawn": found["drawn"].round() * 0.99} if function == "draw" else found

    def none(function: str, given: Any) -> Any:
        found = run(function, given)
        return {"outputs": found["outputs"] * math.nan} if function == "score" else found

    assert difference_of_drawing(model, wrong) > 1e-3
    assert math.isnan(difference_of_drawing(model, none))


def test_given_numbers_stand_for_those_of_torch() -> None:
    rng, weights = torch.Generator(), torch.tensor([0.2, 0.5, 0.3])

    def drawn() -> list[torch.Tensor]:
        number = count["of"]
        return [
            torch.rand(number, 2, generator=rng),
            torch.empty(number * 3, 2).normal_(generator=rng),
            torch.randint(4, (number,), generator=rng),
            torch.multinomial(weights, number, replacement=True, generator=rng),
        ]

    count = {"of": 1}
    assert widths_of(drawn) == {"normal": 6, "uniform": 4}
    count["of"] = 10_000
    noise = drawn_noise({"normal": 6, "uniform": 4}, 10_000, torch.Generator().manual_seed(0))
    with Given(noise):
        uniform, normal, whole, chosen = drawn()
    assert torch.equal(uniform, noise["uniform"][:, :2])
    assert torch.equal(normal.view(10_000, 6), noise["normal"])
    np.testing.assert_allclose(whole.bincount() / 10_000, [0.25] * 4, atol=0.02)
    np.testing.assert_allclose(chosen.bincount() / 10_000, weights, atol=0.02)


_EXPORT = """
import sys
from pathlib import Path
import torch
sys.path[:0] = [{tests!r}]
torch.set_num_threads(1)
from tests.models.test_onnx_drawing import model_of
from metaloop.models.onnx_export import export_onnx

model = model_of({name!r}, {levels})
print(export_onnx(model, Path("graphs")).difference)
"""
_RUN = (
    "import runpy, sys; sys.argv = ['run.py', {}];"
    "runpy.run_path('graphs/run.py', run_name='__main__');"
    "assert not {{'torch', 'metaloop'}} & set(sys.modules)"
)


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=quick())
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize(("name", "levels"), [("fomaml_pixelcnn", 4), ("set_vae", 2)])
def test_graphs_and_their_runner_draw_without_torch(
    name: str, levels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason="metaloop[onnx]")
    monkeypatch.chdir(tmp_path)
    tests = str(__file__).rpartition("/tests/")[0]
    # in a fresh interpreter: checked functions take no sizes that are only symbols
    told = _python(_EXPORT.format(tests=tests, name=name, levels=levels))
    assert float(told) <= 1e-3
    manifest = json.loads(Path("graphs/manifest.json").read_text())
    assert manifest["draw"]["levels"] == levels and not manifest["classes"]

    support = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 3)).astype(np.uint8)
    np.save("support.npy", support)
    for seed, out in ((1, "a.npy"), (1, "b.npy"), (2, "c.npy")):
        words = ["draw", "support.npy", "--count", "9", "--seed", str(seed), "--out", out]
        _python(_RUN.format(str(words)[1:-1]))
    drawn, again, other = (np.load(file) for file in ("a.npy", "b.npy", "c.npy"))
    assert drawn.shape == (9, 1, 4, 3) and drawn.dtype == np.uint8
    assert set(np.unique(drawn)) <= {round(255 * k / (levels - 1)) for k in range(levels)}
    assert (drawn == again).all() and (drawn != other).any()

    scores = _python(_RUN.format("'score', 'support.npy', 'a.npy'")).split()
    model = model_of(name, levels)
    state = model.adapt(torch.from_numpy(support), torch.zeros(3, levels), 0)
    expected = model.predict(state, torch.from_numpy(drawn))[:, 0].numpy()
    tolerance = 1e-3 if model.learner.exact else 0.2  # type: ignore[attr-defined]  # other noise
    np.testing.assert_allclose([float(score) for score in scores], expected, atol=tolerance)
