"""Whatever is wrong with a model file is one line; loading it never does more than read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from metaloop.core.errors import MetaloopError, ModelFileError, OutputError
from metaloop.modelfile import ModelFile, file_hash, read_model, write_model
from metaloop.modelfile.format import VERSION

Members = dict[str, bytes]
Card = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path, adapted: ModelFile) -> Path:
    write_model(tmp_path / "model.metaloop", adapted)
    return tmp_path / "model.metaloop"


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_again(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def sign(members: Members, card: Card) -> Members:
    """The members with hashes that are right: what someone would do who knows the format."""
    hashes = {n: hashlib.sha256(d).hexdigest() for n, d in members.items() if n != "learner.json"}
    card = {**card, "sha256": hashes}
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    hashes["learner.json"] = hashlib.sha256(text.encode()).hexdigest()
    return {**members, "learner.json": json.dumps(card).encode()}


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no model file" in refusal(tmp_path / "no.metaloop")
    with pytest.raises(ModelFileError, match="no model file"):
        file_hash(tmp_path / "no.metaloop")


def test_a_folder_a_pipe_and_other_files_are_no_models(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "no ordinary file" in refusal(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    assert "is empty" in refusal(tmp_path / "empty")
    (tmp_path / "text").write_text("weights")
    assert "no zip" in refusal(tmp_path / "text")
    zip_again(tmp_path / "zip", {"photo.png": b"x"})
    assert "no learner.json" in refusal(tmp_path / "zip")
    with pytest.raises(ModelFileError):
        read_model("a\0b")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.999])
def test_a_truncated_file_is_damaged(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))
    assert "is damaged: cut short or changed" in refusal(path)


@pytest.mark.parametrize("member", ["weights.safetensors", "support.safetensors"])
def test_a_changed_member_is_named(path: Path, member: str) -> None:
    members = members_of(path)
    members[member] = members[member][:-1] + b"\x7f"
    zip_again(path, members)
    assert f"{member} was changed" in refusal(path)


def test_a_changed_score_is_noticed(path: Path) -> None:
    members = members_of(path)
    members["learner.json"] = members["learner.json"].replace(b"0.988", b"0.999")
    zip_again(path, members)
    assert "learner.json was changed" in refusal(path)


def test_a_newer_version_asks_for_an_upgrade_whatever_else_is_new(path: Path) -> None:
    members = members_of(path)
    card = {"format": "metaloop model", "format_version": VERSION + 1, "news": True}
    zip_again(path, {**members, "learner.json": json.dumps(card).encode(), "new.bin": b""})
    assert "written by a newer metaloop" in refusal(path)
    assert "upgrade" in refusal(path)


def change(*keys: str | int, to: Any) -> Callable[[Card], None]:
    def apply(card: Card) -> None:
        place: Any = card
        for key in keys[:-1]:
            place = place[key]
        if to is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (change("training", to=None), "lacks field 'training'"),
        (change("surprise", to=1), "unknown field 'surprise'"),
        (change("format", to="other"), "does not describe"),
        (change("format_version", to=True), "format_version"),
        (change("format_version", to=0), "format_version"),
        (change("kind", to="program"), "kind: expected one of 'learner', 'adapted'"),
        (change("candidate", "plan", "ways", to="5"), "candidate.plan.ways: expected int, got '5'"),
        (change("candidate", "plan", "ways", to=True), "candidate.plan.ways: expected int"),
        (change("candidate", "learner", "code", to="import os"), "unknown field 'code'"),
        (change("candidate", "learner", "name", to=None), "lacks the field 'name'"),
        (change("candidate", to=[]), "candidate: expected an object"),
        (change("spec", "ways", to=1), "at least 2 ways"),
        (change("input_format", "mean", to=0.5), "input_format.mean"),
        (change("parts", "train", to=[1]), "parts.train[0]: expected str"),
        (change("results", 0, "value", to="high"), "results[0].value: expected float"),
        (change("results", 0, "protocol", "part", to="exam"), "results[0].protocol.part"),
        (change("classes", to=[[]]), "classes[0]: expected str or int or float or bool"),
        (change("custom_net", to=5), "custom_net"),
        (change("kind", to="learner"), "of its own"),
        (change("sha256", to=5), ""),
    ],
)
def test_wrong_fields_are_named_even_if_the_hashes_are_right(
    path: Path, edit: Callable[[Card], None], says: str
) -> None:
    members = members_of(path)
    card = json.loads(members["learner.json"])
    edit(card)
    if card["sha256"] == 5:
        members["learner.json"] = json.dumps(card).encode()
    else:
        members = sign(members, card)
    zip_again(path, members)
    assert says in refusal(path)


def test_a_field_that_a_record_gained_since_takes_its_default(path: Path) -> None:
    members = members_of(path)
    card = json.loads(members["learner.json"])
    del card["candidate"]["plan"]["warmup"]
    zip_again(path, sign(members, card))
    assert read_model(path).candidate.plan.warmup == 0.05


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"format": NaN}',
        b'{"format": ' + b"[" * 100_000,
        b'{"format": "metaloop model", "format_version": ' + b"9" * 5000 + b"}",
        b'{"format": "metaloop model", "format_version": 1, "sha256": {"learner.json": 5}}',
        b'{"format": "metaloop model", "format_version": 1}',
        b'{"format": "metaloop model", "format_version": 1, "a": 1e999, "sha256": {}}',
    ],
)
def test_json_that_is_none_is_one_line(path: Path, text: bytes) -> None:
    zip_again(path, {**members_of(path), "learner.json": text})
    assert "damaged" in refusal(path)


def test_members_that_do_not_belong_there_are_refused(path: Path) -> None:
    members = members_of(path)
    zip_again(path, {**members, "../../evil.py": b"import os"})
    assert "'../../evil.py' that does not belong" in refusal(path)
    assert not (path.parent.parent.parent / "evil.py").exists()
    zip_again(path, {"learner.json": members["learner.json"]})
    assert "no weights.safetensors" in refusal(path)
    without = {name: data for name, data in members.items() if name != "state.safetensors"}
    zip_again(path, without)
    assert "does not name the members" in refusal(path)


def test_a_zip_bomb_is_refused_before_it_is_opened(path: Path) -> None:
    zip_again(path, {**members_of(path), "weights.safetensors": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(path)


def test_a_member_that_claims_an_absurd_size_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")  # of learner.json in the central directory
    data[entry + 20 : entry + 28] = b"\xff\xff\xff\x7f" * 2
    path.write_bytes(data)
    assert "larger than they can be" in refusal(path)


def header(text: str, data: bytes = b"") -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"\x00" * 7,
        (2**63).to_bytes(8, "little") + b"{}",
        header("{"),
        header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', b"1234"),
        header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}', b"1234"),
        header('{"a":{"dtype":"PICKLE","shape":[1],"data_offsets":[0,4]}}', b"1234"),
        header('{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}'),
        header('{"a":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}'),
        header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"1234"),
        header('{"a":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[0,1]}}', b"1"),
        header('{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}', b"1"),
        safetensors.torch.save({"a": torch.ones(1, dtype=torch.complex64)}),
    ],
)
def test_weights_that_are_none_are_named_even_if_the_hashes_are_right(
    path: Path, weights: bytes
) -> None:
    members = {**members_of(path), "weights.safetensors": weights}
    zip_again(path, sign(members, json.loads(members["learner.json"])))
    assert "weights.safetensors" in refusal(path)


def test_a_flip_at_any_byte_is_refused_or_changes_nothing(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    rng = random.Random(0)
    changed = tmp_path / "changed.metaloop"
    accepted = 0
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1 << rng.randrange(8) if position % 2 else rng.randrange(1, 256)
        changed.write_bytes(data)
        try:
            read = read_model(changed)
        except ModelFileError:
            continue
        accepted += 1
        again = io.BytesIO()
        write_model(tmp_path / "again.metaloop", read, overwrite=True)
        again.write((tmp_path / "again.metaloop").read_bytes())
        assert again.getvalue() == whole, position
    assert accepted < 0.1 * len(whole)  # times, permissions and the like


def test_an_existing_file_is_kept_unless_told_otherwise(path: Path, learner: ModelFile) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputError, match="already exists"):
        write_model(path, learner)
    assert path.read_bytes() == before
    write_model(path, learner, overwrite=True)
    assert read_model(path).kind == "learner"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, learner: ModelFile) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "no" / "m", tmp_path / "file" / "m", tmp_path, Path("a\0b")):
        with pytest.raises(OutputError) as caught:
            write_model(place, learner, overwrite=True)
        assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line_and_keeps_the_earlier_file(
    path: Path, learner: ModelFile, small_files: Callable[[int | None], None]
) -> None:
    before = path.read_bytes()
    small_files(1000)
    with pytest.raises(OutputError, match="cannot write model file") as caught:
        write_model(path, learner, overwrite=True)
    small_files(None)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_an_interrupted_write_keeps_the_earlier_file(
    path: Path, learner: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(path, learner, overwrite=True)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_all_refusals_are_errors_that_the_command_line_prints() -> None:
    assert issubclass(ModelFileError, MetaloopError)
    assert issubclass(OutputError, MetaloopError)
