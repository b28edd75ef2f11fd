"""A program printed as a module runs in a fresh interpreter and does what the interpreter does."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metaloop.core.randomness import torch_stream
from metaloop.programs.checking import check
from metaloop.programs.interpreter import (
    initial_constants,
    run_adapt,
    run_embed_map,
    run_predict,
)
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.standalone import standalone_module

# As many classes as examples, features and queries: names of axes decide, not sizes.
CLASSES, SHOTS, FEATURES, QUERIES = 5, 1, 5, 5
SCRIPT = """
import importlib, json, sys, torch
sys.path.insert(0, sys.argv[1])
given = json.load(open(sys.argv[1] + "/task.json"))
support, labels, queries, center = (torch.tensor(given[n]) for n in ("x", "y", "q", "center"))
outputs = {}
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    embed = getattr(module, "embed_map", lambda x, center: x)
    state = module.adapt(embed(support, center), labels)
    state = state if isinstance(state, tuple) else (state,)
    outputs[name] = module.predict(embed(queries, center), *state).tolist()
print(json.dumps(outputs))
"""


def test_the_modules_of_the_library_run_in_a_fresh_interpreter(tmp_path: Path) -> None:
    rng = torch_stream(0, "standalone")
    x = torch.randn(CLASSES * SHOTS, FEATURES, generator=rng)
    y = torch.eye(CLASSES).repeat(SHOTS, 1)
    q, center = torch.randn(QUERIES, FEATURES, generator=rng), torch.full((FEATURES,), 0.2)
    task = {"x": x, "y": y, "q": q, "center": center}
    text = json.dumps({name: tensor.tolist() for name, tensor in task.items()})
    (tmp_path / "task.json").write_text(text)
    for name in LIBRARY:
        module = standalone_module(check(library_program(name).source), name, "measured: nothing")
        (tmp_path / f"{name}_program.py").write_text(module)
    names = [f"{name}_program" for name in LIBRARY]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    for name in LIBRARY:
        typed = check(library_program(name).source)
        constants = initial_constants(typed, FEATURES)
        state = run_adapt(typed, constants, {}, run_embed_map(typed, constants, x, center), y)
        expected = run_predict(
            typed, constants, {}, run_embed_map(typed, constants, q, center), state
        )
        result = torch.tensor(outputs[f"{name}_program"])
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_docstring_has_title_measurement_and_usage(name: str) -> None:
    typed = check(library_program(name).source)
    measured = "+1.3 +/- 0.4 points over its parent (1,000 episodes, 5-way 1-shot)"
    tree = ast.parse(standalone_module(typed, "A rule", measured))
    docstring = ast.get_docstring(tree) or ""
    assert docstring.startswith("A rule")
    assert measured in docstring
    usage = docstring.split("Use:")[1].strip()
    assert usage.startswith("logits = predict(")
    assert "one_hot_labels" in usage
    ast.parse(usage)


def test_hostile_words_stay_in_the_docstring() -> None:
    hostile = 'end """\nimport os\nos.system("true")\n""" \\'
    text = standalone_module(check(library_program("cosine").source), hostile, hostile)
    kinds = {type(node) for node in ast.parse(text).body}
    assert kinds == {ast.Expr, ast.ImportFrom, ast.FunctionDef}


def test_a_default_inner_loss_is_written_out() -> None:
    text = library_program("gradient_step").source.split("def inner_loss")[0]
    module = standalone_module(check(text), "steps")
    assert "def inner_loss(logits, y):" in module
    assert "support_gradient(predict, inner_loss, x, y)" in module
