"""How many images a second a net embeds on one core, by how many are embedded at once.

    .venv/bin/python benchmarks/embedding.py [--side 32] [--channels 3] [--images 1024] [--json]

A batch whose activations do not fit the processor's cache is slower, most of all where the
allocator gives memory back to the kernel after each: `kept` is with `keep_large_blocks`, as in
training.
Ratios are to the smallest batch of the same net.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from metaloop.catalogue.nets import build_net, companions
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.engine.memory import keep_large_blocks

AT_ONCE = (32, 64, 128, 512)
ROUNDS = 3


def images_per_second(
    input_format: InputFormat, images: torch.Tensor, at_once: int
) -> dict[str, float]:
    """Returns the best of a few rounds for every net, by its name."""
    speeds = {}
    for choice in companions(input_format):
        net = build_net(choice, input_format)
        meta_params = net.init(torch_stream(0, "init"))
        best = 0.0
        for _ in range(ROUNDS):
            start = time.perf_counter()
            with torch.no_grad():
                for chunk in torch.split(images, at_once):
                    net(meta_params, chunk)
            best = max(best, len(images) / (time.perf_counter() - start))
        speeds[choice.name] = best
    return speeds


def main() -> None:
    """Reads the arguments, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    shape = (asked.channels, asked.side, asked.side)
    ones = (1.0,) * asked.channels
    input_format = InputFormat("image", shape, ones, ones)
    images = torch.rand(asked.images, *shape, generator=torch_stream(0, "images"))
    table = {}
    for memory in ("given back", "kept"):
        if memory == "kept":
            keep_large_blocks()
        for at_once in AT_ONCE:
            table[f"{memory}, {at_once}"] = images_per_second(input_format, images, at_once)
    if asked.json:
        print(json.dumps(table))
        return
    for title, speeds in table.items():
        first = table[f"{title.rpartition(', ')[0]}, {AT_ONCE[0]}"]
        figures = "   ".join(
            f"{name} {speed:6.0f} ({speed / first[name]:.2f})" for name, speed in speeds.items()
        )
        print(f"{title:16s} {figures}")


if __name__ == "__main__":
    main()
