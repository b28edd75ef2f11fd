"""A process that loads files from strangers, one a line of its input, and says what became of each.

An answer is one line of JSON: `refused` with the error's line, `answers` with a digest of what the
model predicts, or `bug` with what escaped. Memory is limited, so that a file that asks for too much
is found out and harms nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import traceback
import warnings
from pathlib import Path

MOST_BYTES = 6 * 2**30  # of address space: torch alone takes some of them


def answer(path: Path) -> dict[str, object]:
    """Returns what becomes of one file."""
    from metaloop.core.errors import MetaloopError

    try:
        digest = _archive(path) if path.suffix == ".sqlite" else _model(path)
    except MetaloopError as error:
        text = str(error)
        return {"refused": text} if "\n" not in text else {"bug": f"several lines: {text}"}
    except BaseException:
        return {"bug": traceback.format_exc()}
    return {"answers": digest}


def _model(path: Path) -> str:
    import torch

    from metaloop.catalogue.model import load_model
    from metaloop.estimators.files import task_from_file
    from metaloop.modelfile import read_model

    content = read_model(path)
    rng = torch.Generator().manual_seed(0)
    if content.kind == "adapted":
        task = task_from_file(content)
        outputs = task.outputs(_inputs(task.model.input_format, 4, rng))
    else:
        model = load_model(path)
        inputs = _inputs(model.input_format, 8, rng)
        ways = 2 if content.spec.objective == "classification" else 0
        targets = torch.arange(4) % 2 if ways else torch.zeros(4, *content.spec.target_shape)
        if _steps(model) > 50:
            return "takes long, as it says"
        outputs = model.predict(model.adapt(inputs[:4], targets, ways), inputs[4:])
    return hashlib.sha256(outputs.double().numpy().tobytes()).hexdigest()


def _inputs(input_format: object, number: int, rng: object) -> object:
    import torch

    shape = (number, *input_format.shape)  # type: ignore[attr-defined]
    if input_format.kind == "image":  # type: ignore[attr-defined]
        return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)  # type: ignore[call-overload]
    return torch.randn(shape, generator=rng)  # type: ignore[call-overload]


def _steps(model: object) -> int:
    learner = model.learner  # type: ignore[attr-defined]
    return max(getattr(learner, name, 0) for name in ("inner_steps", "num_steps", "num_iterations"))


def _archive(path: Path) -> str:
    import contextlib
    import io
    import shutil
    import tempfile

    from metaloop.archive import Archive
    from metaloop.cli import main

    with Archive.open(path, read_only=True) as archive:
        archive.candidates(), archive.trials(), archive.verdicts(), archive.openings()
    texts = []
    for verb in (["show"], ["report"], ["export", "--to", "csv"]):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(path, Path(folder) / "archive.sqlite")
            written = io.StringIO()
            with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
                try:
                    code = main([verb[0], folder, *verb[1:]])
                except SystemExit as stop:
                    code = stop.code
            if code not in (0, 2, None):
                raise AssertionError(f"{verb[0]} ended with {code}: {written.getvalue()[-500:]}")
            texts.append(f"{verb[0]} {code}")
    return ", ".join(texts)


def run() -> None:
    """Answers until the input ends."""
    warnings.simplefilter("ignore")
    import metaloop.estimators.files  # noqa: F401  everything is there before memory is limited

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF)
        said = answer(Path(line.rstrip("\n")))
        after = resource.getrusage(resource.RUSAGE_SELF)
        said["cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said["peak_kib"] = after.ru_maxrss - before.ru_maxrss
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    run()
