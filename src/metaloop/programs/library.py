"""Known learning algorithms as programs: where a search may start, and what it must rediscover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from metaloop.core.errors import unknown_name


@dataclass(frozen=True)
class LibraryProgram:
    """A program's text, what it is in one line, and where it was published."""

    source: str
    summary: str
    paper: str


_MEANS = """
def adapt(x, y):
    sums = matmul(transpose(y), x)
    counts = sum(y, axis=0)
    return divide(sums, counts, axis=0)
"""

_DISTANCES = """
def predict(x, w):
    products = multiply(2.0, matmul(x, transpose(w)))
    lengths_w = sum(square(w), axis=1)
    lengths_x = sum(square(x), axis=1)
    closeness = subtract(subtract(products, lengths_w), lengths_x, axis=0)
    return multiply({scale}, closeness)
"""

_CENTRED = """
def embed_map(x, center):
    shifted = subtract(x, center)
    return divide(shifted, norm(shifted, axis=1), axis=0)
"""

_POWER = """
def embed_map(x, center):
    rooted = power(x, 0.5)
    return divide(rooted, norm(rooted, axis=1), axis=0)
"""

_COSINE = """
def predict(x, w):
    directions_w = divide(w, norm(w, axis=1), axis=0)
    directions_x = divide(x, norm(x, axis=1), axis=0)
    return multiply(10.0, matmul(directions_x, transpose(directions_w)))
"""

# A column of ones beside the features adds 1 to each product of two examples.
_RIDGE = """
def adapt(x, y):
    products = add(multiply(0.01, matmul(x, transpose(x))), 1.0)
    weights = solve(add_diagonal(products, 1.0), y)
    return matmul(transpose(x), weights), sum(weights, axis=0)

def predict(x, w, v):
    outputs = add(multiply(0.01, matmul(x, w)), v)
    return add(multiply(10.0, outputs), 0.0)
"""

# 2 w x - |w|^2 is the squared distance but for what is equal for all classes.
_STEPS = """
def adapt(x, y):
    means = divide(matmul(transpose(y), x), sum(y, axis=0), axis=0)
    w0 = multiply(10.0, means)
    v0 = multiply(-5.0, sum(square(means), axis=1))
    w1 = subtract(w0, multiply({rate}, grad(w0, v0, wrt=0)))
    v1 = subtract(v0, multiply(1.0, grad(w0, v0, wrt=1)))
    w2 = subtract(w1, multiply({rate}, grad(w1, v1, wrt=0)))
    v2 = subtract(v1, multiply(1.0, grad(w1, v1, wrt=1)))
    return w2, v2

def predict(x, w, v):
    return add(matmul(x, transpose(w)), v)

def inner_loss(logits, y):
    likelihood = sum(multiply(y, log_softmax(logits, axis=1)), axis=1)
    return negate(mean(likelihood, axis=0))
"""

LIBRARY: Mapping[str, LibraryProgram] = MappingProxyType(
    {
        "prototypes": LibraryProgram(
            _MEANS + _DISTANCES.format(scale=0.1),
            "nearest class mean (ProtoNet)",
            "Snell et al. 2017, arXiv:1703.05175",
        ),
        "cosine": LibraryProgram(
            _MEANS + _COSINE,
            "cosine similarity with class means",
            "Gidaris & Komodakis 2018, arXiv:1804.09458",
        ),
        "centred": LibraryProgram(
            _CENTRED + _MEANS + _DISTANCES.format(scale=10.0),
            "nearest class mean of centred unit vectors (SimpleShot)",
            "Wang et al. 2019, arXiv:1911.04623",
        ),
        "power": LibraryProgram(
            _POWER + _MEANS + _DISTANCES.format(scale=10.0),
            "nearest class mean after a power transform (PT)",
            "Hu et al. 2021, arXiv:2006.03806",
        ),
        "ridge": LibraryProgram(
            _RIDGE,
            "ridge regression of one-hot labels (R2D2)",
            "Bertinetto et al. 2019, arXiv:1805.08136",
        ),
        "gradient_step": LibraryProgram(
            _CENTRED + _STEPS.format(rate=5.0),
            "a linear head that starts from class means and takes gradient steps (Proto-MAML)",
            "Triantafillou et al. 2020, arXiv:1903.03096",
        ),
        "meta_sgd": LibraryProgram(
            _CENTRED + _STEPS.format(rate="vector(5.0)"),
            "the same with a learned rate for each feature and step (Meta-SGD)",
            "Li et al. 2017, arXiv:1707.09835",
        ),
    }
)


def library_program(name: str) -> LibraryProgram:
    """Returns the program of this name; raises `UnknownNameError` naming near matches."""
    if name not in LIBRARY:
        raise unknown_name("program", name, LIBRARY)
    return LIBRARY[name]
