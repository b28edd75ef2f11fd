"""A net of your own: any torch module that maps inputs to features `[N, D]`.

.venv/bin/python examples/04_your_own_net.py [--budget 30s]
"""

import argparse
import tempfile
from pathlib import Path

from torch import nn

import metaloop as ml


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

path = Path(tempfile.mkdtemp()) / "model.metaloop"
ml.train("glyphs", "protonet", net=my_net(), budget=options.budget, out=path)

# The file has the weights and the facts; the net's code stays yours.
test = ml.evaluate(path, "glyphs", net=my_net(), episodes=200)
print(f"{test.value:.1%} ± {test.ci95:.1%} on unseen characters, 5-way 1-shot")
