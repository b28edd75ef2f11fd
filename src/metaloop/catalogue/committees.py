"""Committees in words: what the candidate of one says of its members, and who suits whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from metaloop.catalogue.learners import COMMITTEE, LEARNERS, embeds
from metaloop.catalogue.limits import MOST_MEMBERS
from metaloop.catalogue.nets import JOINED
from metaloop.core.errors import MetaloopError
from metaloop.core.records import Candidate, Choice

MOST_VOTES = 64  # of one member
_OF_A_MEMBER = {"name", "options", "weight"}
_MOST_SHOWN = 60  # characters

# learner -> another that learns the same and errs differently: together they are better (LOG.md)
COMPANIONS: Mapping[str, str] = MappingProxyType({"deep_kernel": "set_attention"})


def members_of(candidate: Candidate) -> list[tuple[Candidate, int]]:
    """Returns the members of a committee, each with how often it counts.

    The candidate's learner has their learners, its net, a joined one that is not centred, their
    nets. Raises `MetaloopError` unless these fit; members are no committees themselves.
    """
    learners, net = candidate.learner.options.get("members"), candidate.net
    nets = net.options.get("members") if net.name == JOINED else None
    if not (isinstance(learners, list | tuple) and isinstance(nets, list | tuple)):
        raise MetaloopError(
            "a committee has learners and as many nets, joined; got "
            f"{_shown(candidate.learner.options)} and the net {_shown(net.name)}"
        )
    if len(learners) != len(nets) or not 1 <= len(nets) <= MOST_MEMBERS:
        raise MetaloopError(
            f"a committee has 1 to {MOST_MEMBERS} learners and as many nets, got {len(learners)} "
            f"and {len(nets)}"
        )
    if net.options.get("centred", True) is not False:
        raise MetaloopError("the nets of a committee stay as they are; it needs centred = false")
    return [
        (replace(candidate, learner=_learner(one), net=Choice(of["name"], of.get("options", {}))),
         one["weight"])
        for one, of in zip(learners, nets, strict=True)
    ]  # fmt: skip


def _learner(member: Any) -> Choice:
    """Returns the learner of a member; `MetaloopError` unless it has a net and a sound weight."""
    known = isinstance(member, Mapping) and not set(member) - _OF_A_MEMBER
    name, options = (member.get("name"), member.get("options", {})) if known else (None, None)
    sound = isinstance(name, str) and name in LEARNERS and embeds(name)
    if not (sound and isinstance(name, str) and isinstance(options, Mapping)):
        raise MetaloopError(
            "a member of a committee has the name of a learner with a net, and options; got "
            f"{_shown(member)}"
        )
    weight = member.get("weight")
    if type(weight) is not int or not 1 <= weight <= MOST_VOTES:
        raise MetaloopError(
            f"a member of a {COMMITTEE} counts 1 to {MOST_VOTES} times, got {_shown(weight)}"
        )
    return Choice(name, options)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
