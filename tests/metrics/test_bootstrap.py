from __future__ import annotations

import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import bias_corrected, bootstrap, percentiles, sampled_means, sampled_statistic
from crossmodal.metrics.multilabel import MultiLabel


def test_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=2000)
    mean, low, high = bootstrap(values, draws=2000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_equals_a_plain_loop_over_groups() -> None:
    values, groups = [0.0, 1.0, 1.0, 0.0, 1.0], ["b", "a", "a", "c", "b"]
    members = [[1.0, 1.0], [0.0, 1.0], [0.0]]  # a, b, c
    rng = np.random.default_rng(5)
    means = []
    for _ in range(50):
        drawn = [value for group in rng.integers(3, size=3) for value in members[group]]
        means.append(sum(drawn) / len(drawn))
    found = bootstrap(values, groups, draws=50, seed=5, level=0.8)
    assert found == pytest.approx((0.6, np.quantile(means, 0.1), np.quantile(means, 0.9)))


def test_200_cases_equal_a_plain_loop() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values, groups = rng.integers(5, size=12) / 4, rng.integers(6, size=12)
        members = [values[groups == group].tolist() for group in np.unique(groups)]
        draw, means = np.random.default_rng(seed), []
        for _ in range(21):
            drawn = [value for group in draw.integers(len(members), size=len(members)) for value in members[group]]
            means.append(sum(drawn) / len(drawn))
        means.sort()
        expected = sum(values.tolist()) / 12, means[2], means[18]
        assert bootstrap(values, groups, draws=21, seed=seed, level=0.8) == pytest.approx(expected, rel=1e-12)


def test_groups_that_are_alike_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(1).random(40), 25)
    apart, together = bootstrap(values), bootstrap(values, np.repeat(np.arange(40), 25))
    assert together.mean == apart.mean
    assert 4 < (together.high - together.low) / (apart.high - apart.low) < 6  # sqrt(25) = 5


def test_order_of_grouped_values_does_not_matter_and_the_seed_does() -> None:
    rng = np.random.default_rng(2)
    values, groups, order = rng.random(60), rng.integers(9, size=60), rng.permutation(60)
    assert bootstrap(values, groups) == pytest.approx(bootstrap(values[order], groups[order]), rel=1e-12)
    assert bootstrap(values, groups) == bootstrap(values, groups)
    assert bootstrap(values, groups, seed=1).low != bootstrap(values, groups).low


def test_level_widens() -> None:
    values = np.random.default_rng(3).random(100)
    narrow, wide = bootstrap(values, level=0.5), bootstrap(values, level=0.99)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_queries_without_a_value_are_left_out() -> None:
    assert bootstrap([0.0, np.nan, 1.0, np.nan], ["a", "b", "c", "c"]) == bootstrap([0.0, 1.0])
    assert bootstrap([2.0]) == (2.0, 2.0, 2.0)


def test_bad_arguments_are_refused() -> None:
    for values in ([], [np.nan], [1.0, np.inf]):
        with pytest.raises(InputError, match="must be finite"):
            bootstrap(values)
    with pytest.raises(InputError, match=r"groups \(1,\)"):
        bootstrap([1.0, 2.0], ["a"])
    with pytest.raises(InputError, match="draws are 0"):
        bootstrap([1.0], draws=0)
    with pytest.raises(InputError, match="level is 95"):
        bootstrap([1.0], level=95)


def test_the_samples_of_a_mean_are_those_of_the_mean_as_a_statistic() -> None:
    values, groups = np.random.default_rng(0).random(40), np.arange(40) // 4
    direct = sampled_means(values, groups, 300, seed=3)
    general = sampled_statistic(lambda drawn: float(np.average(values, weights=drawn)), groups, 300, seed=3)
    assert general == pytest.approx(direct)
    assert bootstrap(values, groups, 300, seed=3)[1:] == pytest.approx(np.quantile(direct, [0.025, 0.975]))


def test_bias_corrected_percentiles_by_hand() -> None:
    samples = np.arange(1001.0)  # their mean is 500
    assert percentiles(samples) == pytest.approx((25, 975))
    assert bias_corrected(300.0, samples) == pytest.approx((-175, 775))
    assert bias_corrected(500.0, samples) == pytest.approx(percentiles(samples))  # no bias
    shares = np.linspace(0.1, 0.3, 1001)
    assert bias_corrected(0.05, shares) == pytest.approx((0, 0.145))  # a share is not below 0


def test_the_interval_of_average_precision_holds_the_figure() -> None:
    """Percentiles of the samples alone lie above a figure of few positives."""
    rng = np.random.default_rng(0)
    labels = rng.permuted(np.repeat(np.arange(300)[:, None] < 12, 60, axis=1), axis=0)
    scores = rng.normal(size=(300, 60)) + labels
    table = MultiLabel(labels.astype(np.int8), scores)
    value = table.macro()[1]
    samples = sampled_statistic(lambda drawn: table.macro(drawn)[1], np.arange(300), 200, 0)
    samples = samples[np.isfinite(samples)]
    low, high = bias_corrected(value, samples)
    assert percentiles(samples)[0] > value
    assert low < value < high
