"""A net of your own: any torch module that maps inputs to features `[N, D]`.

.venv/bin/python examples/04_your_own_net.py [--budget 30s]
"""

import argparse
import tempfile
from pathlib import Path

from torch import nn

from metaloop.models import evaluate_model, load_model, train_model
from metaloop.models.training import Trained


def my_net() -> nn.Module:
    """Returns a small net for 28x28 grey images; it starts from the weights it has."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
    )


parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="30s")
options = parser.parse_args()

*_, last = train_model("glyphs", "protonet", net=my_net(), budget=options.budget)
assert isinstance(last, Trained)
path = Path(tempfile.mkdtemp()) / "model.metaloop"
last.model.save(path)  # the weights and the facts; the net's code stays yours

model = load_model(path, net=my_net())
result = evaluate_model(model, "glyphs", episodes=200)
print(f"{result.value:.1%} ± {result.ci95:.1%} on unseen characters, 5-way 1-shot")
