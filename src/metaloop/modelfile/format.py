"""The format of a model file: its members, its version, and `learner.json`.

`learner.json` holds every field of `ModelFile` that is no tensor, the version of the format, and
the SHA-256 of every member. Its own is that of its canonical JSON without the entry itself, so
that it may be printed for people.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, get_type_hints

from metaloop.core.errors import ModelFileError
from metaloop.modelfile.model import ModelFile
from metaloop.modelfile.tensors import pack, unpack
from metaloop.modelfile.typed_json import decode, encode

FORMAT = "metaloop model"
# 1 had no fingerprints, 2 no views, 3 no classifiers, 4 no rejection, 5 no tables; files without
# are still those
VERSION = 6
CARD = "learner.json"
TENSOR_MEMBERS = {  # member -> field; this is their order in the file
    "weights.safetensors": "weights",
    "support.safetensors": "support",
    "state.safetensors": "state",
    "fingerprints.safetensors": "fingerprints",
    "assets.safetensors": "assets",
    "rejection.safetensors": "rejection",
}
_HINTS = get_type_hints(ModelFile)
_CARD_FIELDS = tuple(
    field.name
    for field in dataclasses.fields(ModelFile)
    if field.name not in TENSOR_MEMBERS.values()
)


_SINCE = {"view": 3}  # fields that are in files of later versions only


def to_members(model: ModelFile) -> dict[str, bytes]:
    """Returns the content of each member, in order; equal models give equal bytes."""
    packed = {
        member: pack(tensors)
        for member, field in TENSOR_MEMBERS.items()
        if (tensors := getattr(model, field)) is not None
    }
    version = 3 if model.view is not None else 1 if model.fingerprints is None else 2
    version = 4 if model.kind == "classifier" else version
    version = 5 if model.rejection is not None else version
    version = 6 if model.kind == "table" else version
    card: dict[str, Any] = {name: encode(getattr(model, name)) for name in _fields(version)}
    card |= {"format": FORMAT, "format_version": version}
    card["sha256"] = {member: _sha256(data) for member, data in packed.items()}
    card["sha256"][CARD] = _own_sha256(card)
    text = json.dumps(card, sort_keys=True, indent=1, allow_nan=False)
    return {CARD: text.encode("ascii"), **packed}


def parse_card(data: bytes) -> dict[str, Any]:
    """Returns the JSON of a `learner.json` of this version; raises `ValueError` if it is damaged.

    Raises `ModelFileError` for the version of a newer metaloop.
    """
    try:
        card = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError(f"{CARD} is nested too deeply") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ValueError(f"{CARD} does not describe a metaloop model")
    version = card.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"{CARD} has no valid format_version")
    if version > VERSION:
        raise ModelFileError(
            f"was written by a newer metaloop (format {version}, this one knows {VERSION}); "
            "upgrade metaloop"
        )
    return card


def from_members(card: dict[str, Any], packed: dict[str, bytes]) -> ModelFile:
    """Returns the model of a card and the other members; `ValueError` where they disagree."""
    hashes = decode(dict[str, str], card.get("sha256"), f"{CARD}: sha256")
    if set(hashes) != {CARD, *packed}:
        raise ValueError(f"{CARD}: sha256 does not name the members that are there")
    if hashes[CARD] != _own_sha256(card):
        raise ValueError(f"{CARD} was changed after the file was written: its hash does not match")
    for member, data in packed.items():
        if hashes[member] != _sha256(data):
            raise ValueError(f"{member} was changed after the file was written: its hash differs")
    names = _fields(card["format_version"])
    expected = {*names, "format", "format_version", "sha256"}
    if set(card) != expected:
        name = sorted(set(card) ^ expected)[0]
        raise ValueError(
            f"{CARD} {'lacks' if name in expected else 'has an unknown'} field {name!r}"
        )
    fields = {name: decode(_HINTS[name], card[name], f"{CARD}: {name}") for name in names}
    tensors = {TENSOR_MEMBERS[member]: _unpacked(member, data) for member, data in packed.items()}
    return ModelFile(**fields, **tensors)


def _fields(version: int) -> list[str]:
    return [name for name in _CARD_FIELDS if _SINCE.get(name, 1) <= version]


def _unpacked(member: str, data: bytes) -> Any:
    try:
        return unpack(data)
    except ValueError as error:
        raise ValueError(f"{member}: {error}") from error


def _own_sha256(card: dict[str, Any]) -> str:
    hashes = {member: digest for member, digest in card["sha256"].items() if member != CARD}
    text = json.dumps(
        {**card, "sha256": hashes}, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return _sha256(text.encode("ascii"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{CARD} contains {name}")
