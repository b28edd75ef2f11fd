"""Sets of recordings: folders, zips, tables, npz and arrays, with words, speakers and parts."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.sounds import RATE, encoded, tune, write_words

from metaloop.catalogue.sights import in_view
from metaloop.catalogue.views import fitted
from metaloop.core.columns import Ragged
from metaloop.core.errors import DataError
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.tasks.family import class_family
from metaloop.tasks.readers import read, read_recordings
from metaloop.tasks.readers.speaker_folders import speaker_folders
from metaloop.tasks.store import Reading

pytest.importorskip("soundfile", reason="metaloop[speech]")
pytest.importorskip("soxr", reason="metaloop[speech]")


def lengths(reading: Reading) -> list[int]:
    """Returns how many samples the recordings have."""
    assert isinstance(reading.store.inputs, Ragged)
    return np.diff(reading.store.inputs.ends.numpy(), prepend=0).tolist()


def in_memory(
    words: int, speakers: int, takes: int = 2
) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Returns waveforms, words and speakers: every speaker says every word."""
    each = [(w, s, t) for w in range(words) for s in range(speakers) for t in range(takes)]
    sounds = [tune(word, speaker, take, 0.05) for word, speaker, take in each]
    return sounds, [f"w{word:02d}" for word, _, _ in each], [f"s{s:02d}" for _, s, _ in each]


def test_a_folder_of_words_is_read_as_recordings(tmp_path: Path) -> None:
    reading = read(write_words(tmp_path / "words"))

    assert reading.kind == "folder of recordings, one folder per class"
    assert [info.name for info in reading.store.classes] == [f"word{i}" for i in range(8)]
    assert len(reading.store) == 24
    assert reading.store.speakers is None
    assert lengths(reading) == [len(tune(0))] * 24
    taken = reading.store.take(torch.tensor([0]))
    assert isinstance(taken, dict)
    assert taken["values"].dtype == torch.int16
    assert np.abs(taken["values"][0].numpy() / 32768 - tune(0, 0, 0)).max() < 1e-4


def test_a_zip_of_words_is_the_folder(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "words", words=3)
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as archive:
        for path in sorted(folder.rglob("*.wav")):
            archive.write(path, path.relative_to(folder))

    assert read(tmp_path / "words.zip").store.digest == read(folder).store.digest


def test_rates_channels_and_formats_may_differ_and_are_told(tmp_path: Path) -> None:
    folder = write_words(tmp_path, words=2)
    sound = tune(0, 0, 9)
    (folder / "word0" / "x.mp3").write_bytes(encoded(sound, format="MP3"))
    (folder / "word0" / "y.flac").write_bytes(encoded(np.stack([sound] * 2, 1), format="FLAC"))
    (folder / "word1" / "z.ogg").write_bytes(encoded(sound[::2], 8_000, format="OGG"))

    reading = read(folder)

    assert len(reading.store) == 9
    assert min(lengths(reading)) > 0.9 * len(sound)
    assert "recordings of 16,000 Hz (8), 8,000 Hz (1) are heard at 16,000 Hz" in reading.notes
    assert "the channels of 1 recordings are averaged" in reading.notes


def test_damaged_files_are_left_out_by_name_and_reason_and_the_good_ones_stay(
    tmp_path: Path,
) -> None:
    folder = write_words(tmp_path, words=2)
    for name, content in {
        "text": b"these are words",
        "silent": encoded(np.zeros(RATE)),
        "empty": encoded(np.zeros(0)),
        "nothing": b"",
        "slow": encoded(tune(0), 11),
    }.items():
        (folder / "word0" / f"{name}.wav").write_bytes(content)
    (folder / "word0" / "notes.txt").write_text("a note")

    reading = read(folder)

    assert len(reading.store) == 6
    told = {item.what: item.reason for item in reading.left_out}
    assert told["word0/silent.wav"] == "unusable recording: silence"
    assert told["word0/empty.wav"] == "unusable recording: no samples"
    assert told["word0/slow.wav"].endswith("its header says 11 Hz, which no recorder has")
    assert "no recording, or damaged" in told["word0/nothing.wav, word0/text.wav"]
    assert told["word0/notes.txt"] == "not a recording"
    with pytest.raises(DataError, match="strict reading does not allow"):
        read(folder, strict=True)


def test_a_folder_with_nothing_usable_says_why(tmp_path: Path) -> None:
    for word in ("a", "b"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "1.wav").write_text("text")

    with pytest.raises(DataError, match=r"none of its 2 recordings can be used; first: a/1\.wav"):
        read(tmp_path)


def test_clipping_and_length_are_told(tmp_path: Path) -> None:
    folder = write_words(tmp_path, words=2)
    (folder / "word0" / "loud.wav").write_bytes(encoded(np.clip(9 * tune(0), -1, 1)))
    (folder / "word1" / "long.wav").write_bytes(encoded(tune(1, seconds=3)))

    reading = read(folder, clip_seconds=2)

    assert max(lengths(reading)) == 2 * RATE
    notes = " | ".join(reading.notes)
    assert "1 are clipped (recorded too loud) and used as they are: word0/loud.wav" in notes
    assert "1 are longer than 2 s: the loudest 2 s of each are used: word1/long.wav" in notes


@pytest.mark.parametrize("pattern", [r"([a-z]+\d+)_\d", r"/([^/]*)_"])
def test_a_pattern_tells_the_speaker(tmp_path: Path, pattern: str) -> None:
    reading = read(write_words(tmp_path, words=2, speakers=3), speaker_pattern=pattern)

    assert [voice.name for voice in reading.store.voices] == ["anna00", "anna01", "anna02"]
    assert reading.store.speakers is not None
    assert reading.store.speakers.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] * 2


@pytest.mark.parametrize("layout", ["{speaker}/{word}/{take}.wav", "{word}/{speaker}/{take}.wav"])
def test_a_folder_of_a_speaker_is_no_part_of_the_word(tmp_path: Path, layout: str) -> None:
    for word in range(3):
        for speaker in range(3):
            for take in range(2):
                path = tmp_path / layout.format(word=f"w{word}", speaker=f"s{speaker}", take=take)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(tune(word, speaker, take)))

    reading = read(tmp_path, speaker_pattern=r"\b(s\d)/")

    assert [info.name for info in reading.store.classes] == ["w0", "w1", "w2"]
    assert [voice.name for voice in reading.store.voices] == ["s0", "s1", "s2"]
    assert len(reading.store) == 18


@pytest.mark.parametrize(
    ("layout", "speakers"),
    [
        ("{speaker}/{word}", ("anna", "bob")),
        ("{word}/{speaker}", ("anna", "bob")),
        ("{speaker}/{word}", ("speaker1", "speaker2", "speaker3", "speaker4")),
        ("train/{word}/{speaker}", ("p225", "p226", "p300", "p301")),
    ],
)
def test_folders_of_the_same_words_below_several_speakers_are_told(
    tmp_path: Path, layout: str, speakers: tuple[str, ...]
) -> None:
    for at, word in enumerate(("left", "right", "stop")):
        for speaker, name in enumerate(speakers):
            for take in range(2):
                path = tmp_path / layout.format(word=word, speaker=name) / f"{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(tune(at, speaker, take)))

    reading = read(tmp_path)

    assert [info.name for info in reading.store.classes] == ["left", "right", "stop"]
    assert [voice.name for voice in reading.store.voices] == list(speakers)
    (told,) = [note for note in reading.notes if "the names recur" in note]
    assert f"{len(speakers)} speakers (such as '{speakers[0]}')" in told
    apart = read(tmp_path, classes_at=layout.count("/") + 1)
    assert len(apart.store.classes) == 3 * len(speakers) and not apart.store.voices


@pytest.mark.parametrize(
    "folders",
    [
        ("yes/session1", "yes/session2", "no/session1", "no/session2"),
        ("train/yes", "train/no", "test/yes", "test/no"),
        ("animals/dog", "animals/cat", "tools/saw", "tools/drill"),
        ("yes/01", "yes/02", "no/01", "no/02"),
    ],
)
def test_sessions_parts_and_groups_are_no_speakers(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    assert speaker_folders([f"{folder}/{take}.wav" for folder in folders for take in "ab"]) is None


def test_speech_commands_names_tell_their_speakers_and_its_noises_are_no_word(
    tmp_path: Path,
) -> None:
    for word in range(2):
        for speaker in range(3):
            path = tmp_path / f"w{word}" / f"{speaker:08x}_nohash_0.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(tune(word, speaker)))
    (tmp_path / "_background_noise_").mkdir()
    (tmp_path / "_background_noise_" / "pink_noise.wav").write_bytes(encoded(tune(9)))

    reading = read(tmp_path)

    assert len(reading.store.voices) == 3
    assert len(reading.store.classes) == 2
    assert [item.reason for item in reading.left_out] == ["background noise, no word"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speaker_pattern": "("}, "no regular expression"),
        ({"speaker_pattern": "anna"}, "has no group"),
        ({"speaker_pattern": "(bob)"}, "is found in none of 6 paths"),
        ({"clip_seconds": 0.0}, "clips are 0.1 to 600 seconds long"),
        ({"image_size": 28}, "are for images"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(write_words(tmp_path, words=2), **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_pattern_is_refused_where_there_are_no_recordings(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("text,label\na,b\n")

    with pytest.raises(DataError, match="a speaker pattern is for recordings"):
        read(tmp_path / "table.csv", speaker_pattern="(a)")


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_table_names_files_words_speakers_and_stretches(tmp_path: Path, ending: str) -> None:
    sound = np.concatenate([tune(word, 0, take, 0.3) for word in range(2) for take in range(3)])
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "all.wav").write_bytes(encoded(sound))
    rows = [
        {"path": "sounds/all.wav", "label": f"w{i // 3}", "speaker": i % 2, "start": 0.3 * i,
         "end": 0.3 * (i + 1)}
        for i in range(6)
    ]  # fmt: skip
    table = tmp_path / f"table{ending}"
    with table.open("w", newline="") as file:
        if ending == ".csv":
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    reading = read(table)

    assert len(reading.store) == 6
    assert [voice.name for voice in reading.store.voices] == ["0", "1"]
    taken = reading.store.take(torch.tensor([4]))
    assert isinstance(taken, dict)
    assert np.abs(taken["values"][0].numpy() / 32768 - tune(1, 0, 1, 0.3)).max() < 1e-3


def test_rows_of_a_table_that_name_no_file_are_left_out(tmp_path: Path) -> None:
    write_words(tmp_path, words=2)
    rows = [f"word{w}/anna00_{t}.wav,w{w}" for w in range(2) for t in range(4)]
    (tmp_path / "table.csv").write_text("file,word\n" + "\n".join(rows) + "\n")

    reading = read(tmp_path / "table.csv")

    assert len(reading.store) == 6
    assert [(item.count, item.reason) for item in reading.left_out] == [
        (2, "unusable recording: there is no such file")
    ]


def test_a_table_of_recordings_without_a_label_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path,mood\na.wav,happy\nb.wav,sad\n")

    with pytest.raises(DataError, match="which is the label"):
        read(tmp_path / "table.csv")
    with pytest.raises(DataError, match="none of its 2 recordings can be used"):
        read(tmp_path / "table.csv", columns={"label": "mood"})


def test_an_npz_of_waveforms_is_the_arrays(tmp_path: Path) -> None:
    sounds, words, speakers = in_memory(3, 2)
    offsets = np.cumsum([0, *map(len, sounds)])
    wanted = read_recordings(sounds, words, RATE, speaker=speakers).store.digest
    np.savez(tmp_path / "x.npz", X=np.stack(sounds), y=words, rate=RATE, speaker=speakers)
    np.savez(
        tmp_path / "s.npz",
        samples=np.concatenate(sounds), offsets=offsets, label=words, sr=RATE, speakers=speakers,
    )  # fmt: skip

    assert read(tmp_path / "x.npz").store.digest == wanted
    assert read(tmp_path / "s.npz").store.digest == wanted


def test_an_npz_with_a_rate_alone_says_what_is_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", rate=RATE, y=[1, 2])

    with pytest.raises(DataError, match="has a rate but no waveforms"):
        read(tmp_path / "x.npz")


def test_parts_share_no_word_and_no_speaker() -> None:
    sounds, words, speakers = in_memory(16, 16)
    reading = read_recordings(sounds, words, RATE, speaker=speakers)

    family, left_out = class_family(reading)

    store = family.store
    assert store.speakers is not None
    heard = {}
    for part, classes in family.parts.items():
        rows = np.concatenate([store.examples_of[index] for index in classes])
        heard[part] = set(store.speakers[rows].tolist())
        assert len(heard[part]) >= 2
    assert sum(map(len, heard.values())) == len(set.union(*heard.values()))
    assert len(left_out) == 1
    assert left_out[0].count == len(reading.store) - len(store)
    assert "every part has speakers of its own" in left_out[0].reason


def test_with_few_speakers_only_those_of_test_are_kept_apart() -> None:
    sounds, words, speakers = in_memory(16, 4, takes=6)

    family, left_out = class_family(read_recordings(sounds, words, RATE, speaker=speakers))

    store = family.store
    assert store.speakers is not None
    rows = {
        part: np.concatenate([store.examples_of[index] for index in classes])
        for part, classes in family.parts.items()
    }
    in_test = set(store.speakers[rows["test"]].tolist())
    assert len(in_test) == 1
    for part in ("train", "search", "promotion"):
        assert set(store.speakers[rows[part]].tolist()) == {0, 1, 2, 3} - in_test
    assert "'test' has speakers of its own" in left_out[0].reason


@pytest.mark.parametrize(("number", "takes"), [(1, 8), (16, 1)])
def test_where_too_little_would_be_left_speakers_are_shared_and_that_is_told(
    number: int, takes: int
) -> None:
    sounds, words, speakers = in_memory(8, number, takes)
    sounds, words, speakers = sounds[::2], words[::2], speakers[::2]

    family, left_out = class_family(read_recordings(sounds, words, RATE, speaker=speakers))

    assert len(family.store) == len(sounds)
    assert [item.what for item in left_out] == ["the speakers"]
    assert "not kept apart" in left_out[0].reason


def test_a_split_by_speaker_fixes_the_speakers_and_words_are_dealt() -> None:
    sounds, words, speakers = in_memory(16, 12)
    part_of = {
        name: ("train", "val", "test")[i // 4] for i, name in enumerate(sorted(set(speakers)))
    }
    split = [part_of[name] for name in speakers]

    reading = read_recordings(sounds, words, RATE, speaker=speakers, split=split)
    family, _ = class_family(reading)

    assert [info.part for info in reading.store.classes] == [None] * 16
    assert {voice.name: voice.part for voice in reading.store.voices} == part_of
    store = family.store
    assert store.speakers is not None
    rows = np.concatenate([store.examples_of[index] for index in family.parts["test"]])
    heard = {store.voices[index].part for index in store.speakers[rows].tolist()}
    assert heard == {"test"}


def test_a_split_by_word_and_speaker_fixes_both_and_one_by_neither_is_told() -> None:
    sounds, words, speakers = in_memory(16, 12)
    kept = [(w < "w08", s < "s06") for w, s in zip(words, speakers, strict=True)]
    rows = [i for i, (first, second) in enumerate(kept) if first == second]
    split = ["train" if kept[i][0] else "test" for i in rows]
    chosen = ([column[i] for i in rows] for column in (sounds, words, speakers))
    few, of_words, of_speakers = chosen

    both = read_recordings(few, of_words, RATE, speaker=of_speakers, split=split).store
    neither = read_recordings(
        sounds, words, RATE, speaker=speakers, split=["train", "test"] * (len(sounds) // 2)
    )

    assert [info.part for info in both.classes] == ["train"] * 8 + ["test"] * 8
    assert [voice.part for voice in both.voices] == ["train"] * 6 + ["test"] * 6
    assert not any(info.part for info in (*neither.store.classes, *neither.store.voices))
    assert [item.what for item in neither.left_out] == ["the split into train, test"]


def test_a_copy_of_a_recording_in_another_part_is_left_out() -> None:
    sounds, words, _ = in_memory(16, 4)
    family, _ = class_family(read_recordings(sounds, words, RATE))
    train, test = (family.store.examples_of[family.parts[p][0]][0] for p in ("train", "test"))
    sounds[train] = sounds[test]

    again, left_out = class_family(read_recordings(sounds, words, RATE))

    assert len(again.store) == len(sounds) - 1
    assert left_out[-1].reason == "same content in another part"


def test_workers_get_a_family_whose_speakers_are_known(tmp_path: Path) -> None:
    sounds, words, speakers = in_memory(16, 16)
    family, _ = class_family(read_recordings(sounds, words, RATE, speaker=speakers))
    seen = in_view(family, fitted(family, "mfcc"))

    loaded = load_shipped(ship_family(seen, tmp_path / "data"))

    assert loaded.digest == seen.digest
    assert torch.equal(loaded.store.inputs, seen.store.inputs)  # type: ignore[attr-defined]
