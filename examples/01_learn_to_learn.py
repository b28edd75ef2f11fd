"""The whole idea in one short file: learn from characters of fonts how to learn characters,
then learn real handwritten digits, which were never seen, from one example of each.

    .venv/bin/python examples/01_learn_to_learn.py [--budget 60s]
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import metaloop as ml
from metaloop.core.randomness import numpy_stream

parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="60s")
options = parser.parse_args()

# One level up: minimise, over theta, the loss of what the learner becomes on tasks it has not seen.
trained = ml.train("glyphs", "protonet", budget=options.budget)
print(f"meta-trained for {trained.steps} steps on {trained.training.data_name}")

# One level down: D = {(x, y)} with one x per y, then A(x; theta) on 1,787 others.
digits = load_digits()
rng = numpy_stream(0, "example")
one_each = [int(rng.choice((digits.target == digit).nonzero()[0])) for digit in range(10)]
others = [index for index in range(len(digits.target)) if index not in one_each]

learner = trained.model.fit(digits.images[one_each], digits.target[one_each])
learned = learner.score(digits.images[others], digits.target[others])

pixels = LogisticRegression(C=10).fit(digits.data[one_each] / 16, digits.target[one_each])
plain = pixels.score(digits.data[others] / 16, digits.target[others])

print(f"digits from one example each: {learned:.1%} (logistic regression on pixels {plain:.1%})")
