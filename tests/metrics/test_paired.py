"""Paired tests and pooled seeds: against plain loops, by hand, and by how often they are wrong."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import sampled_means
from crossmodal.metrics.paired import holm, paired_bootstrap, pooled, sign_flip


def systems(seed: int, gap: float, tracks: int = 80, draws: int = 400):
    """Two systems that err on the same tracks, and their paired samples."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=tracks)
    values = [hard + rng.normal(scale=0.2, size=tracks) + shift for shift in (gap, 0.0)]
    return values, [sampled_means(each, range(tracks), draws, seed) for each in values]


def test_a_difference_that_their_intervals_hide_is_seen_in_pairs() -> None:
    (a, b), (drawn_a, drawn_b) = systems(0, gap=0.1)
    one, other = pooled(a.mean(), drawn_a), pooled(b.mean(), drawn_b)
    assert one.low < other.value  # apart, they cannot be told
    found = paired_bootstrap(a.mean(), drawn_a, b.mean(), drawn_b)
    assert found.value == pytest.approx((a - b).mean())
    assert 0 < found.low < found.value < found.high
    assert found.p == 2 / 401
    back = paired_bootstrap(b.mean(), drawn_b, a.mean(), drawn_a)
    assert (back.value, back.low, back.high, back.p) == pytest.approx((-found.value, -found.high, -found.low, found.p))


def test_p_is_below_the_level_where_the_interval_leaves_out_zero() -> None:
    for seed in range(20):
        (a, b), (drawn_a, drawn_b) = systems(seed, gap=0.05)
        found = paired_bootstrap(a.mean(), drawn_a, b.mean(), drawn_b)
        tail = min(sum(d <= 0 for d in drawn_a - drawn_b), sum(d >= 0 for d in drawn_a - drawn_b))
        assert found.p == min(1, 2 * (tail + 1) / 401)
        if abs(found.p - 0.05) > 0.006:
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    same = paired_bootstrap(1.0, np.ones(400), 1.0, np.ones(400))
    assert same == (0, 0, 0, 1)


def bounds(values):
    """The 2.5 % and 97.5 % quantiles, between the two nearest of the sorted values."""
    ordered = sorted(values)
    places = [share * (len(ordered) - 1) for share in (0.025, 0.975)]
    return [
        ordered[int(p)] + (p - int(p)) * (ordered[min(int(p) + 1, len(ordered) - 1)] - ordered[int(p)]) for p in places
    ]


def test_200_pairs_of_systems_equal_a_plain_loop() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, other = rng.integers(-2, 6, size=(2, 41)) / 4 + [[seed % 5 / 4], [0]]  # many are equal
        found = paired_bootstrap(one.mean(), one, other.mean(), other)
        each = [a - b for a, b in zip(one.tolist(), other.tolist(), strict=True)]
        tail = min(sum(d <= 0 for d in each), sum(d >= 0 for d in each))
        expected = [one.mean() - other.mean(), *bounds(each), min(1, 2 * (tail + 1) / 42)]
        assert list(found) == pytest.approx(expected, rel=1e-12, abs=1e-12), seed


def test_200_lists_of_p_equal_holm_s_rule_in_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = (rng.integers(0, 11, size=rng.integers(1, 8)) / 40).tolist()
        ordered = sorted(p)
        steps = [min(1, (len(p) - place) * value) for place, value in enumerate(ordered)]
        expected = [max(step for step, value in zip(steps, ordered, strict=True) if value <= own) for own in p]
        assert holm(p).tolist() == pytest.approx(expected)


def test_one_seed_has_the_plain_interval() -> None:
    (a, _), (drawn, _) = systems(1, gap=0.0)
    found = pooled([a.mean()], drawn[None], seed=5)
    np.testing.assert_array_equal(found.samples, drawn)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert found.value == a.mean()
    assert np.isnan(found.sd)
    assert found.seeds == 1


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_pooled_samples_vary_as_units_and_seeds_do_together(seeds: int) -> None:
    """Of samples that are a unit's part and a seed's, the variance is the sum of both."""
    rng = np.random.default_rng(seeds)
    by_seed = rng.normal(scale=0.5, size=seeds)
    by_unit = rng.normal(scale=0.3, size=40_000)
    found = pooled(by_seed, by_seed[:, None] + by_unit, seed=1)
    assert found.samples.var() == pytest.approx(0.3**2 + by_seed.var(ddof=1) / seeds, rel=0.05)
    assert found.value == pytest.approx(by_seed.mean())
    assert found.sd == pytest.approx(by_seed.std(ddof=1))
    again, other = (pooled(by_seed, by_seed[:, None] + by_unit, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again.samples, found.samples)
    assert (other.samples != found.samples).any()
    alike = pooled([0.4] * seeds, np.tile(by_unit, (seeds, 1)))
    np.testing.assert_allclose(alike.samples, by_unit, atol=1e-12)  # seeds that agree add nothing


def test_seeds_of_two_systems_are_drawn_apart() -> None:
    each = np.array([0.1, 0.5, 0.9])
    samples = np.repeat(each[:, None], 500, axis=1)
    found = paired_bootstrap(each, samples, each, samples)
    assert found.low < -0.2 < 0.2 < found.high  # as good as each other, and as uncertain
    assert found.p > 0.8


def test_sign_flips_equal_a_plain_loop_over_all_of_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.integers(-3, 6, size=8) / 2
        names = np.array(list("aabcdeff"))
        sums = [values[names == name].sum() for name in "abcdef"]
        flips = [abs(sum(s * v for s, v in zip(signs, sums, strict=True))) for signs in product((1, -1), repeat=6)]
        expected = np.mean([flip >= abs(sum(sums)) - 1e-9 for flip in flips])
        assert sign_flip(values, names) == pytest.approx(expected)


def test_sign_flips_of_many_groups_find_what_is_there_and_little_else() -> None:
    rng = np.random.default_rng(0)
    alike = [sign_flip(rng.normal(size=30), draws=99, seed=seed) for seed in range(100)]
    assert 0.01 <= np.mean(np.array(alike) <= 0.05) <= 0.11
    assert sign_flip(rng.normal(loc=1, size=60), draws=999) == 1 / 1000
    groups = np.repeat(np.arange(20), 30)  # 600 values, but 20 artists: their units are no evidence of their own
    values = rng.normal(size=20)[groups] + 0.3
    assert sign_flip(values, draws=999) < 0.01 < sign_flip(values, groups, draws=999)


def test_units_without_a_value_are_left_out() -> None:
    values = np.array([0.5, np.nan, 0.25, 1.0])
    assert sign_flip(values, ["a", "b", "c", "d"]) == sign_flip(values[[0, 2, 3]]) == 2 / 8


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.5]).tolist() == [1, 1]
    assert holm([0.04, np.nan]).tolist() == pytest.approx([0.04, np.nan], nan_ok=True)
    assert holm([]).tolist() == []


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(InputError, match=r"\(2,\), \(3, 10\)"):
        pooled([1, 2], np.zeros((3, 10)))
    with pytest.raises(InputError, match="finite"):
        pooled([1], [[np.nan]])
    with pytest.raises(InputError, match="10 and 11 samples"):
        paired_bootstrap(1, np.zeros(10), 1, np.zeros(11))
    with pytest.raises(InputError, match="at least one"):
        sign_flip([np.nan])
    with pytest.raises(InputError, match="within 0 and 1"):
        holm([1.5])
