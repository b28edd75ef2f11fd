"""Nets of transformers for recordings: small real ones, drawn at random and saved to folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.errors import DataError

_SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def library(working_torchvision: None) -> Any:
    return pytest.importorskip("transformers", reason="pip install 'metaloop[transformers]'")


@pytest.fixture(scope="module")
def waves(library: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A wav2vec 2 of few numbers, in a folder."""
    layers = {"conv_dim": (4, 4), "conv_stride": (20, 8), "conv_kernel": (40, 16)}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = library.Wav2Vec2Config(**_SMALL, **layers, **positions, intermediate_size=8)
    net = library.Wav2Vec2ForCTC(config).eval()
    path = tmp_path_factory.mktemp("hf") / "waves"
    net.save_pretrained(path)
    library.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(path)
    return path, net.wav2vec2


def _recordings() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    values = torch.randint(-9000, 9000, (3, 4000), generator=rng).to(torch.int16)
    return {"values": values, "mask": torch.arange(4000) < torch.tensor([[4000], [2500], [50]])}


@torch.inference_mode()
def test_features_of_recordings_are_the_mean_over_time(waves: tuple[Path, Any]) -> None:
    folder, net = waves
    encoder = open_backbone(f"hf:{folder}", takes="recordings")
    found = encoder.encode(_recordings())
    assert (encoder.card.takes, encoder.card.features) == ("recordings", 8)
    samples = _recordings()["values"][1, :2500].float()
    scaled = (samples - samples.mean()) / samples.std(correction=0)
    expected = net(input_values=scaled[None]).last_hidden_state[0].mean(0)
    torch.testing.assert_close(found[1], expected, atol=1e-4, rtol=1e-3)
    assert bool(found.isfinite().all())  # one of 50 samples, too
    some = {name: tensor[1:] for name, tensor in _recordings().items()}
    assert torch.equal(encoder.encode(some), found[1:])


@torch.inference_mode()
def test_of_whisper_it_is_the_encoder_over_the_times_of_the_recording(
    library: Any, tmp_path: Path
) -> None:
    config = library.WhisperConfig(
        d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, num_mel_bins=10,
        vocab_size=60, max_source_positions=50, max_target_positions=8, pad_token_id=1,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
    )  # fmt: skip
    net = library.WhisperModel(config).eval()
    net.save_pretrained(tmp_path)
    rules = library.WhisperFeatureExtractor(feature_size=10, chunk_length=1)
    rules.save_pretrained(tmp_path)
    encoder = open_backbone(f"hf:{tmp_path}", takes="recordings")
    found = encoder.encode(_recordings())[0]
    samples = (_recordings()["values"][0].float() / 32768).numpy()
    made = rules(samples, sampling_rate=16_000, return_tensors="pt")["input_features"]
    hidden = net.get_encoder()(made).last_hidden_state[0]
    torch.testing.assert_close(found, hidden[:13].mean(0), atol=1e-5, rtol=1e-4)


def test_other_rates_other_nets_and_other_inputs_are_refused_in_one_line(
    waves: tuple[Path, Any], library: Any, tmp_path: Path
) -> None:
    folder, _ = waves
    with pytest.raises(DataError, match="takes no texts"):
        open_backbone(f"hf:{folder}", takes="texts")
    with pytest.raises(DataError, match="takes recordings; choose another"):
        open_backbone(f"hf:{folder}", takes="recordings").encode(torch.zeros(2, 3))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(DataError, match="takes 8000 samples a second; expected 16000"):
        open_backbone(f"hf:{tmp_path}", takes="recordings")
