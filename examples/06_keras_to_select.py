"""The textbook's Keras program, turned into `metaloop select` step by step.

The task: tell the ten handwritten digits apart, all their examples given.

.venv/bin/python examples/06_keras_to_select.py [--budget 20s]     (pip install 'metaloop[keras]')
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")  # or tensorflow, if that is installed

import keras
import numpy as np
from sklearn.datasets import load_digits

import metaloop as ml

parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="20s")
options = parser.parse_args()

# The data as the textbook has it: four fifths to learn from, one fifth to test.
images, labels = load_digits(return_X_y=True)
images = (images.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8)
split = np.where(np.random.default_rng(0).permutation(len(labels)) % 5 == 0, "test", "train")
train, test = split == "train", split == "test"

# 1. The textbook: one net, one optimiser, ten epochs, and nobody knows whether others are better.
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(32, (3, 3), activation="relu"),
        keras.layers.MaxPooling2D((2, 2)),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
model.fit(images[train, ..., None] / 255, labels[train], epochs=10, batch_size=32, verbose=0)
answers = keras.ops.convert_to_numpy(model(images[test, ..., None] / 255)).argmax(1)
print(f"the textbook's program  {(answers == labels[test]).mean():.1%}")

# 2. The same data in a file, with its published test part: it stays sealed until the end.
folder = Path(tempfile.mkdtemp())
np.savez(folder / "digits.npz", X=images, y=labels, split=split)

# 3. What was one net is a race: nets, optimisers, augmentations, and frozen backbones if there are.
#    On the command line: metaloop select digits.npz --budget 20s
run = ml.select(folder / "digits.npz", budget=options.budget, out=folder / "run")
print(f"select                  {run.test}")
for row in run.table[:5]:
    print("   ", " | ".join(row[:6]))

# 4. What was model.predict: the file knows how images are made alike, and which classes there are.
#    On the command line: metaloop predict run/model.metaloop new.png
classifier = ml.load(folder / "run")
print(f"loaded again            {classifier.score(images[test], labels[test]):.1%}")
