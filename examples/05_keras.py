"""The textbook's Keras program, then the same net as a learner, then one that has learned to learn.

The task: tell the ten handwritten digits apart from five examples of each.

.venv/bin/python examples/05_keras.py [--budget 30s]        (pip install 'metaloop[keras]')
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # or tensorflow, if that is installed

import keras
import numpy as np
from sklearn.datasets import load_digits

import metaloop as ml

parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="30s")
options = parser.parse_args()

# 50 digits to learn from, the others to be told apart: grey images of 8 x 8 pixels.
images, labels = load_digits(return_X_y=True)
images = (images.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8)
rng = np.random.default_rng(0)
few = np.concatenate([rng.permutation(np.flatnonzero(labels == d))[:5] for d in range(10)])
others = np.setdiff1d(np.arange(len(labels)), few)

# 1. The textbook: a small convolutional net that knows these 50 images and nothing else.
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
model.fit(images[few, ..., None] / 255, labels[few], epochs=10, batch_size=32, verbose=0)
answers = keras.ops.convert_to_numpy(model(images[others, ..., None] / 255)).argmax(1)
print(f"the textbook's program  {(answers == labels[others]).mean():.1%}")

# 2. The same net by name: a learner like any other, which `evaluate` measures on many tasks.
# 3. A learner that was trained on glyphs first: printed characters, none of them handwritten.
for name in ("keras_cnn", "protonet"):
    trained = ml.train("glyphs", name, budget=options.budget)
    classifier = trained.model.fit(images[few], labels[few])
    right = (classifier.predict(images[others]) == labels[others]).mean()
    print(f"{name:<23} {right:.1%}")
