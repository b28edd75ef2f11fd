"""Named random streams: the same names, the same numbers; nothing global."""

from __future__ import annotations

import torch

from metaloop.core.randomness import derive_seed, numpy_stream, torch_stream


def test_seeds_depend_on_every_name_and_their_order() -> None:
    names: list[tuple[str | int, ...]] = [(), ("a",), ("a", "b"), ("b", "a"), ("a", 1), ("a", 2)]
    seeds = {derive_seed(seed, *each) for seed in (0, 1) for each in names}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, "batch", 7) == 6790798840944659594


def test_streams_repeat_and_leave_the_global_state_alone() -> None:
    state = torch.random.get_rng_state()
    assert numpy_stream(1, "x").random() == numpy_stream(1, "x").random()
    draws = [torch.rand(3, generator=torch_stream(1, "x")) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(torch.random.get_rng_state(), state)
