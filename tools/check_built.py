"""Check that what is built of the repository can be installed and used by itself.

    python tools/check_built.py [FOLDER]

Builds a source distribution and, from that, a wheel in FOLDER (build/dist), looks whether all files
of the package are in it, installs it in a new environment without the repository, and lets it
print its version, its help and a model card of a model that it has made. The environment sees the
libraries of the one that runs this, so nothing is fetched. Exits 1 with a line on what is wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "metaloop"
USED = """
import metaloop as ml
from pathlib import Path
assert Path(ml.__file__).is_relative_to(Path({environment!r})), ml.__file__
from metaloop.serve import page
assert len(page.files()) == 3
from metaloop.models import onnx_export
for text in ("onnx_runner.txt", "onnx_drawer.txt"):
    assert onnx_export.resources("metaloop.models").joinpath(text).is_file()
data = [[0.0, 1.0], [1.0, 0.0]]
ml.FewShotClassifier().fit(data, ["up", "right"]).save("two.metaloop")
assert ml.load("two.metaloop").predict([[0.1, 0.9]]).tolist() == ["up"]
"""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    folder = Path(arguments[0] if arguments else ROOT / "build" / "dist").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        clean = Path(place)
        source = build_source(folder)
        with tarfile.open(source) as archive:
            archive.extractall(clean, filter="data")
        (unpacked,) = [each for each in clean.iterdir() if each.is_dir()]
        wheel = build_wheel(unpacked, folder)
        missing = missing_files(wheel)
        if missing:
            print(f"{wheel.name} lacks {', '.join(missing)}")
            return 1
        used = use(wheel, clean)
    print(used or f"{source.name} and {wheel.name} can be installed and used")
    return 1 if used else 0


def build_source(folder: Path) -> Path:
    """Returns the source distribution of the repository."""
    code = f"import setuptools.build_meta as b; b.build_sdist({str(folder)!r})"
    with tempfile.TemporaryDirectory() as place:  # so that no egg-info is left behind
        copied = Path(place) / "copy"
        names = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
        copied.mkdir()
        for name in names:
            shutil.copy(ROOT / name, copied / name)
        shutil.copytree(
            ROOT / "src", copied / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        called([sys.executable, "-c", code], copied)
    return next(folder.glob("*.tar.gz"))


def build_wheel(source: Path, folder: Path) -> Path:
    """Returns the wheel that the unpacked source distribution gives."""
    code = f"import setuptools.build_meta as b; b.build_wheel({str(folder)!r})"
    called([sys.executable, "-c", code], source)
    return next(folder.glob("*.whl"))


def missing_files(wheel: Path) -> list[str]:
    """Returns the files of the package that are not in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    wanted = [path for path in PACKAGE.rglob("*") if path.is_file()]
    names = [f"metaloop/{path.relative_to(PACKAGE).as_posix()}" for path in wanted]
    return sorted(n for n in names if "__pycache__" not in n and n not in there)


def use(wheel: Path, place: Path) -> str:
    """Returns what is wrong with the installed wheel; "" if nothing is."""
    environment = place / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    own = called([str(python), "-c", "import sysconfig as s; print(s.get_path('purelib'))"], place)
    with zipfile.ZipFile(wheel) as archive:  # a wheel without scripts of its own is its files
        archive.extractall(own.strip())
    libraries = Path(sysconfig.get_path("purelib"))
    (Path(own.strip()) / "libraries.pth").write_text(f"{libraries}\n")
    work = place / "work"
    work.mkdir()
    try:
        called([str(python), "-c", USED.format(environment=str(environment))], work)
        for words in (["--version"], ["serve", "--help"], ["card", "two.metaloop"]):
            called([str(python), "-m", "metaloop", *words], work)
    except subprocess.CalledProcessError as error:
        return f"the installed wheel fails: {error.stderr.strip().splitlines()[-1]}"
    return ""


def called(words: Sequence[str], folder: Path) -> str:
    """Returns what a command prints; it sees neither the repository nor the user's paths."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        words, cwd=folder, env=clean, capture_output=True, text=True, check=True, timeout=600
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
