"""Nets of transformers as frozen encoders: small real ones, saved to folders as users have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.errors import DataError

SIDE = 16  # pixels
HOW = "preprocessor_config.json"


@pytest.fixture(scope="module")
def library(working_torchvision: None) -> Any:
    return pytest.importorskip("transformers", reason="pip install 'metaloop[transformers]'")


def _small(library: Any, kind: str) -> Any:
    """A net of that kind with few parameters, drawn at random."""
    body = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    body |= {"intermediate_size": 8, "image_size": SIDE, "patch_size": 8}
    if kind == "vit":
        return library.ViTForImageClassification(library.ViTConfig(**body))
    if kind == "dinov2":
        return library.Dinov2Model(library.Dinov2Config(**body))
    if kind == "clip":
        text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        text |= {"intermediate_size": 8, "vocab_size": 20, "max_position_embeddings": 6}
        config = library.CLIPConfig(text_config=text, vision_config=body, projection_dim=6)
        return library.CLIPModel(config)
    if kind == "bert":
        return library.BertModel(library.BertConfig(**body, vocab_size=20))
    config = library.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])
    return library.ResNetModel(config)


@pytest.fixture(scope="module")
def folder_of(
    library: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Any]]:
    """Saves a small net of a kind, once, and gives its folder and the net."""
    made: dict[str, tuple[Path, Any]] = {}

    def folder(kind: str) -> tuple[Path, Any]:
        if kind not in made:
            path = tmp_path_factory.mktemp("hf") / kind
            net = _small(library, kind).eval()
            net.save_pretrained(path)
            how = {"size": {"height": SIDE, "width": SIDE}, "resample": 3}
            how |= {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25]}
            (path / HOW).write_text(json.dumps(how))
            (path / "README.md").write_text(
                "---\nlicense: mit\ndatasets:\n- imagenet-1k\n- own\n---\n# A net\n"
            )
            made[kind] = path, net
        return made[kind]

    return folder


@pytest.fixture
def images() -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, SIDE, SIDE), generator=rng).byte()


def _prepared(images: Tensor) -> Tensor:
    mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / torch.tensor([0.2, 0.3, 0.25]).view(1, 3, 1, 1)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "resnet", "clip"])
@torch.inference_mode()
def test_features_are_those_of_the_library(
    kind: str, folder_of: Callable[[str], tuple[Path, Any]], images: Tensor
) -> None:
    folder, net = folder_of(kind)
    pixels = _prepared(images)
    if kind == "clip":
        expected = net.visual_projection(net.vision_model(pixel_values=pixels).pooler_output)
    elif kind == "resnet":
        expected = net(pixel_values=pixels).pooler_output.flatten(1)
    else:
        expected = (net.vit if kind == "vit" else net)(pixel_values=pixels).last_hidden_state[:, 0]
    encoder = open_backbone(f"hf:{folder}")
    found = encoder.encode(images)
    assert expected.std() > 0
    assert encoder.card.features == expected.shape[1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert open_backbone(str(folder)).card.weights == encoder.card.weights


def test_the_card_says_what_the_folder_says(
    library: Any, folder_of: Callable[[str], tuple[Path, Any]]
) -> None:
    card = open_backbone(f"hf:{folder_of('dinov2')[0]}").card
    assert (card.licence, card.knows, card.size) == ("mit", "imagenet-1k, own", SIDE)
    assert card.version == f"transformers {library.__version__}"


def _copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_checkpoint_of_torch_is_read_as_tensors(
    folder_of: Callable[[str], tuple[Path, Any]], images: Tensor, tmp_path: Path
) -> None:
    folder, _ = folder_of("resnet")
    copy = _copy(folder, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(tensors, copy / "pytorch_model.bin")
    found = open_backbone(f"hf:{copy}")
    assert torch.equal(found.encode(images), open_backbone(f"hf:{folder}").encode(images))
    torch.save(torch.nn.Linear(2, 2), copy / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"asks for 'torch\.nn\.modules.linear.Linear'"):
        open_backbone(f"hf:{copy}")


def _written(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def _only(folder: Path, count: int) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(dict(list(tensors.items())[:count]), folder / "model.safetensors")


def _infinite(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    next(iter(tensors.values())).fill_(torch.inf)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("[1"), "cannot be read"),
        (lambda f: (f / "config.json").write_text("[1]"), "no JSON object"),
        (lambda f: _written(f, model_type="nobodys"), "of a kind .'nobodys'."),
        (lambda f: _written(f, hidden_size=1 << 14), "weights have fewer"),
        (lambda f: _written(f, hidden_size=12), "weights are not those"),
        (lambda f: _written(f, hidden_size="many"), "cannot be made|of a kind"),
        (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10"), "no file of weights|damaged"),
        (lambda f: _only(f, 3), "weights are not those .* missing"),
        (_infinite, "not finite"),
        (lambda f: (f / HOW).write_text('{"image_mean": [1]}'), "prepared"),
        (lambda f: (f / HOW).write_text('{"size": 100000}'), "100000 pixels"),
    ],
)  # fmt: skip
def test_a_folder_with_something_wrong_is_told_in_one_line(
    harm: Callable[[Path], None],
    told: str,
    folder_of: Callable[[str], tuple[Path, Any]],
    tmp_path: Path,
) -> None:
    copy = _copy(folder_of("vit")[0], tmp_path / "copy")
    harm(copy)
    with pytest.raises(DataError, match=told) as error:
        open_backbone(f"hf:{copy}")
    assert "\n" not in str(error.value)


def test_code_that_a_folder_brings_is_not_run(
    folder_of: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    copy = _copy(folder_of("vit")[0], tmp_path / "copy")
    trace = tmp_path / "trace"
    (copy / "own.py").write_text(f"open({str(trace)!r}, 'w')\nclass Own: pass\n")
    own = {"AutoConfig": "own.Own", "AutoModel": "own.Own"}
    for changes in ({"auto_map": own, "model_type": "own"}, {"auto_map": own}):
        _written(copy, **changes)
        if "model_type" in changes:
            with pytest.raises(DataError, match="cannot make by itself"):
                open_backbone(f"hf:{copy}")
            _written(copy, model_type="vit")
        else:
            open_backbone(f"hf:{copy}")  # as if there was no code
        assert not trace.exists()


def test_a_net_for_texts_is_refused(folder_of: Callable[[str], tuple[Path, Any]]) -> None:
    with pytest.raises(DataError, match=r"\(bert\) takes no images"):
        open_backbone(f"hf:{folder_of('bert')[0]}")


def _tokens(folder: Path) -> None:
    """Rules by which words are tokens, as the library saves them."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmno"]
    rules = {
        "version": "1.0", "truncation": None, "padding": None, "decoder": None,
        "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)},
                  "unk_token": "[UNK]"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(rules))
    how = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 12}
    how |= {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(how))


@torch.inference_mode()
def test_features_of_texts_are_the_mean_of_the_tokens(
    folder_of: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, net = folder_of("bert")
    copy = _copy(folder, tmp_path / "copy")
    _tokens(copy)
    encoder = open_backbone(f"hf:{copy}", takes="texts")
    texts = ("a b", "c", "a zzz o", "", "b a " * 20)
    ids = [[2, 5, 6, 3], [2, 7, 3], [2, 5, 1, 19, 3], [2, 3], [2, *[6, 5] * 5, 3]]
    expected = torch.cat(
        [net(input_ids=torch.tensor([each])).last_hidden_state.mean(1) for each in ids]
    )
    torch.testing.assert_close(encoder.encode(texts), expected, atol=1e-5, rtol=1e-4)
    card = encoder.card
    assert (card.takes, card.features, card.licence) == ("texts", 8, "mit")
    (copy / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    assert open_backbone(f"hf:{copy}", takes="texts").card.weights != card.weights


def test_a_net_for_images_and_one_without_tokens_are_refused_for_texts(
    folder_of: Callable[[str], tuple[Path, Any]],
) -> None:
    for kind, told in (("vit", "takes no texts"), ("clip", "takes no texts"), ("bert", "no rules")):
        with pytest.raises(DataError, match=told):
            open_backbone(f"hf:{folder_of(kind)[0]}", takes="texts")


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(
    library: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        open_backbone(f"hf:{tmp_path / 'nothing'}")


class _Hub(BaseHTTPRequestHandler):
    """What the hub answers for one repository, as far as a download asks."""

    folder: ClassVar[Path]
    asked: ClassVar[list[str]] = []
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, with_content: bool) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/api/models/someone/net/"):
            names = [{"rfilename": file.name} for file in sorted(self.folder.iterdir())]
            said = {"id": "someone/net", "modelId": "someone/net", "sha": self.commit}
            content = json.dumps({**said, "siblings": names, "private": False}).encode()
            if "/tree/" in self.path:
                files = sorted(self.folder.iterdir())
                tree = [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": f.name}
                    for f in files
                ]
                content = json.dumps(tree).encode()
        elif self.path.startswith(f"/someone/net/resolve/{self.commit}/"):
            content = (self.folder / self.path.rpartition("/")[2]).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{abs(hash(content)):x}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: Any) -> Iterator[type[_Hub]]:
    """A hub on this machine, and an empty cache."""
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", here)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", here + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    _Hub.asked.clear()
    yield _Hub
    server.shutdown()
    server.server_close()


def test_weights_are_downloaded_when_asked_for_and_then_kept(
    hub: type[_Hub], folder_of: Callable[[str], tuple[Path, Any]], images: Tensor
) -> None:
    hub.folder, _ = folder_of("resnet")
    with pytest.raises(DataError, match="not on this machine; download them with --download"):
        open_backbone("hf:someone/net")
    assert not hub.asked
    found = open_backbone("hf:someone/net", download=True)
    assert found.card.name == "hf:someone/net"
    assert torch.equal(found.encode(images), open_backbone(f"hf:{hub.folder}").encode(images))
    count = len(hub.asked)
    assert count > 0
    again = open_backbone("hf:someone/net")
    assert again.card == found.card
    assert len(hub.asked) == count  # from the cache


def test_a_name_that_the_hub_has_not_is_told(hub: type[_Hub], tmp_path: Path) -> None:
    hub.folder = tmp_path
    with pytest.raises(DataError, match=r"backbone 'hf:no-one/net' cannot be downloaded") as error:
        open_backbone("hf:no-one/net", download=True)
    assert "\n" not in str(error.value)


BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")'  # as the real one says it


def _opened_apart(folder: Path, first: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """What becomes of opening a folder in a fresh process, in which `paths` come first."""
    script = (
        f"{first}\nfrom metaloop.catalogue.backbones import open_backbone\n"
        f"print(open_backbone({f'hf:{folder}'!r}).card.features)"
    )
    path = os.pathsep.join([*map(str, paths), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_torchvision_for_another_torch_is_told_with_the_remedy(
    folder_of: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    for name, text in (
        ("torchvision/__init__.py", BROKEN),
        (
            "torchvision-9.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: torchvision\nVersion: 9",
        ),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    done = _opened_apart(folder_of("vit")[0], "", tmp_path)
    assert done.returncode != 0
    line = done.stderr.strip().splitlines()[-1]
    assert "a torchvision that was built for another torch is the usual reason" in line
    assert "pip uninstall torchvision, which it does not need" in line


@pytest.mark.long
def test_without_torchvision_a_net_is_opened_as_the_remedy_says(
    folder_of: Callable[[str], tuple[Path, Any]],
) -> None:
    done = _opened_apart(folder_of("vit")[0], "import sys; sys.modules['torchvision'] = None")
    assert done.stdout.strip() == "8", done.stderr
