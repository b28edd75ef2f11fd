"""Regression by MAML: learn sinusoids of unknown amplitude and phase from ten points.

.venv/bin/python examples/03_regression.py [--budget 30s]
"""

import argparse

import numpy as np

import metaloop as ml

parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="30s")
options = parser.parse_args()

trained = ml.train("sinusoid", "maml", budget=options.budget, shots=10, queries=10)
test = ml.evaluate(trained, "sinusoid", episodes=1000)
print(f"squared error {test.value:.2f} ± {test.ci95:.2f} on {test.episodes} new sinusoids")

x = np.linspace(-5, 5, 10).reshape(-1, 1)
y = 3.0 * np.sin(x[:, 0] - 1.0)
regressor = trained.model.fit(x, y)
untrained = ml.FewShotRegressor().fit(x, y)  # ridge regression on the raw input
between = np.linspace(-4.5, 4.5, 50).reshape(-1, 1)
for name, fitted in (("MAML", regressor), ("ridge on raw inputs", untrained)):
    error = np.mean((fitted.predict(between) - 3.0 * np.sin(between[:, 0] - 1.0)) ** 2)
    print(f"{name}: squared error {error:.2f} between the ten points")
