"""Uses a metaloop model as a layer of Keras on TensorFlow; says `done` if all is as it should be.

Run by a test in a fresh interpreter: `program_with_tensorflow.py MODEL`.
"""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.core.errors import MetaloopError
from metaloop.guests.keras import as_layer, as_net

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

net = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Flatten()])
with pytest.raises(MetaloopError, match=r"runs on tensorflow.*KERAS_BACKEND=torch"):
    as_net(net, (1, 12, 12))
with pytest.raises(MetaloopError, match=r"KERAS_BACKEND=torch"):
    ml.train("sinusoid", "maml", net=net)
print("done")  # noqa: T201
