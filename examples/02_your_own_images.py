"""Your own folder of classes, from Python: let the loop find a learner, then use it.

    .venv/bin/python examples/02_your_own_images.py FOLDER [--budget 3m] [--out runs/mine]

FOLDER has one folder of images per class. Without one, a small folder of drawn characters is made
in a temporary place, so that the example runs anywhere.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image

import metaloop as ml
from metaloop.tasks.glyphs import read_glyphs


def made_up_folder(folder: Path, num_classes: int = 40) -> Path:
    """Returns a folder of `num_classes` folders with 20 small images each."""
    store = read_glyphs().store
    for index in range(20 * num_classes):
        place = folder / f"class {store.targets[index]:02d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(store.inputs[index, 0].numpy()).save(place / f"{index}.png")
    return folder


parser = argparse.ArgumentParser()
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--budget", default="3m")
parser.add_argument("--out", type=Path)
options = parser.parse_args()

temporary = Path(tempfile.mkdtemp())
folder = options.folder or made_up_folder(temporary / "images")
out = options.out or temporary / "run"

run = ml.learn(folder, budget=options.budget, out=out, progress=True)  # `ml.stream`: the events
print(run.test)
print(f"the whole story: {run.report()}")

# A new task: a handful of images of classes, some of them new. Here three classes, three images.
classes = sorted(path for path in folder.iterdir() if path.is_dir())[:3]
support = [(image, place.name) for place in classes for image in sorted(place.iterdir())[:3]]
queries = [sorted(place.iterdir())[5] for place in classes]
classifier = run.model.fit([image for image, _ in support], [label for _, label in support])
for query, label in zip(queries, classifier.predict(queries), strict=True):
    print(f"{query.parent.name} was taken for {label}")
