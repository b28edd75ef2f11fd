"""Generation as a user drives it: from a folder of drawings to new ones, and what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import metaloop as ml
from metaloop.catalogue.candidates import catalogue_candidates
from metaloop.cli import run
from metaloop.core.errors import InputError
from metaloop.core.inputs import InputFormat
from metaloop.core.spec import TaskSpec
from metaloop.loop.settings import Settings
from metaloop.models.sheets import Row, not_shown

Typed = Callable[..., tuple[int, str, str]]
SMALL = ("--objective", "generation", "--image-size", "12")


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Returns what runs a command: exit code, stdout and stderr."""

    def command(*words: Any) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def model(drawings: Path, tmp_path: Path) -> Iterator[Path]:
    """A model file of the trivial mixture, which is made in no time."""
    path = tmp_path / "mixture.metaloop"
    ml.train(drawings, "blurred_mixture", out=path, objective="generation", image_size=12, shots=3)
    return path


def _pixels(file: Path, side: int | None = None) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image if side is None else image.resize((side, side)))


def test_from_a_folder_of_drawings_to_new_ones(
    typed: Typed, drawings: Path, tmp_path: Path, json_contract: Any
) -> None:
    path = tmp_path / "set.metaloop"
    words = ("--learner", "set_pixelcnn", "--budget", "4steps", "--shots", 3, "--queries", 2)
    code, out, err = typed("train", drawings, *SMALL, *words, "--out", path, "-q")
    assert code == 0, err
    assert "set_pixelcnn / pixelcnn: 4 steps" in out and "bits_per_dim" in out
    code, out, err = typed("evaluate", path, drawings, "--episodes", 4, "--json")
    assert code == 0, err
    figures = json.loads(out)
    json_contract.check("evaluate", figures)
    assert figures["metric"] == "bits_per_dim" and 0 < figures["value"] < 1.2
    few = ("generate", path, "--support", drawings / "class03", "--count", 3)
    code, out, err = typed(*few, "--out", tmp_path / "one")
    assert code == 0, err
    assert out.splitlines()[-1] == f"sheet  {tmp_path / 'one' / 'sheet.png'}"
    assert "48 x 48 pixels become 12 x 12" in err
    made = [_pixels(tmp_path / "one" / f"{place}.png") for place in (1, 2, 3)]
    assert all(image.shape == (12, 12) for image in made)
    assert {value for image in made for value in np.unique(image)} <= {0, 255}
    assert _pixels(tmp_path / "one" / "sheet.png").shape[1] > 200
    code, out, _ = typed(*few, "--out", tmp_path / "again", "--json")
    json_contract.check("generate", json.loads(out))
    for name in ("1.png", "2.png", "3.png", "sheet.png"):
        same = [(tmp_path / folder / name).read_bytes() for folder in ("one", "again")]
        assert same[0] == same[1]
    typed(*few, "--out", tmp_path / "other", "--seed", 1)
    assert (tmp_path / "other" / "1.png").read_bytes() != (tmp_path / "one/1.png").read_bytes()


def test_a_folder_of_folders_is_several_classes(
    typed: Typed, model: Path, drawings: Path, tmp_path: Path
) -> None:
    code, out, err = typed(
        "generate", model, "--support", drawings, "--count", 2, "--out", tmp_path / "all", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert [each["name"] for each in told["classes"]] == [f"class{k:02d}" for k in range(16)]
    assert all(Path(file).exists() for each in told["classes"] for file in each["files"])
    assert told["levels"] == 2 and told["shape"] == [1, 12, 12]


def test_samples_of_the_mixture_look_like_their_class(model: Path, drawings: Path) -> None:
    supports = [
        [_pixels(file, 12) for file in sorted(folder.iterdir())]
        for folder in sorted(drawings.iterdir())[:4]
    ]
    generator = ml.load(model)
    right = 0
    for own, support in enumerate(supports):
        assert isinstance(generator, ml.FewShotGenerator)
        drawn = generator.fit(np.stack(support)).sample(8, seed=own)
        assert drawn.shape == (8, 12, 12) and drawn.dtype == np.uint8
        means = np.stack([np.mean(each, 0) for each in supports])
        apart = ((drawn[:, None].astype(float) - means) ** 2).mean((2, 3))
        right += int((apart.argmin(1) == own).sum())
    assert right >= 24  # of 32


def test_a_fitted_generator_is_saved_with_its_support(
    model: Path, drawings: Path, tmp_path: Path
) -> None:
    images = [str(file) for file in sorted((drawings / "class01").iterdir())]
    generator = ml.load(model).fit(images)
    assert isinstance(generator, ml.FewShotGenerator)
    generator.save(tmp_path / "fitted.metaloop")
    again = ml.load(tmp_path / "fitted.metaloop")
    assert isinstance(again, ml.FewShotGenerator)
    assert (again.sample(3) == generator.sample(3)).all()
    assert again.score_samples(images) == pytest.approx(generator.score_samples(images))
    bits = -again.score(images) / (144 * np.log(2))
    assert again.bits_per_dim(images) == pytest.approx(bits)
    with pytest.raises(InputError, match="one class"):
        generator.fit(images, [0, 0, 0, 1, 1, 1])
    with pytest.raises(InputError, match="at least 1"):
        generator.sample(0)
    with pytest.raises(InputError, match="needs a model"):
        ml.FewShotGenerator().fit(images)


def test_what_is_wrong_with_a_support_is_said_in_one_line(
    typed: Typed, model: Path, drawings: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"this is no image")
    (tmp_path / "pixel").mkdir()
    Image.new("L", (1, 1)).save(tmp_path / "pixel" / "a.png")
    fine, pixel = Image.new("L", (9, 9)), Image.new("L", (1, 1))
    fine.save(tmp_path / "pages.tif", save_all=True, append_images=[pixel])
    with zipfile.ZipFile(tmp_path / "pages.zip", "w") as archive:
        archive.write(tmp_path / "pages.tif", "c/pages.tif")
    for archive_of, name in (("flat", "a.png"), ("classes", "c/a.png")):
        with zipfile.ZipFile(tmp_path / f"{archive_of}.zip", "w") as archive:
            archive.write(drawings / "class00" / "0.png", f"{name[:-5]}0.png")
            archive.write(tmp_path / "pixel" / "a.png", name)
    np.savez(tmp_path / "pixel.npz", X=np.zeros((3, 1, 1), np.uint8), y=np.zeros(3, int))
    shutil.copytree(drawings / "class00", tmp_path / "taken")
    for support, out, said in (
        ("empty", "new", "has no images; give a folder with a few of one class"),
        ("broken", "new", "'a.png'"),
        ("pixel", "new", "'a.png' is 1 x 1 pixels; an image to learn from has 2 or more"),
        ("flat.zip", "new", "'a.png' is 1 x 1 pixels; an image to learn from has 2 or more"),
        ("classes.zip", "new", "'a.png' is 1 x 1 pixels; an image to learn from has 2 or more"),
        ("pages.zip", "new", "is 1 x 1 pixels; an image to learn from has 2 or more"),
        ("pixel.npz", "new", "image 1 is 1 x 1 pixels; an image to learn from has 2 or more"),
        ("missing", "new", "does not exist"),
        ("missing.zip", "new", "does not exist"),
        ("taken", "taken", "already exists"),
    ):
        words = ("generate", model, "--support", tmp_path / support, "--out", tmp_path / out)
        code, printed, err = typed(*words)
        assert code == 2 and printed == "" and said in err, (support, err)
        assert err.count("\n") == 1 and "Traceback" not in err
    words = ("generate", model, "--support", tmp_path / "taken", "--out", tmp_path / "b")
    for temperature in (0, "nan", "inf"):
        code, _, err = typed(*words, "--temperature", temperature)
        assert code == 2 and "above 0" in err and not (tmp_path / "b").exists()
    code, _, err = typed("predict", model, "--support", drawings, tmp_path / "taken" / "0.png")
    assert code == 2 and "metaloop generate" in err


def test_every_class_has_a_folder_of_its_own_in_the_new_one_whatever_it_is_called(
    typed: Typed, model: Path, tmp_path: Path
) -> None:
    names = ["..", "", ".", "a/b", "a-b", "sheet.png", "n" * 400, "日" * 200, "B", "b", "class"]
    images = np.random.default_rng(0).integers(0, 2, (2 * len(names), 9, 9), np.uint8) * 255
    np.savez(tmp_path / "odd.npz", X=images, y=np.repeat(names, 2))
    before = {path.name for path in tmp_path.iterdir()}
    words = ("generate", model, "--support", tmp_path / "odd.npz", "--count", 1, "--json")
    code, out, err = typed(*words, "--out", tmp_path / "made")
    assert code == 0, err
    told = json.loads(out)["classes"]
    files = [file for each in told for file in each["files"]]
    assert sorted(each["name"] for each in told) == sorted(names)
    assert len({str(Path(file).parent).casefold() for file in files}) == len(names)
    assert all(Path(file).resolve().parent.parent == tmp_path / "made" for file in files)
    assert {path.name for path in tmp_path.iterdir()} == before | {"made"}
    assert (tmp_path / "made" / "sheet.png").is_file()


def test_one_image_repeated_is_told_and_used(
    typed: Typed, model: Path, drawings: Path, tmp_path: Path
) -> None:
    (tmp_path / "same").mkdir()
    for number in range(3):
        shutil.copy(drawings / "class00" / "0.png", tmp_path / "same" / f"{number}.png")
    words = ("generate", model, "--support", tmp_path / "same", "--count", 1)
    code, _, err = typed(*words, "--out", tmp_path / "made")
    said = "'same': all 3 images are the same: the class is known by one"
    assert code == 0 and err.count(said) == 1
    with zipfile.ZipFile(tmp_path / "same.zip", "w") as archive:
        for number in range(3):
            archive.write(drawings / "class00" / "0.png", f"{number}.png")
    pixels = np.repeat(_pixels(drawings / "class00" / "0.png")[None], 3, 0)
    np.savez(tmp_path / "same.npz", X=pixels, y=np.repeat("same", 3))
    for support in ("same.zip", "same.npz"):
        words = ("generate", model, "--support", tmp_path / support, "--count", 1)
        code, _, err = typed(*words, "--out", tmp_path / f"made {support}")
        assert code == 0 and err.count(said) == 1


def test_a_zip_of_nothing_but_images_is_one_class_as_a_folder_is(
    typed: Typed, model: Path, drawings: Path, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    shutil.copytree(drawings / "class03", shown)
    with zipfile.ZipFile(tmp_path / "shown.zip", "w") as archive:
        for file in shown.iterdir():
            archive.write(file, file.name)
        archive.writestr("notes.txt", "no image")
    told = []
    for support in (shown, tmp_path / "shown.zip"):
        words = ("generate", model, "--support", support, "--count", 2, "--json")
        code, out, err = typed(*words, "--out", tmp_path / f"of {support.name}")
        assert code == 0 and "48 x 48 pixels become 12 x 12" in err, err
        told.append(json.loads(out)["classes"][0])
    assert [(each["name"], each["support"]) for each in told] == [("shown", 6)] * 2
    first, second = ([Path(file).read_bytes() for file in each["files"]] for each in told)
    assert first == second


def test_python_is_told_what_the_command_is(model: Path, drawings: Path, tmp_path: Path) -> None:
    generator: Any = ml.load(model)
    fine = [str(file) for file in sorted((drawings / "class00").iterdir())[:2]]
    pixel = Image.new("L", (1, 1))
    pixel.save(tmp_path / "pixel.png")
    for X in ([*fine, tmp_path / "pixel.png"], [*map(Image.open, fine), pixel],
              [*fine, (tmp_path / "pixel.png").read_bytes()]):  # fmt: skip
        with pytest.raises(InputError, match=r"X\[2\]: the image is 1 x 1 pixels"):
            generator.fit(X)
    with pytest.raises(InputError, match=r"X\[0\]: the image is 1 x 9 pixels"):
        generator.fit(np.zeros((3, 9, 1), np.uint8))
    with pytest.warns(UserWarning, match="all 2 images are the same: the class is known by one"):
        generator.fit([fine[0], fine[0]])
    generator.fit(fine[:1])


def test_the_temperature_changes_what_is_drawn_and_classes_have_streams_of_their_own(
    typed: Typed, drawings: Path, tmp_path: Path
) -> None:
    path = tmp_path / "set.metaloop"
    words = ("--learner", "set_pixelcnn", "--budget", "2steps", "--shots", 3, "--queries", 2)
    code, _, err = typed("train", drawings, *SMALL, *words, "--out", path, "-q")
    assert code == 0, err
    two = tmp_path / "two"
    for name in ("one", "other"):  # of the same images, so that nothing but the stream differs
        shutil.copytree(drawings / "class03", two / name)
    drawn = {}
    for out, more in (("a", ()), ("b", ("--seed", 1)), ("c", ("--temperature", 1))):
        few = ("generate", path, "--support", two, "--count", 2, "--out", tmp_path / out)
        code, _, err = typed(*few, *more)
        assert code == 0, err
        for name in ("one", "other"):
            drawn[out, name] = [
                (tmp_path / out / name / f"{place}.png").read_bytes() for place in (1, 2)
            ]
    assert len({tuple(images) for images in drawn.values()}) == len(drawn)
    assert drawn["a", "other"] != drawn["b", "one"]
    alone = ("generate", path, "--support", two / "one", "--count", 2, "--out", tmp_path / "d")
    assert typed(*alone)[0] == 0
    generator = ml.load(path).fit([str(file) for file in sorted((two / "one").iterdir())])
    assert isinstance(generator, ml.FewShotGenerator)
    same = generator.sample(2, seed=0)
    assert (_pixels(tmp_path / "d" / "1.png") == same[0]).all()
    assert generator.usual_temperature == 0.5  # of drawings
    assert (generator.sample(2, seed=0, temperature=0.5) == same).all()
    assert (generator.sample(2, seed=0, temperature=1.0) != same).any()


def test_of_several_tries_the_one_is_kept_that_the_support_speaks_most_for(
    typed: Typed, drawings: Path, tmp_path: Path
) -> None:
    path = tmp_path / "set.metaloop"
    words = ("--learner", "set_pixelcnn", "--budget", "2steps", "--shots", 3, "--queries", 2)
    assert typed("train", drawings, *SMALL, *words, "--out", path, "-q")[0] == 0
    shown = drawings / "class03"
    generator = ml.load(path).fit([str(file) for file in sorted(shown.iterdir())])
    assert isinstance(generator, ml.FewShotGenerator)
    drawn, kept = generator.sample(8, seed=5), generator.sample(2, seed=5, tries=4)
    task = generator.task_
    learner: Any = task.model.learner
    ink = torch.from_numpy(drawn < 128).float().unsqueeze(1)  # as the model has it
    told = learner.told_by_support(task.model.meta_params, task.state, ink).view(2, 4)
    assert told.unique().numel() > 2
    assert (kept == drawn.reshape(2, 4, *drawn.shape[1:])[[0, 1], told.argmax(1)]).all()
    words = ("generate", path, "--support", shown, "--count", 2, "--seed", 5, "--tries", 4)
    assert typed(*words, "--out", tmp_path / "made")[0] == 0
    assert (_pixels(tmp_path / "made" / "2.png") == kept[1]).all()
    code, _, err = typed(*words[:-1], 101, "--out", tmp_path / "many")
    assert code == 2 and "1 to 100; got 101" in err and not (tmp_path / "many").exists()


def test_nothing_is_made_where_model_or_support_are_none(
    typed: Typed, model: Path, drawings: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.metaloop"
    ml.train(drawings, "nearest_centroid", out=other, image_size=12, ways=2, queries=2)
    for path, support, said in (
        (other, drawings, "makes no images"),
        (tmp_path / "missing.metaloop", drawings, "missing.metaloop"),
        (model, tmp_path / "nowhere", "does not exist"),
    ):
        words = ("generate", path, "--support", support, "--out", tmp_path / "new")
        code, _, err = typed(*words)
        assert code == 2 and said in err and not (tmp_path / "new").exists()


def test_what_a_sheet_has_no_room_for_is_said(typed: Typed, model: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 2, (52 * 2, 9, 9), np.uint8) * 255
    np.savez(tmp_path / "many.npz", X=images, y=np.repeat([f"c{n:02d}" for n in range(52)], 2))
    words = ("generate", model, "--support", tmp_path / "many.npz", "--count", 17)
    code, _, err = typed(*words, "--out", tmp_path / "made")
    assert code == 0
    assert "the sheet has not all of it: 50 of 52 classes, 16 of 17 images made of one" in err
    row = Row(np.zeros((10, 4, 4), np.uint8), np.zeros((16, 4, 4), np.uint8))
    assert not_shown([row] * 50) == ""
    assert not_shown([Row(np.zeros((11, 4, 4), np.uint8), row.samples)]) == (
        "10 of 11 images shown of a class"
    )


@pytest.mark.long
def test_colours_of_256_levels_are_learned_and_made_by_the_commands(
    typed: Typed, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (16, 1, 1, 1, 3))
    noise = rng.integers(-20, 20, (16, 5, 6, 6, 3))
    images = np.clip(colours + noise, 0, 255).astype(np.uint8).reshape(-1, 6, 6, 3)
    np.savez(tmp_path / "colours.npz", X=images, y=np.repeat(np.arange(16), 5))
    words = ("--objective", "generation", "--shots", 2, "--queries", 2, "--budget", "12steps", "-q")
    model = tmp_path / "colours.metaloop"
    data = ("train", tmp_path / "colours.npz", "--image-size", 6, "--learner", "set_pixelcnn")
    code, _, err = typed(*data, *words, "--out", model)
    assert code == 0, err
    support = tmp_path / "support"
    support.mkdir()
    for place in range(3):
        Image.fromarray(images[place]).save(support / f"{place}.png")
    few = ("generate", model, "--support", support, "--count", 2, "--json")
    code, told, err = typed(*few, "--out", tmp_path / "made")
    assert code == 0, err
    assert json.loads(told)["shape"] == [3, 6, 6] and json.loads(told)["levels"] == 256
    assert _pixels(tmp_path / "made" / "1.png").shape == (6, 6, 3)


def test_the_default_race_has_every_learner_that_looks_at_what_it_is_shown() -> None:
    for levels, shape in ((2, (1, 12, 12)), (256, (3, 8, 8))):
        channels = shape[0]
        known = InputFormat("image", shape, (0.5,) * channels, (0.5,) * channels, levels=levels)
        spec = TaskSpec(0, 3, 2, shape, "generation", (levels,))
        names = {each.learner.name for each in catalogue_candidates(known, spec)}
        assert names == {"blurred_mixture", "fomaml_pixelcnn", "set_pixelcnn", "set_vae"}


def test_images_of_a_single_pixel_are_refused_in_one_line(typed: Typed, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16 * 4, 1, 1), np.uint8)
    np.savez(tmp_path / "pixels.npz", X=images, y=np.repeat(np.arange(16), 4))
    words = ("train", tmp_path / "pixels.npz", "--objective", "generation", "-q")
    code, out, err = typed(*words, "--learner", "pixelcnn", "--out", tmp_path / "m.metaloop")
    assert code == 2 and out == "" and err.count("\n") == 1, err
    assert "every image of pixels is of one colour, as single pixels are" in err


def test_data_that_cannot_be_generated_are_refused_in_one_line(
    typed: Typed, drawings: Path, tmp_path: Path
) -> None:
    np.savez(
        tmp_path / "v.npz", X=np.random.default_rng(0).normal(size=(64, 5)), y=[*range(16)] * 4
    )
    single, equal = tmp_path / "single", tmp_path / "equal"
    for name in range(16):
        for folder, source in (
            (single, drawings / f"class{name:02d}"),
            (equal, drawings / "class00"),
        ):
            (folder / str(name)).mkdir(parents=True)
            for number in range(1 if folder == single else 3):
                shutil.copy(
                    source / ("0.png" if folder == equal else f"{number}.png"),
                    folder / str(name) / f"{number}.png",
                )
    common = ("--learner", "blurred_mixture", "--out", tmp_path / "x.metaloop", "-q")
    for data, more, said in (
        (tmp_path / "v.npz", ("--objective", "generation"), "about images; v has vectors: leave"),
        ("sinusoid", ("--objective", "generation"), "about classes of images; sinusoid has none"),
        (single, SMALL, "no class has at least 2 usable examples"),
        (equal, SMALL, "equal: 36 examples occur in several parts; without them part 'train' has"),
        (
            drawings,
            ("--objective", "generation", "--image-size", "100"),
            "at 2 to 64 pixels a side, drawings has 100 x 100; give another --image-size",
        ),
        (drawings, ("--objective", "regression"), "leave --objective away, or ask for generation"),
        (drawings, ("--objective", "generatoin"), "'generatoin'; did you mean 'generation'"),
    ):
        code, out, err = typed("train", data, *common, *more)
        assert code == 2 and out == "" and said in err, (data, err)
        assert len(err.splitlines()) == 1, err


@pytest.mark.long
def test_learn_chooses_among_generators_and_goes_on_after_it_was_stopped(
    drawings: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {
        "objective": "generation", "image_size": 8, "shots": 3, "queries": 2, "workers": 1,
        "budget": "20steps", "out": tmp_path / "run",
        "settings": Settings(
            learners=("blurred_mixture", "set_pixelcnn"), race_episodes=10, episodes=10,
            round_episodes=10, final_episodes=10, test_episodes=10,
        ),
    }  # fmt: skip
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen > 12

    first = ml.learn(drawings, stop=stop, **asked)
    assert first.status == "interrupted"
    done = ml.learn(drawings, resume=True, **asked)
    assert done.status == "finished" and done.test is not None
    assert done.test.metric == "bits_per_dim"
    names = {row["learner"] for row in done.to_json()["leaderboard"]}
    assert {"blurred_mixture", "set_pixelcnn"} <= names
    drawn = done.model.fit([str(f) for f in (drawings / "class05").iterdir()])
    assert isinstance(drawn, ml.FewShotGenerator) and drawn.sample(2).shape == (2, 8, 8)
