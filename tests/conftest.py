"""What all tests share: types checked at run time, quiet hypothesis, where the big data is; one
finished run, and the contract of JSON as docs/json.md has it.

`shared_data` is the folder of real data sets that some tests read: `METALOOP_SHARED_DATA`, or
`../shared/data` beside the repository. Tests that ask for it are skipped where there is none.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small nets and busy machines

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.postgres import Server

    from metaloop.core.encoder import Encoder
    from metaloop.tasks.family import ClassFamily
    from metaloop.tasks.store import Reading

REPOSITORY = Path(__file__).resolve().parents[1]
LONG_TEST_SECONDS = 900  # the longest takes four minutes; one that hangs must not take CI along

# Every call in metaloop is checked against its annotations while tests run. The hook has to be in
# place before metaloop is imported. METALOOP_TYPECHECK=0 leaves it out: to see whether it is the
# reason of a failure, or for timings. Checked functions work under torch.func, but break the graph
# of torch.compile: a test that needs a whole graph runs its code in a fresh interpreter, where
# this hook is not.
if os.environ.get("METALOOP_TYPECHECK", "1") != "0":
    from tests.checked import check_calls

    check_calls("metaloop")

settings.register_profile(
    "metaloop",
    deadline=None,  # the first call of a torch operation is slow
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("metaloop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives tests marked `long` a long timeout, unless they name one."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TEST_SECONDS))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; skips the test where there is none."""
    named = os.environ.get("METALOOP_SHARED_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; METALOOP_SHARED_DATA=/path/to/data names them")
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL server; skips without PostgreSQL or psycopg."""
    from tests.postgres import Server

    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(autouse=True, scope="session")
def no_backbones_by_default() -> Iterator[None]:
    """Whatever is installed, `auto` offers nothing: a test that wants an encoder says so."""
    from metaloop.catalogue import offered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offered, "installed", lambda takes: ())
        yield


@pytest.fixture(scope="session")
def blocks() -> Encoder:
    """A real encoder of images, small and quick: mean colours of 4 x 4 blocks, mixed at random."""
    import torch
    from torch.nn import functional

    from metaloop.core.encoder import Encoder, EncoderCard

    class Blocks(Encoder):
        card = EncoderCard(
            "blocks", "images", 24, "b10c5" + 11 * "0", size=16, version="1", licence="CC0-1.0",
            knows="nothing", citation="@misc{blocks}",
        )  # fmt: skip
        seen = 0

        def encode(self, inputs: Any) -> torch.Tensor:
            self.seen += len(inputs)
            colours = inputs.float().expand(-1, 3, -1, -1) / 255
            means = functional.adaptive_avg_pool2d(colours, 4).flatten(1)
            mixing = torch.randn(48, 24, generator=torch.Generator().manual_seed(0))
            return (means - 0.5) @ mixing

    return Blocks()


@pytest.fixture(scope="session")
def working_torchvision() -> Iterator[None]:
    """Lets torchvision be imported beside a CPU torch.

    Its wheel on PyPI is one for CUDA, which declares operators that are not there then; timm and
    transformers import it. Two declared operators are enough, for nothing here calls them.
    """
    import importlib.util

    import torch

    if importlib.util.find_spec("torchvision") is None or torch.version.cuda:
        yield
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # a torchvision that works has it already
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Sets and lifts (None) a limit in bytes on files: a disk that is full for all but small ones.

    No bytecode is kept meanwhile: Python would write a part and later take it for the whole.
    """
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

    yield limit
    limit(None)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray cluster of one machine with two CPUs, to which this process is connected.

    A test adds others: each has a raylet, an object store and workers of its own. What metaloop's
    workers write on a machine is in a folder of this module's. While this process is connected, Ray
    tells on its stdout, at some later time, which machines were lost: no other module hears of it.
    """
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # of Ray's own
        patch.setenv("RAY_worker_niceness", "0")  # 15 by default: on a busy machine they starve
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", tempfile.gettempdir())  # names of sockets must be short
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("machines")))
        patch.setattr(tempfile, "tempdir", None)  # to be looked up again
        from ray.cluster_utils import Cluster

        from metaloop.executors.ray_cluster import connected

        head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80 << 20}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        with connected(cluster.address):
            yield cluster
        cluster.shutdown()


def make_reading(side: int = 8, shuffled: bool = False, seed: int = 0) -> Reading:
    """Returns 24 classes x 12 images; `shuffled`: labels mean nothing.

    Patterns that all classes share drown the prototypes: raw pixels do badly, nets can learn.
    """
    import numpy as np

    from metaloop.tasks.readers import read_arrays

    rng = np.random.default_rng(seed)
    prototypes = rng.normal(size=(24, 1, side, side))
    patterns = rng.normal(size=(4, side * side))
    nuisance = (rng.normal(size=(24 * 12, 4)) @ patterns).reshape(24, 12, side, side)
    images = prototypes + 1.5 * nuisance + 0.3 * rng.normal(size=(24, 12, side, side))
    labels = np.repeat(np.arange(24), 12)
    if shuffled:
        labels = rng.permutation(labels)
    pixels = np.clip(images.reshape(-1, side, side) * 14 + 128, 0, 255).astype(np.uint8)
    return read_arrays(pixels, labels, name="prototypes", polarity="as_is", image_size=side)


@pytest.fixture(scope="session")
def make() -> Callable[..., Reading]:
    """Makes readings: see `make_reading`."""
    return make_reading


@pytest.fixture
def reading() -> Reading:
    """Small images that nets can learn: see `make_reading`."""
    return make_reading()


@pytest.fixture(scope="session")
def family() -> ClassFamily:
    """The family of `reading`."""
    from metaloop.tasks.family import class_family

    return class_family(make_reading())[0]


@pytest.fixture(scope="session")
def easy_images() -> tuple[np.ndarray, np.ndarray]:
    """24 classes of 6 grey images of 16 pixels, easy to tell apart: images and labels."""
    rng = np.random.default_rng(1)
    patterns = np.kron(rng.integers(0, 255, (24, 1, 4, 4)), np.ones((4, 4)))
    images = np.clip(patterns + rng.normal(0, 40, (24, 6, 16, 16)), 0, 255).astype(np.uint8)
    return images.reshape(-1, 16, 16), np.repeat([f"class{number:02d}" for number in range(24)], 6)


@pytest.fixture(scope="session")
def learned_run(
    easy_images: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A finished run of `metaloop.learn` among quick learners, to look at and not to change."""
    from tests.once import once

    import metaloop
    from metaloop.loop.settings import Settings
    from metaloop.tasks.readers import read_arrays

    quick = Settings(learners=("nearest_centroid", "protonet", "simpleshot"))  # others take seconds
    reading = read_arrays(*easy_images, name="shapes", image_size=8, polarity="as_is")
    return once(
        tmp_path_factory,
        "learned",
        lambda place: metaloop.learn(
            reading, budget="30steps", workers=1, settings=quick, out=place / "run"
        ),
    )


_TABLE_ROW = re.compile(r"\| ([`*])([^`*]+)[`*] \|([^|]*)\|")
_KINDS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "map": lambda value: isinstance(value, dict),
    "label": lambda value: isinstance(value, str | int | float),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "count": lambda value: type(value) is int and value >= 0,
    "fraction": lambda value: isinstance(value, int | float) and 0 <= value <= 1 + 1e-9,
    "value": lambda value: isinstance(value, float | list),
}


class JsonContract:
    """The tables of docs/json.md; `check` compares what a verb printed with one of them."""

    def __init__(self, text: str) -> None:
        self.tables: dict[str, dict[str, str]] = {}
        for line in text.splitlines():
            if line.startswith("#"):
                name = line.lstrip("#").strip()
            elif found := _TABLE_ROW.match(line):
                kind = "" if found[1] == "*" else found[3].strip()  # "": all keys of that table
                self.tables.setdefault(name, {})[found[2]] = kind

    def check(self, name: str, value: Any) -> None:
        """Fails with all that differs, in keys and in kinds, both ways."""
        assert list(self._faults(name, value, name)) == []

    def _keys(self, name: str) -> dict[str, str]:
        keys: dict[str, str] = {}
        for key, kind in self.tables[name].items():
            keys |= {key: kind} if kind else self._keys(key)
        return keys

    def _faults(self, kind: str, value: Any, where: str) -> Iterator[str]:
        if kind.endswith(" or null") and value is None:
            return
        kind = kind.removesuffix(" or null")
        if kind.startswith("list of ") and isinstance(value, list):
            for place, item in enumerate(value):
                yield from self._faults(kind.removeprefix("list of "), item, f"{where}[{place}]")
        elif kind in self.tables and isinstance(value, dict):
            keys = self._keys(kind)
            yield from (f"{where}.{key} is not documented" for key in value.keys() - keys.keys())
            for key, wanted in keys.items():
                if key in value:
                    wanted = wanted.removesuffix(" (optional)")
                    yield from self._faults(wanted, value[key], f"{where}.{key}")
                elif not wanted.endswith(" (optional)"):
                    yield f"{where}.{key} is missing"
        elif kind not in _KINDS or not _KINDS[kind](value):
            yield f"{where} is {value!r}, no {kind}"


@pytest.fixture(scope="session")
def json_contract() -> JsonContract:
    """The contract of `--json`."""
    return JsonContract((REPOSITORY / "docs" / "json.md").read_text(encoding="utf-8"))
