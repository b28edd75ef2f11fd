"""What predictions for a table are worth: metrics, higher is better, and the noise of each.

Of classes a prediction is a share for each, divided by how common the class is to a power, the
`lift`: for balanced accuracy a rare class is worth as much as a common one. Of numbers it is a value.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

LIFTS = (0.0, 0.5, 1.0)
_LEAST = 1e-7  # of a probability
_ROUNDING = 100 * np.finfo(np.float64).eps  # of a number, that a mean may be off by


@dataclass(frozen=True)
class TableMetric:
    """A metric: `of_rows(outputs, targets)` is `(value, half-width of the noise)`, in its own unit.

    `sign` -1: less is better. `lifts`: the powers that may be tried. `perfect` is its best value.
    """

    name: str
    for_classes: bool
    value: Callable[[np.ndarray, np.ndarray], float]
    deviation: Callable[[np.ndarray, np.ndarray], float]
    sign: int = 1
    lifts: tuple[float, ...] = (0.0,)


def _balanced(shares: np.ndarray, targets: np.ndarray) -> float:
    right = shares.argmax(1) == targets
    counts = np.bincount(targets)
    rates = np.bincount(targets, right) / np.maximum(1, counts)
    return float(rates[counts > 0].mean())


def _balanced_deviation(shares: np.ndarray, targets: np.ndarray) -> float:
    right = shares.argmax(1) == targets
    counts = np.bincount(targets)
    rates = (np.bincount(targets, right) + 0.5) / (counts + 1)
    there = counts > 0
    return float(np.sqrt((rates * (1 - rates) / np.maximum(1, counts))[there].sum()) / there.sum())


def _accuracy(shares: np.ndarray, targets: np.ndarray) -> float:
    return float((shares.argmax(1) == targets).mean())


def _accuracy_deviation(shares: np.ndarray, targets: np.ndarray) -> float:
    rate = ((shares.argmax(1) == targets).sum() + 0.5) / (len(targets) + 1)
    return float(np.sqrt(rate * (1 - rate) / len(targets)))


def _log_losses(shares: np.ndarray, targets: np.ndarray) -> np.ndarray:
    whole = np.maximum(_LEAST, shares)
    whole = whole / whole.sum(1, keepdims=True)
    return np.asarray(-np.log(whole[np.arange(len(targets)), targets]))


def _f1(shares: np.ndarray, targets: np.ndarray) -> float:
    told = shares.argmax(1)
    classes = np.unique(targets)
    both = np.array([2 * ((told == c) & (targets == c)).sum() for c in classes], float)
    sizes = np.array([(told == c).sum() + (targets == c).sum() for c in classes], float)
    return float((both / np.maximum(1, sizes)).mean())


def _auroc(shares: np.ndarray, targets: np.ndarray) -> float:
    """The area under the curve of each class against the others, their mean."""
    from scipy.stats import rankdata  # lazy: it takes a while to load

    areas = []
    for c in np.unique(targets):
        positive = targets == c
        many, few = int((~positive).sum()), int(positive.sum())
        if many and few:
            ranks = rankdata(shares[:, c])[positive].sum()
            areas.append((ranks - few * (few + 1) / 2) / (few * many))
    return float(np.mean(areas)) if areas else 0.5


def _of_means(losses: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., float]:
    def deviation(outputs: np.ndarray, targets: np.ndarray) -> float:
        found = losses(outputs, targets)
        return float(found.std() / np.sqrt(max(1, len(found))))

    return deviation


def _squares(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray((values - targets) ** 2)


def _rmse(values: np.ndarray, targets: np.ndarray) -> float:
    return float(np.sqrt(_squares(values, targets).mean()))


def _rmse_deviation(values: np.ndarray, targets: np.ndarray) -> float:
    squares = _squares(values, targets)
    root = np.sqrt(squares.mean())
    return float(squares.std() / np.sqrt(len(squares)) / (2 * root)) if root else 0.0


def _r2(values: np.ndarray, targets: np.ndarray) -> float:
    """The share of the variance that is told; where there is none 1 for the target itself, else 0.

    So scikit-learn has it, too.
    """
    squares, variance = float(_squares(values, targets).mean()), _variance(targets)
    return 1 - squares / variance if variance else float(squares == 0)


def _r2_deviation(values: np.ndarray, targets: np.ndarray) -> float:
    squares, variance = _squares(values, targets), _variance(targets)
    return float(squares.std() / np.sqrt(len(squares)) / variance) if variance else 0.0


def _variance(targets: np.ndarray) -> float:
    """The variance of targets, 0 where they differ by rounding alone."""
    variance = float(np.var(targets))
    return variance if variance > _rounding(targets) ** 2 else 0.0


def _rounding(targets: np.ndarray) -> float:
    """What targets that are alike may be off by from their mean."""
    return float(_ROUNDING * np.abs(targets).max(initial=0.0))


TABLE_METRICS: Mapping[str, TableMetric] = MappingProxyType(
    {
        one.name: one
        for one in (
            TableMetric("balanced_accuracy", True, _balanced, _balanced_deviation, lifts=LIFTS),
            TableMetric("accuracy", True, _accuracy, _accuracy_deviation),
            TableMetric("f1_macro", True, _f1, _balanced_deviation, lifts=LIFTS),
            TableMetric("auroc", True, _auroc, _balanced_deviation),
            TableMetric(
                "log_loss", True, lambda p, y: float(_log_losses(p, y).mean()),
                _of_means(_log_losses), sign=-1,
            ),
            TableMetric("rmse", False, _rmse, _rmse_deviation, sign=-1),
            TableMetric(
                "mae", False, lambda p, y: float(np.abs(p - y).mean()),
                _of_means(lambda p, y: np.abs(p - y)), sign=-1,
            ),
            TableMetric("r2", False, _r2, _r2_deviation),
        )
    }
)  # fmt: skip
USUAL_METRIC = MappingProxyType({True: "balanced_accuracy", False: "rmse"})


def lifted(shares: np.ndarray, common: np.ndarray, lift: float) -> np.ndarray:
    """Returns shares `[n, classes]` divided by how common classes are to a power, summing to 1."""
    if not lift:
        return shares
    found = shares / np.maximum(1e-12, common) ** lift
    return np.asarray(found / np.maximum(1e-300, found.sum(1, keepdims=True)))


def unit_of(metric: str, targets: np.ndarray) -> float:
    """Returns what errors in a metric are measured in: those of a constant answer, 1 for rates.

    It is 1 as well where all targets are alike.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if metric == "rmse":
            unit = float(np.std(targets))
        elif metric == "mae":
            unit = float(np.abs(targets - np.median(targets)).mean())
        else:
            return 1.0
    return unit if _rounding(targets) < unit < np.inf else 1.0
