"""A prior from matrices with gaps: what was planted in them is found again."""

import numpy as np
import pytest

from metaloop.selection.deriving import Source, derived_prior
from metaloop.selection.prior import NoiseModel, Prior

NAMES = ("a", "b", "c")
MEANS = np.array([-0.1, 0.0, 0.1])
OWN = np.diag([0.1, 0.1, 0.02]) ** 2
LEVEL = 0.02


def planted(sets: int, seed: int = 0) -> np.ndarray:
    """Errors whose angles have these means, an own variance each, and a common level."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0.6, LEVEL**0.5, (sets, 1))
    angles = level + MEANS + rng.normal(size=(sets, 3)) @ np.sqrt(OWN)
    return np.sin(angles.clip(0, np.pi / 2)) ** 2


def derived(*sources: Source, names: tuple[str, ...] = NAMES) -> Prior:
    return derived_prior(sources, names, noise=NoiseModel(), seconds={}, provenance={})


def source(name: str, errors: np.ndarray, families: tuple[str, ...] = ()) -> Source:
    sets = tuple(f"{name} {place}" for place in range(len(errors)))
    return Source(name, sets, NAMES, errors, families)


def test_planted_means_and_covariance_are_recovered() -> None:
    prior = derived(source("s", planted(600)))
    np.testing.assert_allclose(prior.means, MEANS, atol=0.015)
    contrast = np.array([1.0, -1.0, 0.0])
    assert contrast @ prior.covariance @ contrast == pytest.approx(0.02, rel=0.2)
    assert prior.covariance[2, 2] - LEVEL < 0.5 * (prior.covariance[0, 0] - LEVEL)


def test_gaps_do_not_move_the_means_of_what_is_left() -> None:
    errors = planted(600)
    hard = errors[:, 1] > np.median(errors[:, 1])
    errors[hard, 0] = np.nan  # a was measured on easy data sets alone
    np.testing.assert_allclose(derived(source("s", errors)).means, MEANS, atol=0.03)


def test_another_source_tells_of_what_the_first_has_not_measured() -> None:
    first = planted(100)
    first[:, 2] = np.nan
    second = planted(300, seed=1)
    prior = derived(source("own", first), source("other", second))
    np.testing.assert_allclose(prior.means, MEANS, atol=0.03)


def test_relatives_count_as_one_data_set_together() -> None:
    errors = planted(60)
    copied = np.concatenate([errors, np.repeat(errors[:1], 200, axis=0)])
    families = (*(f"f{place}" for place in range(60)), *(["f0"] * 200))
    np.testing.assert_allclose(
        derived(source("s", copied, families)).means, derived(source("s", errors)).means, atol=0.005
    )


def test_what_is_left_out_is_not_seen() -> None:
    errors = planted(20)
    whole = source("s", errors)
    left = whole.without({"s 3", "s 7"})
    assert len(left.data_sets) == 18
    np.testing.assert_array_equal(left.errors, np.delete(errors, [3, 7], axis=0))


def test_the_portfolio_begins_with_what_is_best_and_goes_on_with_what_differs() -> None:
    rng = np.random.default_rng(0)
    alike = rng.uniform(0.2, 0.3, 100)
    other = np.where(np.arange(100) % 4 == 0, 0.05, 0.5)
    errors = np.stack([alike, alike + 0.001, other], axis=1)
    assert derived(source("s", errors)).portfolio[:2] == ("a", "c")


def test_without_data_sets_or_measurements_there_is_no_prior() -> None:
    with pytest.raises(ValueError, match="there are none"):
        derived(source("s", np.empty((0, 3))))
    with pytest.raises(ValueError, match="no source has measured"):
        derived(source("s", planted(5)), names=("a", "d"))
