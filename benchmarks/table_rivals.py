"""Methods that choose and train within CPU-seconds, for tables.py: `METHODS` by name.

Each takes what is `Given`, and returns the classes of the test rows and the CPU-seconds it used.
Who keeps time by a clock (FLAML, `metaloop select`) sees that of the process's CPU here, so that
all can be measured on a busy machine; all compute in this process, on one thread, and what loading
their libraries takes is nobody's. A method may use more than it was given by what its last step
took; what it used is written down. `metaloop rule` is the rule of `selection/` on plain
scikit-learn; `metaloop select` what users have. Random search and Optuna may decide for balanced
accuracy as well: of either decision, a candidate has the better one.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.model_selection import StratifiedKFold
from table_data import EIGHT, INNER, DataSet, learner, offered, probabilities

from metaloop.core.randomness import numpy_stream
from metaloop.estimators.automatic import AutoClassifier
from metaloop.executors.in_process import InProcess
from metaloop.jobs.tabular import table_works
from metaloop.selecting.tabular import beliefs, running
from metaloop.selection.ensembling import (
    balanced_error,
    best_power,
    class_shares,
    decide,
    greedy_weights,
    row_weights,
    tempered,
)
from metaloop.selection.prior import Prior
from metaloop.selection.shrinkage import next_to_try, noise_of_rate, posterior

Result = tuple[np.ndarray, float]
_BAGS = 10
_RACE_FOLDS = 3


@dataclass(frozen=True)
class Given:
    """What every method is given: rows, seconds, a prior derived without this data set, a seed."""

    data_set: DataSet
    train: np.ndarray
    test: np.ndarray
    seconds: float
    prior: Prior
    seed: int

    @property
    def inputs(self) -> np.ndarray:
        """The rows to learn from."""
        return np.asarray(self.data_set.inputs[self.train])

    @property
    def targets(self) -> np.ndarray:
        """Their classes."""
        return np.asarray(self.data_set.targets[self.train])

    @property
    def asked(self) -> np.ndarray:
        """The rows whose classes are to be told."""
        return np.asarray(self.data_set.inputs[self.test])


def metaloop_rule(given: Given) -> Result:
    """Pipelines in the order of what they should gain per second, then a greedy average."""
    start = time.process_time()
    inputs, targets = given.inputs, given.targets
    rows, count = len(targets), given.data_set.num_classes
    shares = class_shares(targets, count)
    weights = row_weights(targets, shares)
    names = [name for name in offered(count) if name in given.prior.names]
    prior = given.prior.only(names)
    known: dict[str, tuple[float, float]] = {}
    outs: dict[str, np.ndarray] = {}
    tests: dict[str, np.ndarray] = {}
    slower = 1.0
    while len(outs) < len(names):
        left = given.seconds - (time.process_time() - start)
        guess = {
            name: (INNER + 1) * slower * prior.seconds.get(name, 0.2) * rows / 1000 + 0.01
            for name in names
            if name not in outs
        }
        able = {name: cost for name, cost in guess.items() if cost < left or not outs}
        if not able:
            break
        now = posterior(prior, known)
        chosen = next_to_try(now, able, prior.noise.own_share * noise_of_rate(0.2, rows), 0.0)
        if chosen is None:  # no better alone, but an average gains from what differs
            chosen = next(name for name in prior.portfolio if name in able)
        began = time.process_time()
        out, mean = _cross_validated(chosen, given.seed, inputs, targets, given.asked, count)
        power = best_power(out, targets)
        outs[chosen], tests[chosen] = tempered(out, power), tempered(mean, power)
        slower *= ((time.process_time() - began) / guess[chosen]) ** 0.3
        error = float((decide(outs[chosen], shares) != targets) @ weights)
        known[chosen] = (error, noise_of_rate(error, rows))
    chances = posterior(prior, known).chances(only_tried=True)
    weights_of = greedy_weights(
        np.stack(list(outs.values())),
        targets,
        shares,
        start=np.array([2 * chances[name] for name in outs]),
        bags=_BAGS,
        seed=given.seed,
    )
    average = np.tensordot(weights_of, np.stack(list(tests.values())), 1)
    return decide(average, shares), time.process_time() - start


def metaloop_select(given: Given) -> Result:
    """`AutoClassifier`, the race of `metaloop select`, with this prior in place of the shipped one.

    Its budget is of wall seconds and its jobs go to a worker process: here the clock is that of the
    CPU, and jobs are done in this process, where none is ended for taking too long.
    """
    start = time.process_time()
    told = np.asarray(selected(given).predict(given.asked))
    return told, time.process_time() - start


def selected(given: Given, archive: Path | None = None) -> AutoClassifier:
    """Returns what `AutoClassifier` has fitted in the seconds of the CPU that are given."""
    made = AutoClassifier(
        budget=f"{given.seconds:g}s", workers=1, random_state=given.seed, archive=archive
    )
    with patch.object(beliefs, "load_prior", lambda kind: given.prior), clock_of_the_cpu():
        made.fit(given.inputs, given.targets)
    return made


@contextmanager
def clock_of_the_cpu() -> Iterator[None]:
    """Lets budgets of tables be of CPU-seconds, and their jobs be done in this process."""
    with (
        patch.object(running, "LocalPool", jobs_here),
        patch.object(time, "perf_counter", time.process_time),
    ):
        yield


def jobs_here(command: Sequence[str], workers: int) -> InProcess:
    """What would be done by worker processes, done here."""
    return InProcess(table_works(Path(command[-1])))


def plain_race(given: Given) -> Result:
    """The eight in turn, three folds each, as long as there is time; the best is trained again."""
    return _searched(given, iter([(name, None) for name in EIGHT]).__next__)


def random_search(given: Given) -> Result:
    """Random learners with random settings, three folds each; the best is trained again."""
    rng = numpy_stream(given.seed, "random search")

    def draw() -> tuple[str, Mapping[str, Any]]:
        return _space(
            lambda low, high: float(np.exp(rng.uniform(np.log(low), np.log(high)))),
            lambda many: many[int(rng.integers(len(many)))],
        )

    return _searched(given, draw)


def optuna_search(given: Given) -> Result:
    """The same space searched by Optuna's tree-structured Parzen estimator, as it comes."""
    import optuna  # optional extra

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="minimize", sampler=optuna.samplers.TPESampler(seed=given.seed)
    )
    trials: list[Any] = []

    def draw() -> tuple[str, Mapping[str, Any]]:
        trial = study.ask()
        trials.append(trial)
        names = iter(f"p{place}" for place in range(20))
        kind = trial.suggest_categorical("kind", list(_KINDS))
        return _space(
            lambda low, high: trial.suggest_float(f"{kind} {next(names)}", low, high, log=True),
            lambda many: many[trial.suggest_int(f"{kind} {next(names)}", 0, len(many) - 1)],
            kind,
        )

    return _searched(given, draw, lambda error: study.tell(trials[-1], error))


def flaml_search(given: Given) -> Result:
    """FLAML's AutoML with the balanced error as its metric, one thread, and a clock of the CPU."""
    with patch.dict(sys.modules, {"ray": None}):  # FLAML breaks with a Ray that is newer than it
        from flaml import AutoML  # optional extra

    def metric(
        inputs: Any, targets: Any, estimator: Any, labels: Any, *others: Any, **more: Any
    ) -> tuple[float, dict[str, float]]:
        error = balanced_error(estimator.predict(inputs), np.asarray(targets))
        return error, {"error": error}

    start, clock = time.process_time(), time.time
    time.time = time.process_time
    try:
        made = AutoML()
        made.fit(
            given.inputs,
            given.targets,
            task="classification",
            time_budget=given.seconds,
            metric=metric,
            n_jobs=1,
            verbose=0,
            seed=given.seed,
        )
        told = np.asarray(made.predict(given.asked))
    finally:
        time.time = clock
    return told, time.process_time() - start


METHODS: Mapping[str, Callable[[Given], Result]] = MappingProxyType(
    {
        "metaloop rule": metaloop_rule,
        "metaloop select": metaloop_select,
        "plain race of eight": plain_race,
        "random search": random_search,
        "optuna": optuna_search,
        "flaml": flaml_search,
    }
)
_NEEDS = MappingProxyType({"optuna": "optuna", "flaml": "flaml"})


def missing(methods: Sequence[str]) -> list[str]:
    """Returns those of the methods whose library is not installed."""
    return [name for name in methods if name in _NEEDS and find_spec(_NEEDS[name]) is None]


def _cross_validated(
    name: str,
    seed: int,
    inputs: np.ndarray,
    targets: np.ndarray,
    test: np.ndarray,
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of training rows out of fold, and of test rows: half refit, half of folds."""
    made = learner(name, seed)
    out, mean = np.zeros((len(inputs), count)), np.zeros((len(test), count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for learned, told in StratifiedKFold(INNER, shuffle=True, random_state=1).split(
            inputs, targets
        ):
            made.fit(inputs[learned], targets[learned])
            out[told] = probabilities(made, inputs[told], count)
            mean += probabilities(made, test, count) / INNER
        made.fit(inputs, targets)
        return out, (mean + probabilities(made, test, count)) / 2


_KINDS = (
    "extra_trees",
    "random_forest",
    "hist_boosting",
    "logistic",
    "svm",
    "knn",
    "naive_bayes",
    "mlp",
)


def _space(
    real: Callable[[float, float], float],
    one_of: Callable[[Sequence[Any]], Any],
    kind: str | None = None,
) -> tuple[str, Mapping[str, Any]]:
    """A learner and its settings, drawn by these two."""
    kind = one_of(_KINDS) if kind is None else kind
    match kind:
        case "extra_trees" | "random_forest":
            return kind, {
                "n_estimators": one_of((50, 100, 200)),
                "max_features": one_of(("sqrt", 0.3, 0.6, None)),
                "min_samples_leaf": one_of((1, 2, 4, 8)),
                "class_weight": one_of((None, "balanced")),
            }
        case "hist_boosting":
            return kind, {
                "learning_rate": real(0.01, 0.5),
                "max_leaf_nodes": one_of((4, 8, 16, 31)),
                "max_iter": one_of((30, 60, 100, 200)),
                "min_samples_leaf": one_of((2, 5, 10, 20)),
                "class_weight": one_of((None, "balanced")),
            }
        case "logistic":
            return kind, {"C": real(0.01, 100.0), "class_weight": one_of((None, "balanced"))}
        case "svm":
            return kind, {
                "C": real(0.03, 300.0),
                "gamma": real(1e-3, 1.0),
                "class_weight": one_of((None, "balanced")),
            }
        case "knn":
            return kind, {
                "n_neighbors": one_of((1, 3, 5, 9, 15)),
                "weights": one_of(("uniform", "distance")),
                "p": one_of((1, 2)),
            }
        case "mlp":
            return kind, {
                "hidden_layer_sizes": (one_of((16, 64, 128)),),
                "alpha": real(1e-5, 1.0),
                "learning_rate_init": real(3e-4, 3e-2),
                "max_iter": 100,
            }
    return kind, {}


def _searched(
    given: Given,
    draw: Callable[[], tuple[str, Mapping[str, Any] | None]],
    tell: Callable[[float], object] = lambda error: None,
) -> Result:
    """Draws, cross-validates, and trains the best on all rows, all within the seconds."""
    start = time.process_time()
    inputs, targets = given.inputs, given.targets
    best: tuple[float, str, Mapping[str, Any] | None, float, bool] = (
        np.inf,
        EIGHT[0],
        None,
        0,
        False,
    )
    folds = list(StratifiedKFold(_RACE_FOLDS, shuffle=True, random_state=1).split(inputs, targets))
    count = given.data_set.num_classes
    shares = class_shares(targets, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while time.process_time() - start + best[3] / 2 < given.seconds:
            try:
                name, settings = draw()
            except StopIteration:
                break
            began, told = time.process_time(), np.zeros((2, len(targets)), int)
            made = learner(name, given.seed, settings)
            for learned, asked in folds:
                made.fit(inputs[learned], targets[learned])
                told[:, asked] = _decisions(made, inputs[asked], shares)
            plain, balanced = (balanced_error(each, targets) for each in told)
            error = min(plain, balanced)
            tell(error)
            if error < best[0]:
                cost = time.process_time() - began
                best = (error, name, settings, cost, balanced < plain)
        made = learner(best[1], given.seed, best[2]).fit(inputs, targets)
        chosen = _decisions(made, given.asked, shares)[int(best[4])]
        return chosen, time.process_time() - start


def _decisions(fitted: Any, inputs: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Classes `[2, rows]` as the library decides, and for balanced accuracy."""
    told = probabilities(fitted, inputs, len(shares))
    return np.stack([fitted.predict(inputs), decide(told, shares)])
