"""Uses a metaloop model in a program of Keras on TensorFlow; says `done` if all went well.

Run by a test in a fresh interpreter: `program_with_tensorflow.py MODEL`.
"""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
import tensorflow
import torch

import metaloop as ml
from metaloop.core.errors import MetaloopError
from metaloop.guests.keras import as_arrays, as_layer, as_net

assert keras.backend.backend() == "tensorflow"
path = sys.argv[1]
pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 12, 1)).astype(np.uint8)
model = ml.load(path).model
raw = torch.from_numpy(pixels).permute(0, 3, 1, 2)
expected = model.learner.embed(model.meta_params, model.input_format.to_float(raw)).detach()
layer = as_layer(path)
np.testing.assert_allclose(layer(pixels).numpy(), expected, rtol=1e-5)

head = keras.Sequential([keras.Input((12, 12, 1)), layer, keras.layers.Dense(2)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
head.compile(optimizer=keras.optimizers.Adam(0.1), loss=loss)
inputs, labels = pixels / np.float32(255), np.arange(8) % 2
first = head.evaluate(inputs, labels, verbose=0)
head.fit(inputs, labels, epochs=10, verbose=0)
assert head.evaluate(inputs, labels, verbose=0) < 0.5 * first
np.testing.assert_allclose(layer(inputs).numpy(), expected, rtol=1e-4, atol=1e-5)
assert layer.trainable_variables == []

dataset = tensorflow.data.Dataset.from_tensor_slices((pixels.astype("float32"), labels))
for known in (dataset, dataset.batch(3), dataset.batch(3).map(lambda x, y: (x, y[:, None]))):
    X, y = as_arrays(known)
    np.testing.assert_array_equal(X, pixels)
    np.testing.assert_array_equal(y, labels)
classifier = ml.load(path).fit(*as_arrays(dataset.batch(3)))
answers = np.concatenate([classifier.predict(x) for x, _ in dataset.batch(3)])
np.testing.assert_array_equal(answers, classifier.predict(pixels))
with pytest.raises(MetaloopError, match=r"never ends; leave \.repeat"):
    as_arrays(dataset.batch(3).repeat())

net = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Flatten()])
with pytest.raises(MetaloopError, match=r"runs on tensorflow.*KERAS_BACKEND=torch"):
    as_net(net, (1, 12, 12))
with pytest.raises(MetaloopError, match=r"KERAS_BACKEND=torch"):
    ml.train("sinusoid", "maml", net=net)
print("done")  # noqa: T201
