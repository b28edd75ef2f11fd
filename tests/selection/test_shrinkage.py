"""The posterior of pipelines, against arithmetic by hand and against what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.errors import DataError
from metaloop.selection.prior import NoiseModel, Prior, as_record, load_prior, prior_of
from metaloop.selection.shrinkage import (
    expected_gain,
    next_to_try,
    noise_of_rate,
    paired_noise,
    posterior,
)


def two(own_share: float = 1.0, scale: str = "log", level: float = 1e6) -> Prior:
    return Prior(
        names=("a", "b"),
        means=np.array([0.0, 0.1]),
        covariance=np.array([[0.02, 0.0], [0.0, 0.02]]),
        noise=NoiseModel(own_share, 1.0),
        scale=scale,
        level_variance=level,
        portfolio=("a", "b"),
        seconds={},
        provenance={},
    )


def difference(prior: Prior, gap: float, variance: float) -> float:
    """The posterior mean of log b - log a where both have this variance of the logarithm."""
    scores = {"a": (1.0, variance), "b": (float(np.exp(gap)), variance * np.exp(2 * gap))}
    known = posterior(prior, scores)
    return float(known.means[1] - known.means[0])


def test_two_scores_with_an_unknown_level_are_shrunk_as_by_hand() -> None:
    # the difference has prior N(0.1, 0.04) and a measurement of -0.1 with variance 2 x 0.02
    assert difference(two(), -0.1, 0.02) == pytest.approx((0.1 + -0.1) / 2, abs=1e-4)


def test_noise_that_all_share_does_not_count() -> None:
    # with a quarter of its own, the measured difference has variance 2 x 0.02 / 4
    expected = (0.1 / 0.04 - 0.1 / 0.01) / (1 / 0.04 + 1 / 0.01)
    assert difference(two(own_share=0.25), -0.1, 0.02) == pytest.approx(expected, abs=1e-4)


@given(st.floats(-0.5, 0.5), st.floats(1e-4, 0.1), st.floats(1.1, 5.0))
def test_more_noise_means_closer_to_the_prior(gap: float, variance: float, times: float) -> None:
    near = abs(difference(two(), gap, variance * times) - 0.1)
    assert near <= abs(difference(two(), gap, variance) - 0.1) + 1e-5


@given(
    st.dictionaries(st.sampled_from(["a", "b", "new"]), st.floats(0.0, 1.0), min_size=1),
    st.integers(10, 10_000),
)
@settings(max_examples=30)
def test_a_score_never_makes_anything_less_certain(errors: dict[str, float], rows: int) -> None:
    prior = two(0.5, "angle", 0.1)
    known = posterior(prior, {name: (e, noise_of_rate(e, rows)) for name, e in errors.items()})
    before = np.diag(prior.including(errors).covariance) + prior.level_variance
    assert (np.diag(known.covariance) <= before + 1e-9).all()
    assert sum(known.chances().values()) == pytest.approx(1.0)
    assert known.best in errors


def test_many_rows_believe_the_scores_and_few_the_prior() -> None:
    scores = {"a": 0.2, "b": 0.15}
    few = posterior(
        two(0.5, "angle", 1.0), {n: (e, noise_of_rate(e, 5)) for n, e in scores.items()}
    )
    many = posterior(
        two(0.5, "angle", 1.0), {n: (e, noise_of_rate(e, 1e6)) for n, e in scores.items()}
    )
    assert few.best == "a" and many.best == "b"
    assert many.errors["b"] == pytest.approx(0.15, abs=0.001)
    low, high = many.interval("b")
    assert low < 0.15 < high and high - low < 0.01


def test_a_pipeline_that_was_not_tried_is_predicted_from_what_was() -> None:
    covariance = np.array([[0.04, 0.038], [0.038, 0.04]])
    prior = Prior(
        ("a", "b"), np.zeros(2), covariance, NoiseModel(), "log", 1e-3, ("a", "b"), {}, {}
    )
    assert posterior(prior, {"a": (0.5, 1e-6)}).errors["b"] == pytest.approx(0.5, rel=0.05)


def test_what_is_expected_to_gain_most_per_second_is_tried_next() -> None:
    prior = two(0.5, "angle", 1.0)
    known = posterior(prior, {"a": (0.2, noise_of_rate(0.2, 500))})
    assert next_to_try(known, {"b": 1.0, "a": 1.0}, 1e-5) == "b"
    assert next_to_try(known, {"b": 1e9, "a": 1e9}, 1e-5) == "b"  # all equally dear
    assert next_to_try(known, {}, 1e-5) is None


def test_a_race_stops_where_nothing_can_be_told_apart_any_more() -> None:
    prior = two(0.5, "angle", 1.0)
    scores = {"a": (0.05, noise_of_rate(0.05, 1e5)), "b": (0.3, noise_of_rate(0.3, 1e5))}
    assert next_to_try(posterior(prior, scores), {"a": 1.0, "b": 1.0}, 1e-4) is None
    blind = posterior(prior, {"a": (0.2, noise_of_rate(0.2, 500))})
    assert expected_gain(blind, "b", 10.0) < expected_gain(blind, "b", 1e-5)


def test_the_noise_of_rows_that_all_get_wrong_cancels_in_differences() -> None:
    losses = np.zeros((2, 100))
    losses[:, :30] = 1.0
    losses[1, 30:34] = 1.0
    noise = paired_noise(losses)
    apart = noise[0, 0] + noise[1, 1] - 2 * noise[0, 1]
    assert apart < 0.1 * (noise[0, 0] + noise[1, 1])
    assert noise[0, 0] == pytest.approx(0.3 * 0.7 / 99, rel=0.05)


def test_the_shipped_priors_load_and_survive_writing() -> None:
    for kind in ("classification", "regression"):
        prior = load_prior(kind)
        again = prior_of({"format": 1, kind: as_record(prior)}, kind)
        assert again.names == prior.names and set(prior.portfolio) == set(prior.names)
        np.testing.assert_allclose(again.covariance, prior.covariance, atol=1e-6)
        assert {"extra_trees", "hist_boosting", "logistic"} <= set(prior.names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": [0.0]}, "as many means"),
        ({"means": [0.0, float("nan")]}, "finite"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "no direction has less than 0"),
        ({"names": ["a", "a"]}, "each once"),
        ({"scale": "percent"}, "scale"),
        ({"portfolio": ["c"]}, "does not know"),
        ({"noise": {}}, "damaged"),
    ],
)
def test_a_damaged_prior_is_refused_in_one_line(change: dict[str, object], message: str) -> None:
    record = {"format": 1, "classification": {**as_record(two()), **change}}
    with pytest.raises(DataError, match=message):
        prior_of(record, "classification")


def test_scores_that_are_no_errors_are_refused() -> None:
    for error in (float("nan"), -0.1, 1.2):
        with pytest.raises(ValueError, match=r"mean errors|error rates"):
            posterior(two(0.5, "angle", 1.0), {"a": (error, 0.01)})
