"""What all tests share: types checked at run time, quiet hypothesis, where the big data is.

`shared_data` is the folder of real data sets that some tests read: `METALOOP_SHARED_DATA`, or
`../shared/data` beside the repository. Tests that ask for it are skipped where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small nets and busy machines

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from metaloop.tasks.family import ClassFamily
    from metaloop.tasks.store import Reading

REPOSITORY = Path(__file__).resolve().parents[1]
LONG_TEST_SECONDS = 1800

# Every call in metaloop is checked against its annotations while tests run. The hook has to be in
# place before metaloop is imported. METALOOP_TYPECHECK=0 leaves it out: to see whether it is the
# reason of a failure, or for timings (it adds some microseconds to each call). Checked functions
# work under torch.func, but break the graph of torch.compile: a test that needs a whole graph
# runs its code in a fresh interpreter, where this hook is not.
if os.environ.get("METALOOP_TYPECHECK", "1") != "0":
    jaxtyping.install_import_hook("metaloop", "beartype.beartype")

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
