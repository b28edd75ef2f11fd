"""Summaries: extracts of a known source, of new topics, and of a source never seen.

    python benchmarks/summaries.py DATA known      SciTLDR-A and DialogSum, new topics of BBC
    python benchmarks/summaries.py DATA new        trained on two sources, five pairs of the third

DATA is a folder with scitldr_a, dialogsum_dev_test and bbc_news_summary. Scores are ROUGE F1 with
stemmer (what rouge-score says, see tests/core/test_rouge.py), in percent, the mean over documents;
SciTLDR counts the best of its references, DialogSum the mean of its three. The learner is the one
that is best on `search`, trained for so many steps with one seed; for a source never seen it is the
one that is best on sources left out in turn: trained on the others of those two, asked of documents
of `search` (the words that summaries have were counted on both). A task has five pairs of
documents that nothing is measured on; SUPPORTS of them are drawn, and a document's score is its
mean over these. The intervals are 95 % of 2,000 bootstrap samples: `docs` of documents, `both` of
documents and of supports. `no adaptation` is the best of the learners trained without it, `oracle`
the sentences whose ROUGE-1 is best together, as far as greed finds them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.summarised import document_family
from metaloop.core.budget import parse_budget
from metaloop.core.columns import Texts
from metaloop.core.examples import Examples
from metaloop.core.extracts import Length
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS, Choice, Part
from metaloop.engine.evaluation import evaluate
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers import read
from metaloop.tasks.readers.summaries import DOCUMENT, REFERENCES
from metaloop.tasks.store import ClassInfo, Reading, Store

SHOTS, SUPPORTS, BOOTSTRAPS, MOST_DOCUMENTS = 5, 10, 2000, 500
LEARNERS: Mapping[str, Mapping[str, bool | int]] = {  # and what keeps each from adapting
    "sentence_cover": {"adapts": False},
    "sentence_mixture": {"adapts": False},
    "sentence_ridge": {"adapts": False},
    "sentence_steps": {"inner_steps": 0},
}
PLAIN = ("lead", "textrank", "centroid", "longest")
METRICS = ("rouge1", "rouge2", "rougeL")
NEW_TOPICS = ("tech", "entertainment")


@dataclass(frozen=True)
class Source:
    """A data set, how long its extracts are and whether the best of several references counts."""

    name: str
    folder: str
    lengths: tuple[Length, ...]
    best: bool = False


SOURCES = (
    Source("SciTLDR-A", "scitldr_a", (Length("sentences", 1),), best=True),
    Source("DialogSum", "dialogsum_dev_test", (Length("sentences", 3),)),
    Source("BBC", "bbc_news_summary", (Length("words", 60), Length("ratio", 0.45))),
)


@dataclass(frozen=True)
class Trained:
    """A learner with its meta-parameters, its mean ROUGE-1 on `search` and on sources left out."""

    name: str
    learner: Learner
    meta_params: MetaParams
    search: float
    left_out: float = float("nan")

    @property
    def worth(self) -> float:
        """What learners are chosen by."""
        return self.search if np.isnan(self.left_out) else self.left_out


def main() -> None:
    """Prints the table of what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("question", choices=("known", "new"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a source by its name")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for source in SOURCES:
        if asked.only not in ("", source.name):
            continue
        for length in source.lengths:
            ask = _known if asked.question == "known" else _new
            ask(asked.data, source, length, asked.steps, asked.seed)


def _known(data: Path, source: Source, length: Length, steps: int, seed: int) -> None:
    """Of a known source: its test documents, or those of topics that nothing was trained on."""
    reading = read(data / source.folder)
    if source.name == "BBC":
        known = [info.name for info in reading.store.classes if info.name not in NEW_TOPICS]
        family, asked = _pair(_of(reading, known), _of(reading, NEW_TOPICS), length, source.best)
        print(f"\n{source.name}, {length}: {', '.join(NEW_TOPICS)} after {', '.join(known)}")
        pools = [(asked, PARTS.index("test"), asked, PARTS.index("test"))]
    else:
        family = document_family(reading, length=length, best=source.best)[0]
        print(f"\n{source.name}, {length}, test part")
        pools = [(family, PARTS.index("train"), family, PARTS.index("test"))]
    _table(family, pools, steps, seed)


def _new(data: Path, source: Source, length: Length, steps: int, seed: int) -> None:
    """Of a source never seen, after training on the two others at its length."""
    others = [other for other in SOURCES if other is not source]
    reading = _joined([(other.name, read(data / other.folder)) for other in others])
    family, asked = _pair(reading, read(data / source.folder), length, source.best)
    print(f"\n{source.name}, {length}, after {' and '.join(o.name for o in others)}")
    test = PARTS.index("test")
    _table(family, [(asked, test, asked, test)], steps, seed, new=True)


def _table(
    family: GroupFamily,
    pools: Sequence[tuple[GroupFamily, int, GroupFamily, int]],
    steps: int,
    seed: int,
    new: bool = False,
) -> None:
    asked = pools[0][2]
    rows = _rows(asked, pools[0][3])
    draws = _draws(asked, rows)
    supports, queries = _supports(pools[0][0], pools[0][1], asked is pools[0][0], draws, seed)
    queries = np.sort(draws[:MOST_DOCUMENTS]) if queries is None else queries
    judged = asked.judged
    assert judged is not None
    print(f"{len(queries)} documents, {len(supports)} supports of {SHOTS}, seed {seed}")
    print(f"{'':36} R-1 (docs, both)        R-2   R-L")
    plain = {}
    for name in PLAIN:
        found = _scores(_trained(family, name, {}, 1, seed), asked, supports[:1], queries)
        plain[name] = found["rouge1"]
        _say(name, found)
    adapting = [_trained(family, name, {}, steps, seed, new) for name in LEARNERS]
    fixed = [_trained(family, name, still, steps, seed, new) for name, still in LEARNERS.items()]
    adapts = max(adapting, key=lambda each: each.worth)
    stays = max(fixed, key=lambda each: each.worth)
    scores = {}
    for each in (*fixed, *adapting):
        mark = " *" if each in (adapts, stays) else ""
        chosen_by = f"{100 * each.search:.1f}" + (f" / {100 * each.left_out:.1f}" if new else "")
        label = f"{each.name}{' fixed' if each in fixed else ''} {chosen_by}{mark}"
        shown = supports[:1] if each in fixed else supports
        scores[id(each)] = _scores(each, asked, shown, queries)
        _say(label, scores[id(each)])
    best_of = [(int(row), judged.oracle(int(row))) for row in queries]
    oracles = {
        name: np.array([[judged.rouge(row, extract, name) for row, extract in best_of]])
        for name in METRICS
    }
    _say("oracle", oracles)
    oracle = oracles["rouge1"][0]
    for one, other in zip(adapting, fixed, strict=True):
        gain = scores[id(one)]["rouge1"] - scores[id(other)]["rouge1"]
        _difference(f"{one.name} - fixed", gain)
    gain = scores[id(adapts)]["rouge1"] - scores[id(stays)]["rouge1"]
    _difference("adapted - no adaptation", gain)
    best = max(PLAIN, key=lambda name: plain[name].mean())
    reference = plain[best]
    lead = scores[id(adapts)]["rouge1"] - reference
    _difference(f"adapted - {best}", lead)
    way = lead.mean() / max(1e-9, float(oracle.mean() - reference.mean()))
    print(f"{'share of the way to the oracle':36} {100 * way:.0f} %")


def _trained(
    family: GroupFamily,
    name: str,
    options: Mapping[str, bool | int],
    steps: int,
    seed: int,
    new: bool = False,
) -> Trained:
    found = _trained_on(family, name, options, steps, seed)
    if not new:
        return found
    names = [info.name.rpartition(" (")[0] for info in family.store.classes]
    values = []
    for domain in dict.fromkeys(names):
        this = np.array([each == domain for each in names])
        train_on, search = family.parts["train"], family.parts["search"]
        parts: dict[Part, np.ndarray] = {
            "train": train_on[~this[train_on]],
            "search": search[this[search]],
        }
        left = replace(family, parts={**family.parts, **parts})
        values.append(_trained_on(left, name, options, steps, seed).search)
    return replace(found, left_out=float(np.mean(values)))


def _trained_on(
    family: GroupFamily, name: str, options: Mapping[str, bool | int], steps: int, seed: int
) -> Trained:
    spec = family.spec(0, SHOTS, 15)
    candidate = make_candidate(name, family.input_format, spec)
    candidate = replace(candidate, learner=Choice(name, options))
    learner = build_learner(candidate, family.input_format, spec.objective)
    events = train(
        learner, family, candidate.plan, parse_budget(f"{steps}steps"), spec,
        seed=seed, evaluations=0,
    )  # fmt: skip
    finished = [event for event in events if isinstance(event, Finished)][-1]
    result, _ = evaluate(learner, finished.meta_params, family, "search", spec, 100)
    return Trained(name, learner, finished.meta_params, result.value)


@torch.no_grad()
def _scores(
    trained: Trained, family: GroupFamily, supports: Sequence[np.ndarray], queries: np.ndarray
) -> dict[str, np.ndarray]:
    """ROUGE by metric, `[supports, documents]`."""
    judged, store, fmt = family.judged, family.store, family.input_format
    assert judged is not None and store.values is not None
    learner, params = trained.learner, trained.meta_params
    told: dict[str, list[list[float]]] = {name: [] for name in METRICS}
    inputs = fmt.to_float(store.taken(queries))
    features = learner.embed(params, inputs) if isinstance(learner, EmbeddingLearner) else inputs
    for support in supports:
        targets = store.values[torch.from_numpy(support)].float()
        mask = torch.ones(len(support), dtype=torch.bool)
        shown = Examples(fmt.to_float(store.taken(support)), targets, mask)
        state = learner.adapt(params, shown)
        if isinstance(learner, EmbeddingLearner):
            outputs = learner.score(params, state, features)
        else:
            outputs = learner.predict(params, state, features)
        pairs = zip(queries.tolist(), outputs.double().numpy(), strict=True)
        taken = [(row, judged.extract(row, scores)) for row, scores in pairs]
        for name in METRICS:
            told[name].append([judged.rouge(row, extract, name) for row, extract in taken])
    return {name: np.array(values) for name, values in told.items()}


def _say(label: str, scores: dict[str, np.ndarray]) -> None:
    one, two, longest = (scores[name] for name in METRICS)
    docs, both = _half_widths(one)
    print(
        f"{label:36} {100 * one.mean():5.1f} (± {100 * docs:.1f}, ± {100 * both:.1f})   "
        f"{100 * two.mean():5.1f} {100 * longest.mean():5.1f}",
        flush=True,
    )


def _difference(label: str, values: np.ndarray) -> None:
    docs, both = _half_widths(values)
    print(f"{label:36} {100 * values.mean():+5.2f} (± {100 * docs:.2f}, ± {100 * both:.2f})")


def _half_widths(values: np.ndarray) -> tuple[float, float]:
    """Half of the 95 % intervals over documents, and over documents and supports."""
    rng = numpy_stream(0, "bootstrap of documents")
    supports, documents = values.shape
    means = values.mean(0)
    docs = [means[rng.integers(0, documents, documents)].mean() for _ in range(BOOTSTRAPS)]
    both = []
    for _ in range(BOOTSTRAPS):
        some = values[rng.integers(0, supports, supports)].mean(0)
        both.append(some[rng.integers(0, documents, documents)].mean())
    low, high = np.percentile(docs, [2.5, 97.5])
    low_both, high_both = np.percentile(both, [2.5, 97.5])
    return float(high - low) / 2, float(high_both - low_both) / 2


def _rows(family: GroupFamily, part: int) -> np.ndarray:
    groups = family.parts[PARTS[part]]
    return np.flatnonzero(np.isin(family.store.targets.numpy(), groups))


def _draws(family: GroupFamily, rows: np.ndarray) -> np.ndarray:
    return numpy_stream(0, "documents").permutation(rows)


def _supports(
    family: GroupFamily, part: int, same: bool, draws: np.ndarray, seed: int
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Supports of documents that are not asked about, and those that are, if they share a part."""
    rng = numpy_stream(seed, "supports")
    pool, queries = _rows(family, part), None
    if same and np.isin(draws, pool).all():
        half = max(len(draws) - MOST_DOCUMENTS, len(draws) // 4)
        pool, queries = draws[:half], np.sort(draws[half:])
    return [rng.choice(pool, SHOTS, replace=False) for _ in range(SUPPORTS)], queries


def _pair(
    known: Reading, asked: Reading, length: Length, best: bool
) -> tuple[GroupFamily, GroupFamily]:
    """A family to train on, and another reading as its learner sees it."""
    family = document_family(known, length=length, best=best)[0]
    other = document_family(
        asked, length=length, best=best, view=family.view, input_format=family.input_format
    )[0]
    return family, other


def _of(reading: Reading, domains: Sequence[str]) -> Reading:
    """The documents of some domains."""
    names = [info.name for info in reading.store.classes]
    others = np.array([place for place, name in enumerate(names) if name not in domains], np.int64)
    return replace(reading, store=reading.store.without(others), example_parts=None)


def _joined(readings: Sequence[tuple[str, Reading]]) -> Reading:
    """Several readings as one, each a domain; nothing is known of their parts."""
    documents = [text for _, reading in readings for text in _texts(reading, DOCUMENT)]
    references = [text for _, reading in readings for text in _texts(reading, REFERENCES)]
    sizes = [len(reading.store) for _, reading in readings]
    store = Store(
        {DOCUMENT: Texts.of(documents), REFERENCES: Texts.of(references)},
        torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        tuple(ClassInfo(name) for name, _ in readings),
    )
    return Reading(" and ".join(name for name, _ in readings), "documents", store)


def _texts(reading: Reading, name: str) -> tuple[str, ...]:
    inputs = reading.store.inputs
    assert isinstance(inputs, dict)
    column = inputs[name]
    assert isinstance(column, Texts)
    return column.take(torch.arange(len(column)))


if __name__ == "__main__":
    main()
