"""A page that runs the graphs of `export-model` in a browser: no server asks or learns anything.

onnxruntime-web is not part of metaloop: its files come from the folder `dist` of the npm package,
14 MB of WebAssembly, and are copied beside the graphs, so that nothing is loaded from elsewhere.
"""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path

from metaloop.core.errors import DataError, ModelFileError
from metaloop.core.sampler import Sampler
from metaloop.models.model import Model

RUNTIME = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
_PAGE = {"index.html": "browser.html", "browser.js": "browser.js", "style.css": "style.css"}


def browser_files(model: Model, runtime: Path) -> dict[str, bytes]:
    """Returns the files of the page and of the runtime, which is in this folder of npm's package.

    Raises `DataError` where it is not, and `ModelFileError` for a model that makes images: the page
    tells classes and values.
    """
    if isinstance(model.learner, Sampler):
        raise ModelFileError(
            f"'{model.candidate.learner.name}' makes images, the page of --browser tells classes "
            "and values; export it without, and draw with run.py or metaloop serve"
        )
    page = resources("metaloop.serve.page")
    found = {name: (page / own).read_bytes() for name, own in _PAGE.items()}
    for name in RUNTIME:
        try:
            found[name] = (runtime / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"'{runtime}' has no {name}; name the folder dist of npm's onnxruntime-web "
                "(npm install onnxruntime-web: node_modules/onnxruntime-web/dist)"
            ) from error
    return found
