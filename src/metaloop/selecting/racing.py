"""The race: pipelines on small proxies of the data, and what is believed of each afterwards.

What is expected of a pipeline before it is tried comes from what it costs (a net should cost the
square root of what can be spent on an example) and from the archive of earlier runs. A proxy says
how it does beside the others of its rung; that is believed as far as its noise lets it:

    belief <- belief + w (measured - expected),   w = spread^2 / (spread^2 + noise^2),

both relative to the mean of those measured together. The spread is the usual one, or what a
surprise leaves beyond its noise, for some data are like no others. The noise is that of so many
examples, and what short trainings mislead by, most of all about nets of another size: a small one
learns sooner. So a short race changes little, a long one everything. First rung: shrunk images, a
few steps. Second: whole images, longer, the best of the first. In between, the best is changed and
crossed with the next; what pays late, as more augmentation does, is changed only where there is a
second rung.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from metaloop.catalogue.pipelines import crossed, varied
from metaloop.core.errors import MetaloopError
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate
from metaloop.selecting.settings import SelectSettings

_TRIES = 20  # to find a change that was not tried yet
_CROSSED = 3  # every third child is of two parents


@dataclass(eq=False)
class Entry:
    """A pipeline in the race: `right[rung]` says which examples of `search` it told right."""

    candidate: Candidate
    operator: str
    parents: tuple[str, ...] = ()
    expected: float = 0.0  # as a share of what can be gained, relative to others
    log_cost: float = 0.0  # of its net, as a multiple of the usual one
    right: dict[int, np.ndarray] = field(default_factory=dict)
    failed: str = ""
    cpu_seconds: float = 0.0

    @property
    def identity(self) -> str:
        """The candidate's."""
        return self.candidate.identity


@dataclass(frozen=True)
class Proposal:
    """What to train next: an entry on a proxy of this rung, for so much of the budget."""

    entry: Entry
    rung: int
    amount: float  # seconds of a worker, or steps


@dataclass
class Race:
    """Who takes part, what was measured, and what is left for it (in the budget's unit).

    `first` is what a proxy of the first rung takes; steps count as those on whole images. `gain`:
    what an accuracy can gain over guessing. `fits` raises `MetaloopError` for a pipeline that
    cannot be built. `size_of`: what is expected by the size of a net alone, and its logarithm.
    """

    entries: dict[str, Entry]
    first: float
    left: float
    gain: float
    seed: int
    settings: SelectSettings
    most_raced: int
    fits: Callable[[Candidate], None]
    size_of: Callable[[Candidate], tuple[float, float]]
    pending: set[tuple[str, int]] = field(default_factory=set)
    spent_on_first: float = 0.0
    children: int = 0

    def __post_init__(self) -> None:
        self.whole = self.left

    def propose(self) -> Proposal | None:
        """Returns what to try next; None if there is nothing, or a result must be waited for."""
        first_budget, longer = self._shares()
        in_first = [e for e in self.entries.values() if self._is_in(e, 0)]
        if self.whole < self.settings.fewest_raced * self.first:
            return None
        if len(in_first) < self.most_raced and self.spent_on_first + self.first <= first_budget:
            entry = self._next_of_first(in_first, first_budget)
            if entry is not None:
                return self._proposed(entry, 0, self.first)
        if any(rung == 0 for _, rung in self.pending):
            return None
        for entry in self.beliefs()[: self.settings.finalists]:
            if not self._is_in(entry, 1) and 0 in entry.right and 0 < longer <= self.left:
                return self._proposed(entry, 1, longer)
        return None

    def _shares(self) -> tuple[float, float]:
        """What the first rung may take, and a proxy of the second; 0 where there is no second."""
        longer = self.settings.longer * self.first
        first = self.settings.first_share * self.whole
        return (first, longer) if self.whole - first >= 2 * longer else (self.whole, 0.0)

    def again(self, entry: Entry, rung: int, amount: float) -> Proposal:
        """Returns the proposal that an earlier try of the run has made."""
        return self._proposed(entry, rung, amount)

    def take(self, proposal: Proposal, right: np.ndarray | None, message: str, cpu: float) -> None:
        """Takes in what came of a proposal; None if it failed."""
        entry = proposal.entry
        self.pending.discard((entry.identity, proposal.rung))
        entry.cpu_seconds += cpu
        if right is None:
            entry.failed = message or "failed"
        else:
            entry.right[proposal.rung] = right

    def beliefs(self) -> list[Entry]:
        """Returns those that have not failed, the best first."""
        value = self.values()
        able = [entry for entry in self.entries.values() if not entry.failed]
        return sorted(able, key=lambda entry: -value[entry.identity])

    def values(self) -> Mapping[str, float]:
        """Returns what is believed of each, as a share of what can be gained."""
        belief = {identity: entry.expected for identity, entry in self.entries.items()}
        for rung, spread in enumerate(self.settings.proxy_spreads):
            together = [entry for entry in self.entries.values() if rung in entry.right]
            if len(together) < 2:
                continue
            measured = {e.identity: float(e.right[rung].mean()) / self.gain for e in together}
            middle = float(np.mean(list(measured.values())))
            usual_size = float(np.mean([entry.log_cost for entry in together]))
            expected = float(np.mean([belief[name] for name in measured]))
            for entry in together:
                number = len(entry.right[rung])
                share = (float(entry.right[rung].sum()) + 1) / (number + 2)
                noise = share * (1 - share) / number / self.gain**2 + spread**2
                noise += (self.settings.size_spreads[rung] * (entry.log_cost - usual_size)) ** 2
                surprise = measured[entry.identity] - middle - belief[entry.identity] + expected
                usual = self.settings.prior_spread**2
                wide = max(usual, surprise**2 - noise)  # what noise cannot explain is believed
                belief[entry.identity] += wide / (wide + noise) * surprise
        return belief

    def _is_in(self, entry: Entry, rung: int) -> bool:
        return bool(entry.failed) or rung in entry.right or (entry.identity, rung) in self.pending

    def _proposed(self, entry: Entry, rung: int, amount: float) -> Proposal:
        self.pending.add((entry.identity, rung))
        self.left -= amount
        self.spent_on_first += amount if rung == 0 else 0.0
        return Proposal(entry, rung, amount)

    def _next_of_first(self, in_first: Sequence[Entry], first_budget: float) -> Entry | None:
        """The next of the portfolio, then what is made from the best."""
        waiting = [entry for entry in self.entries.values() if not self._is_in(entry, 0)]
        late = self.spent_on_first >= self.settings.children_from * first_budget
        if waiting and not (late and len(in_first) >= self.settings.fewest_raced):
            return max(waiting, key=lambda entry: entry.expected)
        measured = [entry for entry in self.beliefs() if 0 in entry.right]
        return self._child(measured) if measured else None

    def _child(self, best: Sequence[Entry]) -> Entry | None:
        rng = numpy_stream(self.seed, "child", self.children)
        self.children += 1
        for _ in range(_TRIES):
            parent = best[min(len(best) - 1, int(rng.geometric(0.5)) - 1)]
            parents: tuple[str, ...] = (parent.identity,)
            if len(best) > 1 and self.children % _CROSSED == 0:
                other = next(entry for entry in best if entry is not parent)
                child, operator = crossed(parent.candidate, other.candidate), "cross: two pipelines"
                parents = (parent.identity, other.identity)
            else:
                child, operator = varied(parent.candidate, rng, late=self._shares()[1] > 0)
            try:
                self.fits(child)
            except MetaloopError:
                continue
            if child.identity not in self.entries:
                expected = parent.expected - self.settings.child_loss
                loss, log_cost = self.size_of(child)
                expected += loss - self.size_of(parent.candidate)[0]
                entry = Entry(child, operator, parents, expected, log_cost)
                self.entries[child.identity] = entry
                return entry
        return None


def size_loss(cost: float, examples: float, settings: SelectSettings) -> float:
    """Returns what is expected of a net by its cost alone, 0 at best, else less.

    `cost`: operations for an image, as a multiple of the usual net's; `examples`: how many of them
    the usual net can be trained on. A net should cost as the square root of what can be spent
    (measured on CIFAR-10, LOG.md).
    """
    right = math.sqrt(max(examples, 1.0) / settings.usual_examples)
    return -settings.size_loss * math.log(max(cost, 1e-6) / right) ** 2
