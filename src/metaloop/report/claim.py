"""The claim of a run: what was learned, its one figure on `test`, and what it is worth.

A figure is no better than chance if its 95 % interval reaches down to chance, 1 / ways; the claim
then says so before all else. The comparison with the plain baselines is the paired one on
`promotion`, on which nothing else was chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from metaloop.archive import Opening, StoredVerdict
from metaloop.core.leagues import WITHOUT, backbones_sentence
from metaloop.core.pretraining import seen_before, seen_sentence
from metaloop.core.records import Result, Verdict
from metaloop.core.scales import AUROC
from metaloop.report.figures import (
    count,
    figure,
    intervals_text,
    is_of_fewer_units,
    measured_on,
    measures_text,
    policy_name,
    printable,
    protocol_text,
    scale_of,
    verdict_gain,
)
from metaloop.report.reading import Records
from metaloop.report.standing import Standing, name_of, short, standing, standings

_STATES = {
    "running": "The run has not ended: it goes on, or was killed without a word. "
    "This is what was recorded so far.",
    "interrupted": "The run was interrupted and not resumed. This is what was recorded before.",
    "failed": "The run failed. This is what was recorded before.",
    "empty": "No run is recorded here, only looks at a sealed part.",
}


@dataclass(frozen=True)
class Claim:
    """What a run shows, in figures and in plain sentences.

    `best` is the candidate that was promoted (or leads so far), `test` its figure; None without
    one. `no_better_than_chance` is None where chance is not known. `baselines` are the plain
    methods, best first. `promotion` is the verdict that the choice rests on; `certain` whether the
    last judgement found the best certainly better than what it was compared with, for new classes
    (None: it did not say).
    """

    best: Standing | None
    test: Result | None
    chance: float | None
    no_better_than_chance: bool | None
    baselines: tuple[Standing, ...]
    promotion: StoredVerdict | None
    certain: bool | None
    headline: str
    sentences: tuple[str, ...]


def claim_of(records: Records) -> Claim:
    """Returns the claim of a run, whatever state it is in."""
    entries = standings(records)
    opening = final_opening(records)
    best = _best(records, entries, opening)
    test = opening.result if opening else None
    shown = test or (best and (best.promotion or best.search)) or None
    at_chance = None if shown is None else is_at_chance(shown)
    baselines = tuple(
        sorted((entry for entry in entries if entry.is_baseline), key=lambda e: -e.value)
    )
    promotion = _promotion(records, best, {entry.identity for entry in baselines})
    claim = Claim(
        best=best,
        test=test,
        chance=None if shown is None else chance(shown),
        no_better_than_chance=at_chance,
        baselines=baselines,
        promotion=promotion,
        certain=_is_certain(records, best),
        headline="",
        sentences=(),
    )
    return _worded(claim, records)


def chance(result: Result) -> float | None:
    """Returns what guessing would give: 1 / ways for an accuracy, None where it is not known."""
    if result.metric == AUROC.name:
        return 0.5
    ways = result.protocol.ways
    return 1 / ways if result.metric == "accuracy" and ways > 0 else None


def is_at_chance(result: Result) -> bool | None:
    """Returns whether the interval of a figure reaches down to chance; None: chance is unknown."""
    guessed = chance(result)
    if guessed is None or not math.isfinite(result.value):
        return None
    half = result.ci95 if math.isfinite(result.ci95) else math.inf
    return result.value - half <= guessed


def final_opening(records: Records) -> Opening | None:
    """Returns the run's own opening of `test` that the claim quotes: the promoted candidate's."""
    seen = [o for o in records.own_openings if o.part == "test" and o.result is not None]
    promoted = _promoted(records)
    return next((o for o in reversed(seen) if o.subject == promoted), seen[-1] if seen else None)


def _promoted(records: Records) -> str | None:
    winners = [v.verdict.winner for v in records.verdicts if v.verdict.part == "promotion"]
    return winners[-1] if winners else None


def _best(
    records: Records, entries: tuple[Standing, ...], opening: Opening | None
) -> Standing | None:
    """Who was opened on `test`, else who was promoted last, else who leads the table."""
    named = opening.subject if opening else _promoted(records)
    stored = records.candidates.get(named or "")
    if stored is not None:
        return standing(records, stored)
    measured = [entry for entry in entries if entry.search is not None]
    return measured[0] if measured else None


def _promotion(
    records: Records, best: Standing | None, baselines: set[str]
) -> StoredVerdict | None:
    """The last promotion that the best took part in, one against a baseline if there is any."""
    if best is None:
        return None
    about = [
        stored
        for stored in records.verdicts
        if stored.verdict.part == "promotion"
        and best.identity in (stored.verdict.winner, stored.verdict.loser)
    ]
    plain = [v for v in about if {v.verdict.winner, v.verdict.loser} & baselines]
    return (plain or about or [None])[-1]  # type: ignore[list-item]


def _is_certain(records: Records, best: Standing | None) -> bool | None:
    """Whether the last verdict on promotion says that the best is certainly better than another."""
    last = [stored.verdict for stored in records.verdicts if stored.verdict.part == "promotion"]
    if best is None or not last or last[-1].certain is None:
        return None
    return last[-1].certain and last[-1].winner == best.identity


def _worded(claim: Claim, records: Records) -> Claim:
    sentences = [_what_it_does(claim, records)] if claim.best else []
    shown = claim.test or (claim.best and (claim.best.promotion or claim.best.search)) or None
    one_task = shown is not None and not shown.protocol.shots
    if shown is not None and not one_task:
        sentences.append(_intervals_sentence(claim, shown))
        others = measures_text(shown)
        sentences += [f"On the same episodes: {others}."] if others else []
    if claim.best is not None and records.backbones:
        sentences += _league_sentences(claim, records)
    if claim.test is None:
        sentences.append("The test part was not opened for it.")
    if claim.no_better_than_chance:
        sentences.append(_chance_sentence(claim))
    if claim.promotion is not None:
        sentences.append(_promotion_sentence(claim, records))
    if claim.certain is False:
        sentences.append(
            "No candidate was certainly better than what it was compared with, for new classes of "
            "the family: the best tested one was kept."
        )
    if claim.best is not None and not one_task:
        sentences.append(_baseline_sentence(claim))
    sentences += _looks(records)
    if records.status in _STATES:
        sentences.insert(0, _STATES[records.status])
    return replace(claim, headline=_headline(claim), sentences=tuple(sentences))


def _headline(claim: Claim) -> str:
    if claim.best is None:
        return "Nothing was measured"
    if claim.no_better_than_chance:
        return "No better than chance"
    result = claim.test or claim.best.promotion or claim.best.search
    return figure(result) if result else "Nothing was measured"


def _what_it_does(claim: Claim, records: Records) -> str:
    best, data = claim.best, records.target_data
    assert best is not None
    result = claim.test or best.promotion or best.search
    learned = f"{best.label} ({short(best.identity)})"
    if best.stored.candidate.plan.style != "none":
        learned += f", learned from {printable(data.name)}," if data else ","
    if result is None:
        return f"{learned} leads, without a figure."
    how = result.protocol
    unseen = "it had never seen" if best.league == WITHOUT else "were held back from its training"
    if not how.shots and result.metric != "accuracy":
        told = f"told {how.ways} classes apart" if how.ways else "told a number"
        return (
            f"{learned} {told}: {figure(result)} on rows that were kept apart (95 % interval over "
            f"{measured_on(result)} of {how.part}, by {printable(scale_of(result.metric).words)})."
        )
    if not how.shots:
        guessed = f" Guessing would give {100 * claim.chance:.1f} %." if claim.chance else ""
        return (
            f"{learned} told {how.ways} classes apart: {figure(result)} of examples that were kept "
            f"apart are right (95 % interval over {measured_on(result)} of {how.part}).{guessed}"
        )
    if result.metric == "accuracy":
        told = (
            f"told {how.ways} classes apart that {unseen}, from "
            f"{count(how.shots, 'example')} each: {figure(result)} of "
            f"{count(how.queries, 'query', 'queries')} per class"
        )
    else:
        told = f"reached {figure(result)} on tasks of {count(how.shots, 'example')}"
    guessed = f" Guessing would give {100 * claim.chance:.1f} %." if claim.chance else ""
    several = "intervals" if is_of_fewer_units(result) else "interval"
    return (
        f"{learned} {told} (mean and 95 % {several} over {result.episodes:,} episodes of "
        f"{how.part}; {policy_name(how)}).{guessed}"
    )


def _intervals_sentence(claim: Claim, shown: Result) -> str:
    """What the intervals mean; a figure that is at chance for new classes only is said to be so."""
    said = intervals_text(shown)
    new = shown.ci95_new
    at_chance = claim.chance is not None and new is not None and shown.value - new <= claim.chance
    if at_chance and not claim.no_better_than_chance:
        said += " For new ones it is not surely better than chance."
    return said


def _league_sentences(claim: Claim, records: Records) -> list[str]:
    """Which league the best is in, and the best of the other one: two rankings, never one."""
    assert claim.best is not None
    cards = records.cards(claim.best.stored.candidate)
    seen = seen_sentence(seen_before(card, records.tested) for card in cards)
    said = [printable(sentence) for sentence in (backbones_sentence(cards), seen) if sentence]
    with_one = claim.best.league != WITHOUT
    rivals = [
        entry
        for entry in standings(records)
        if (entry.league != WITHOUT) != with_one and (entry.promotion or entry.search)
    ]
    if rivals:
        rival = rivals[0]
        league = "without pretraining" if with_one else "with a backbone"
        shown = rival.promotion or rival.search
        assert shown is not None
        said.append(
            f"The best {league} is {rival.label} ({short(rival.identity)}), with {figure(shown)} "
            f"on {shown.protocol.part}."
        )
    return said


def _chance_sentence(claim: Claim) -> str:
    assert claim.chance is not None
    shown = claim.test or (claim.best and (claim.best.promotion or claim.best.search)) or None
    new = "new examples" if shown is not None and not shown.protocol.shots else "new classes"
    return (
        f"This is no better than chance: the interval reaches down to {100 * claim.chance:.1f} %, "
        f"what guessing gives. Nothing was learned that helps with {new}."
    )


def _promotion_sentence(claim: Claim, records: Records) -> str:
    assert claim.promotion is not None and claim.best is not None
    verdict = claim.promotion.verdict
    won = verdict.winner == claim.best.identity
    other = verdict.loser if won else verdict.winner
    against = name_of(records, other)
    result = claim.test or claim.best.promotion or claim.best.search
    amount = verdict_gain(result.metric if result else "", verdict, 1 if won else -1)
    sure = _surely(verdict)
    return (
        f"On the episodes of promotion it was {amount} against {against} "
        f"(paired, {verdict.episodes:,} episodes{_shots_judged(records, verdict.winner)}){sure}."
    )


def _surely(verdict: Verdict) -> str:
    """Returns what is sure of a difference: for new classes, on these alone, or not at all."""
    if verdict.low <= 0:
        return ", which is not surely a difference"
    if verdict.certain is None and verdict.low_new is None:
        return ""  # of an older version, or without any classes to tell
    sure = verdict.certain if verdict.certain is not None else (verdict.low_new or 0.0) > 0
    return "" if sure else ", which is sure on these classes only: for new ones it is not"


def _shots_judged(records: Records, candidate: str) -> str:
    """Returns the numbers of shots where it was judged by several: ` each with 1 and 5 shots`."""
    results = records.results_of(candidate, "promotion")
    shots = sorted({result.protocol.shots for result in results})
    return f" each with {' and '.join(map(str, shots))} shots" if len(shots) > 1 else ""


def _baseline_sentence(claim: Claim) -> str:
    assert claim.best is not None
    if claim.best.is_baseline:
        return "It is itself a plain baseline: no trained learner was surely better."
    result = claim.baselines[0].search if claim.baselines else None
    if result is None:
        return "No plain baseline was measured."
    name = claim.baselines[0].label
    promotion = claim.baselines[0].promotion
    also = f", and {figure(promotion)} on promotion" if promotion else ""
    return f"The best plain baseline, {name}, has {figure(result)} ({protocol_text(result)}){also}."


def _looks(records: Records) -> list[str]:
    looks = [opening for opening in records.openings if opening.part == "test"]
    own = [opening for opening in records.own_openings if opening.part == "test"]
    said = []
    if len(own) > 1:
        said.append(f"This run opened the test part {len(own)} times; all are listed below.")
    if len(looks) > len(own):
        others = len(looks) - len(own)
        said.append(f"The archive has {count(others, 'more look')} at a test part, listed below.")
    return said
