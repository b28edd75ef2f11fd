"""Rediscovery: from blank programs and primitives, known learning algorithms are found again.

    .venv/bin/python benchmarks/rediscovery.py [--seconds 300] [--seed 0] [--only FITNESS]
        [--programs] [--json]

No program of the library is in the population: searches start from the blank program, whose logits
are all zero, and from random programs grown by types alone. They see cached embeddings: a small net
is trained as a classifier of glyphs for 200 steps; its features are turned by a random rotation,
which changes no inner product (without it, entry-by-entry tricks with the positive numbers of a
ReLU do as well as rules). Searches are on classes of `search`. Agreement is on classes of
`promotion`: 99.5 % of 300 episodes end a search, and 1,000 others give the figure of the table.

Two kinds of fitness:
    accuracy    of the program on the search episodes, and nothing else. A program is noted when it
                agrees with the rule on 99.5 % of the search episodes' predictions, which the search
                itself neither knows nor uses
    black box   how often the program predicts what the rule predicts on the search episodes

The rules: `normalised prototypes`, the largest cosine with a class mean; `ridge`, regression of
one-hot labels. In five-shot episodes ridge is more accurate, so accuracy leads there; in one-shot
episodes normalised prototypes are as good and shorter. The strength of ridge is a constant of the
rule: several are equally accurate (within 0.2 points on the search episodes), and which of them a
search ends with is chance. By accuracy, a program is compared with that one of these which it
agrees with most on the search episodes; the teacher of a black box has the strength that is most
accurate. A search begins anew with the next seed after 5,000 evaluations; `--seconds` is for each
line of the table. One process, one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue import build_learner, make_candidate, open_data
from metaloop.core.budget import Budget
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Choice, Part
from metaloop.core.statistics import mean_with_interval
from metaloop.engine.beginning import mean_feature
from metaloop.engine.evaluation import FeatureCache
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.programs.blank import blank_program, random_program
from metaloop.programs.checking import check
from metaloop.programs.evolution import Invented, Settings, Start, invent
from metaloop.programs.fitness import Features, Fitness, fitness
from metaloop.programs.inference import TypedProgram
from metaloop.programs.library import LIBRARY
from metaloop.programs.syntax import Program
from metaloop.tasks.episodes import Indices
from metaloop.tasks.family import ClassFamily, episode_list

WANTED = 0.99  # of the predictions on fresh episodes
NOTED = 0.995  # of the predictions on search episodes, before others are looked at
CHECK_EPISODES = 300  # of `promotion`, on which it is decided to stop
FRESH_EPISODES = 1000  # after those, looked at once: what is reported
SEARCH_EPISODES = 200
TRAINING_STEPS = 200
WIDTHS = (16, 32, 32, 16)
EVALUATIONS = 5000  # of one search, before the next seed
NUM_RANDOM = 30
SETTINGS = Settings(islands=4, population=32, tournament=5, tuned=0)
PRICES = {"accuracy": 0.002, "black box": 0.001}  # of a call: what a copy may cost to be exact
STRENGTHS = tuple(float(f"{s:.3g}") for s in np.geomspace(0.1, 1000, 49))

ALIKE = 0.002  # strengths whose accuracy is so near the best one's are the same rule

RIDGE = """
def adapt(x, y):
    products = matmul(x, transpose(x))
    return matmul(transpose(x), solve(add_diagonal(products, {strength}), y))

def predict(x, w):
    return matmul(x, w)
"""

LINES = (  # rule, fitness, shots of the episodes
    ("ridge", "accuracy", 5),
    ("normalised prototypes", "accuracy", 1),
    ("ridge", "black box", 5),
    ("normalised prototypes", "black box", 5),
)


@dataclass(frozen=True)
class Line:
    """What one line of the table reports."""

    rule: str
    fitness: str
    shots: int
    found: bool
    agreement: float
    ci95: float
    wall_seconds: float
    cpu_seconds: float
    searches: int
    evaluations: int
    accuracy: float
    rule_accuracy: float
    program: str


class Embeddings:
    """Features of a briefly trained net, rotated, as stacked episodes."""

    def __init__(self) -> None:
        family = open_data("glyphs").family
        assert isinstance(family, ClassFamily)
        spec = family.spec(5, 5)
        candidate = make_candidate("simpleshot", family.input_format, spec)
        candidate = replace(candidate, net=Choice("strided", {"widths": list(WIDTHS)}))
        learner = build_learner(candidate, family.input_format, "classification")
        assert isinstance(learner, EmbeddingLearner)
        steps = Budget(steps=TRAINING_STEPS)
        *_, trained = train(learner, family, candidate.plan, steps, spec, seed=0, evaluations=0)
        assert isinstance(trained, Finished)
        self.family = family
        self.cache = FeatureCache(learner, trained.meta_params)
        center = mean_feature(learner, trained.meta_params, family)
        width = len(center)
        gaussian = torch.randn(width, width, generator=torch_stream(0, "rotation"))
        self.rotation = torch.linalg.qr(gaussian).Q
        self.center = center @ self.rotation

    def features(self, part: Part, shots: int, episodes: int) -> Features:
        """Returns the first episodes of the frozen list of `part`."""
        listed = episode_list(self.family, part, self.family.spec(5, shots), episodes)

        def side(indices: Indices) -> Examples:
            rows = self.cache.features(
                self.family.store, indices.examples, self.family.input_format
            )
            labels, mask = torch.from_numpy(indices.labels), torch.from_numpy(indices.mask)
            return Examples(rows @ self.rotation, labels, mask, 5, not bool(mask.all()))

        return Features(EpisodeBatch(side(listed.support), side(listed.query)), self.center)


@dataclass(frozen=True)
class Version:
    """A rule with its constants, and what it predicts on the search episodes `[T, Q]`."""

    name: str
    program: TypedProgram
    predictions: Tensor

    def share(self, predictions: Tensor) -> float:
        """Returns the share of these predictions that are the rule's."""
        return float((predictions == self.predictions).float().mean())


def versions_of(rule: str, features: Features) -> list[Version]:
    """Returns the rule at its best strengths, what is most accurate on these episodes first."""
    programs = {rule: check(LIBRARY["cosine"].source)}
    if rule == "ridge":
        programs = {
            f"ridge ({strength:g})": check(RIDGE.format(strength=strength))
            for strength in STRENGTHS
        }
    measured = {name: _measured(program, features) for name, program in programs.items()}
    accuracies = {name: float(each.accuracy.mean()) for name, each in measured.items()}
    order = sorted(programs, key=lambda name: -accuracies[name])
    return [
        Version(name, programs[name], measured[name].predictions)
        for name in order
        if accuracies[name] >= accuracies[order[0]] - ALIKE
    ]


def _measured(program: TypedProgram, features: Features) -> Fitness:
    measured = fitness(program, features)
    assert measured is not None
    return measured


def accuracy_of(program: TypedProgram, features: Features) -> float:
    """Returns the mean accuracy on these episodes."""
    return float(_measured(program, features).accuracy.mean())


def agreement(program: TypedProgram, rule: TypedProgram, features: Features) -> np.ndarray:
    """Returns the share of equal predictions of every episode."""
    ours, theirs = _measured(program, features), _measured(rule, features)
    return (ours.predictions == theirs.predictions).float().mean(-1).double().numpy()


def first_programs(seed: int) -> Iterator[Start]:
    """Yields the blank program and random ones."""
    yield Start("blank", blank_program())
    rng = numpy_stream(seed, "random programs")
    for _ in range(NUM_RANDOM):
        yield Start("random", random_program(rng))


def rediscover(
    embeddings: Embeddings, rule: str, kind: str, shots: int, seconds: float, seed: int
) -> Line:
    """Searches until a program agrees with the rule on other episodes, or the time is up."""
    features = embeddings.features("search", shots, SEARCH_EPISODES)
    promotion = embeddings.features("promotion", shots, CHECK_EPISODES + FRESH_EPISODES)
    checking, fresh = promotion[:CHECK_EPISODES], promotion[CHECK_EPISODES:]
    versions = versions_of(rule, features)
    matched = teacher = versions[0]
    task = features
    if kind == "black box":
        versions, task = [teacher], features.labelled_by(teacher.predictions)
    settings = replace(SETTINGS, price=PRICES[kind])
    wall, cpu = time.perf_counter(), time.process_time()
    best_share, best_program = -1.0, blank_program()
    searches, evaluations, found = 0, 0, False
    while not found and time.perf_counter() - wall < seconds:
        number = seed + searches
        searches += 1
        last = 0
        for event in invent(
            task, first_programs(number), Budget(steps=EVALUATIONS), number, settings
        ):
            last = event.evaluations
            if isinstance(event, Invented) or time.perf_counter() - wall > seconds:
                break
            member = event.member
            shares = [version.share(member.fitness.predictions) for version in versions]
            share = max(shares)
            if share <= best_share:
                continue
            best_share, best_program = share, member.program
            matched = versions[shares.index(share)]
            if share < NOTED:
                continue
            agreed = agreement(check(member.program), matched.program, checking)
            found = bool(agreed.mean() >= NOTED)
            if found:
                break
        evaluations += last
    return _line(
        matched, kind, shots, found, best_program, fresh,
        (time.perf_counter() - wall, time.process_time() - cpu), (searches, evaluations),
    )  # fmt: skip


def _line(
    rule: Version,
    kind: str,
    shots: int,
    found: bool,
    program: Program,
    fresh: Features,
    seconds: tuple[float, float],
    counts: tuple[int, int],
) -> Line:
    typed = check(program)
    shares = mean_with_interval(agreement(typed, rule.program, fresh))
    return Line(
        rule=rule.name,
        fitness=kind,
        shots=shots,
        found=found and shares.value >= WANTED,
        agreement=shares.value,
        ci95=shares.ci95,
        wall_seconds=seconds[0],
        cpu_seconds=seconds[1],
        searches=counts[0],
        evaluations=counts[1],
        accuracy=accuracy_of(typed, fresh),
        rule_accuracy=accuracy_of(rule.program, fresh),
        program=str(program),
    )


def main() -> None:
    """Prints one line for each rule and fitness."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(PRICES), help="one kind of fitness")
    parser.add_argument("--programs", action="store_true", help="print what was found")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    embeddings = Embeddings()
    prepared = time.perf_counter() - start
    lines = []
    if not options.json:
        print(f"net trained and features cached in {prepared:.0f} s\n")
        print("| rule | fitness | episodes | agreement, 1,000 fresh | evaluations | s | CPU-s |")
        print("|---|---|---|---|---|---|---|")
    for rule, kind, shots in LINES:
        if options.only not in (None, kind):
            continue
        line = rediscover(embeddings, rule, kind, shots, options.seconds, options.seed)
        lines.append(line)
        if not options.json:
            share = f"{100 * line.agreement:.2f} +/- {100 * line.ci95:.2f} %"
            print(
                f"| {line.rule} | {kind} | 5-way {shots}-shot | {share} | {line.evaluations} in "
                f"{line.searches} | {line.wall_seconds:.0f} | {line.cpu_seconds:.0f} |",
                flush=True,
            )
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))
    elif options.programs:
        for line in lines:
            print(f"\n# {line.rule}, by {line.fitness}\n{line.program}")


if __name__ == "__main__":
    main()
