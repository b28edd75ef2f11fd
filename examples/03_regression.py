"""Regression by MAML: learn sinusoids of unknown amplitude and phase from ten points.

.venv/bin/python examples/03_regression.py [--budget 30s]
"""

import argparse

import numpy as np

from metaloop import FewShotRegressor
from metaloop.models import evaluate_model, train_model
from metaloop.models.training import Trained

parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="30s")
options = parser.parse_args()

*_, last = train_model("sinusoid", "maml", budget=options.budget, shots=10, queries=10)
assert isinstance(last, Trained)
result = evaluate_model(last.model, "sinusoid", episodes=1000)
print(f"squared error {result.value:.2f} ± {result.ci95:.2f} on {result.episodes} new sinusoids")

x = np.linspace(-5, 5, 10).reshape(-1, 1)
y = 3.0 * np.sin(x[:, 0] - 1.0)
regressor = FewShotRegressor(last.model).fit(x, y)
untrained = FewShotRegressor().fit(x, y)  # ridge regression on the raw input
between = np.linspace(-4.5, 4.5, 50).reshape(-1, 1)
for name, fitted in (("MAML", regressor), ("ridge on raw inputs", untrained)):
    error = np.mean((fitted.predict(between) - 3.0 * np.sin(between[:, 0] - 1.0)) ** 2)
    print(f"{name}: squared error {error:.2f} between the ten points")
