"""One answer from many pipelines: greedy averages of what was trained anyhow, and the decision.

    average = sum_a weights[a] p_a,     decision = argmax_c  average[c] / share[c]

Weights are counts of greedy selection with replacement (Caruana et al., ICML 2004), by the log loss
of predictions that no pipeline was trained on, so that no pipeline is asked about rows it has seen.
Where the metric is balanced accuracy, every class weighs the same in that loss, and the class with
the largest ratio of probability to share is chosen: the best decision for balanced accuracy if
probabilities are right, and where most of a table is of one class, the larger part of the gain
(benchmarks/tables.py). Probabilities are tempered first: a margin of a machine is no probability.
Log loss, not accuracy, guides the choice: with 100 rows accuracy has 100 values, and ties decide.
"""

from __future__ import annotations

import numpy as np

from metaloop.core.randomness import numpy_stream

ROUNDS = 25
_FLOOR = 1e-3  # a probability of 0 would never be forgiven
_POWERS = np.array([0.2, 0.3, 0.45, 0.65, 0.8, 1.0, 1.25, 1.6, 2.2, 3.2, 5.0, 8.0])
_TINY = 1e-12


def class_shares(targets: np.ndarray, num_classes: int, balanced: bool = True) -> np.ndarray:
    """Returns the share of each class in the targets, or for a metric of rows all alike."""
    if not balanced:
        return np.full(num_classes, 1 / num_classes)
    counts = np.bincount(targets, minlength=num_classes)
    return np.asarray(np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum())


def row_weights(targets: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns what each row counts, of sum 1: the inverse of its class's share."""
    weights = 1 / shares[targets]
    return np.asarray(weights / weights.sum())


def best_power(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Returns the power of the probabilities `[rows, classes]` that has the least log loss."""
    logs = np.log(_floored(probabilities))
    rows = np.arange(len(targets))
    losses = [-np.log(_normal(power * logs)[rows, targets] + _TINY).mean() for power in _POWERS]
    return float(_POWERS[int(np.argmin(losses))])


def tempered(probabilities: np.ndarray, power: float) -> np.ndarray:
    """Returns probabilities `[.., classes]` to this power, none of them quite 0, of sum 1."""
    return _normal(power * np.log(_floored(probabilities)))


def greedy_weights(
    probabilities: np.ndarray,
    targets: np.ndarray,
    shares: np.ndarray,
    *,
    start: np.ndarray | None = None,
    rounds: int = ROUNDS,
    bags: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """Returns the weights `[pipelines]`, of sum 1, of an average of probabilities.

    `probabilities [pipelines, rows, classes]` are of rows that the pipelines were not trained on.
    `start [pipelines]` are counts that are given before the first round: what is expected of each.
    With several `bags` the weights are means over random halves of the pipelines, the best always
    among them. Raises `ValueError` for shapes that do not fit.
    """
    num_pipelines, num_rows, num_classes = probabilities.shape
    if targets.shape != (num_rows,) or shares.shape != (num_classes,):
        raise ValueError(
            f"probabilities {probabilities.shape} need {num_rows} targets and {num_classes} shares"
        )
    weights = row_weights(targets, shares)
    ratios = probabilities / shares
    own, total = ratios[:, np.arange(num_rows), targets], ratios.sum(axis=-1)
    counts = np.zeros(num_pipelines) if start is None else np.asarray(start, float)
    rng = numpy_stream(seed, "bags of pipelines")
    best = int((np.log(own / total + _TINY) @ weights).argmax())
    found = np.zeros(num_pipelines)
    for _ in range(bags):
        among = np.asarray(rng.random(num_pipelines) < (0.5 if bags > 1 else 1.0))
        among[best] = True
        found += _greedy(own, total, weights, counts, among, rounds)
    return np.asarray(found / found.sum())


def greedy_average(
    predictions: np.ndarray, targets: np.ndarray, *, rounds: int = ROUNDS
) -> np.ndarray:
    """Returns the weights `[pipelines]` of an average of numbers `[pipelines, rows]`.

    The same selection by the squared error: for regression.
    """
    counts, total = np.zeros(len(predictions)), np.zeros(predictions.shape[1])
    for done in range(rounds):
        errors = (((total + predictions) / (done + 1) - targets) ** 2).mean(axis=1)
        pick = int(errors.argmin())
        counts[pick] += 1
        total = total + predictions[pick]
    return np.asarray(counts / counts.sum())


def decide(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns the class `[rows]` whose probability is largest in proportion to its share."""
    return np.asarray((probabilities / shares).argmax(axis=-1))


def balanced_error(decisions: np.ndarray, targets: np.ndarray) -> float:
    """Returns the mean over classes, of those that occur, of the share of their rows got wrong."""
    wrong = decisions != targets
    return float(np.mean([wrong[targets == each].mean() for each in np.unique(targets)]))


def _greedy(
    own: np.ndarray,
    total: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    among: np.ndarray,
    rounds: int,
) -> np.ndarray:
    """Counts; `own` and `total [pipelines, rows]`: ratios of the true class, and of all classes.

    The log loss of an average needs no more of it than these two numbers.
    """
    counts = np.where(among, start, 0.0)
    sum_own, sum_total = counts @ own, counts @ total
    for _ in range(rounds):
        losses = -np.log((sum_own + own) / (sum_total + total) + _TINY) @ weights
        pick = int(np.where(among, losses, np.inf).argmin())
        counts[pick] += 1
        sum_own, sum_total = sum_own + own[pick], sum_total + total[pick]
    return counts


def _floored(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray((probabilities + _FLOOR) / (1 + _FLOOR * probabilities.shape[-1]))


def _normal(logs: np.ndarray) -> np.ndarray:
    raised = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
