"""Paired tests and pooled seeds: against plain loops, by hand, and by how often they are wrong."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import bias_corrected, sampled_means, samples
from crossmodal.metrics.multilabel import MultiLabel
from crossmodal.metrics.paired import enough, holm, paired_bootstrap, pooled


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
    drawn = drawn_a - drawn_b  # all are above 0, so their tail is a normal one's
    assert found.p == pytest.approx(2 * NormalDist(drawn.mean(), drawn.std()).cdf(0))
    assert 0 < found.p < 2 / 401
    back = paired_bootstrap(b.mean(), drawn_b, a.mean(), drawn_a)
    assert (back.value, back.low, back.high, back.p) == pytest.approx((-found.value, -found.high, -found.low, found.p))


def test_p_is_below_the_level_where_the_interval_leaves_out_zero() -> None:
    for seed in range(20):
        (a, b), (drawn_a, drawn_b) = systems(seed, gap=0.05)
        found = paired_bootstrap(a.mean(), drawn_a, b.mean(), drawn_b)
        tail = min(sum(d <= 0 for d in drawn_a - drawn_b), sum(d >= 0 for d in drawn_a - drawn_b))
        assert found.p == min(1, 2 * (tail + 1) / 401) or (not tail and found.p < 2 / 401)
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


def ranked(seed: int, draws: int, tracks: int = 120, tags: int = 40):
    """Macro average precision of a good system and of a worse one, and their paired samples: rare tags, much bias."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((tracks, tags)) < 0.06).astype(np.int8)
    truth[:2], truth[2] = 1, 0
    hard = 0.8 * rng.normal(size=truth.shape)
    found = [MultiLabel(truth, gain * truth + hard + 0.6 * rng.normal(size=truth.shape)) for gain in (4, 1)]
    drawn = np.concatenate(list(samples(range(tracks), draws, seed)))
    values = [each.figures(np.ones(tracks, dtype=np.int64))[1] for each in found]
    return values, [np.array([each.figures(row)[1] for row in drawn]) for each in found]


def test_the_interval_of_a_difference_of_what_is_no_mean_lies_about_it() -> None:
    (a, b), (drawn_a, drawn_b) = ranked(0, draws=60)
    plain, corrected = (paired_bootstrap(a, drawn_a, b, drawn_b, corrected=each) for each in (False, True))
    each = (drawn_a - drawn_b).tolist()
    bias = sum(each) / len(each) - (a - b)
    assert corrected[:3] == pytest.approx([a - b, *(bound - bias for bound in bounds(each))])
    assert corrected.p == plain.p
    assert plain.high - plain.value < 0.5 * (plain.value - plain.low)  # the worse one's samples are raised more
    assert corrected.high - corrected.value > 0.7 * (corrected.value - corrected.low)
    back = paired_bootstrap(b, drawn_b, a, drawn_a, corrected=True)
    assert back[:3] == pytest.approx((-corrected.value, -corrected.high, -corrected.low))


def test_systems_that_differ_by_one_unit_are_not_sure_to_differ() -> None:
    """A share of the samples lack the unit: they are equal in these, whatever bias the others seem to have."""
    drawn = np.array([0.0] * 37 + [0.01] * 40 + [0.02] * 15 + [0.03] * 8)
    for value in (drawn.mean() - 0.001, drawn.mean() + 0.001):
        found = paired_bootstrap(value, drawn, 0.0, np.zeros(100), corrected=True)
        assert found.low == pytest.approx(0)
        assert found.p > 0.7
        assert found.high == pytest.approx(np.quantile(drawn, 0.975) + value - drawn.mean())


def test_an_interval_of_a_difference_may_cross_zero_where_its_samples_do_not() -> None:
    drawn = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    found = paired_bootstrap(0.01, drawn, 0.0, np.zeros(5), corrected=True)
    assert found.low < 0 < found.high


@pytest.mark.slow
def test_corrected_intervals_of_differences_miss_as_often_as_they_say() -> None:
    """Of 120 pairs of systems, the difference that is to be expected."""
    cases = [ranked(seed, draws=100) for seed in range(120)]
    expected = np.mean([one - other for (one, other), _ in cases])
    missed = {}
    for corrected in (False, True):
        found = [paired_bootstrap(a, x, b, y, corrected=corrected) for (a, b), (x, y) in cases]
        missed[corrected] = np.mean([not one.low <= expected <= one.high for one in found])
    assert missed[True] <= 0.05 < 0.1 < missed[False]


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


T = {2: 12.706, 3: 4.303, 8: 2.365}  # of a table of Student's distribution: 97.5 %, one degree less than seeds


@pytest.mark.parametrize("seeds", T)
def test_the_interval_of_seeds_alone_is_student_s(seeds: int) -> None:
    by_seed = np.random.default_rng(seeds).normal(scale=0.5, size=seeds)
    found = pooled(by_seed, np.repeat(by_seed[:, None], 400_000, axis=1), seed=1)
    half = T[seeds] * by_seed.std(ddof=1) / np.sqrt(seeds)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.03 * half)
    assert (found.value, found.sd) == pytest.approx((by_seed.mean(), by_seed.std(ddof=1)))
    again, other = (pooled(by_seed, np.repeat(by_seed[:, None], 400, axis=1), seed=seed).samples for seed in (1, 2))
    np.testing.assert_array_equal(again, pooled(by_seed, np.repeat(by_seed[:, None], 400, axis=1), seed=1).samples)
    assert (other != again).any()


@pytest.mark.parametrize("seeds", T)
def test_seeds_add_to_what_units_vary(seeds: int) -> None:
    """Half of the samples lie within what half of such sums lie within; seeds that agree add nothing."""
    rng = np.random.default_rng(seeds)
    by_seed, by_unit = rng.normal(scale=0.5, size=seeds), rng.normal(scale=0.3, size=40_000)
    found = pooled(by_seed, by_seed[:, None] + by_unit)
    error = by_seed.std(ddof=1) / np.sqrt(seeds)
    each = rng.normal(size=(40_000, seeds))  # Student's own: the mean of so many, over its error
    ratios = each.mean(axis=1) / (each.std(axis=1, ddof=1) / np.sqrt(seeds))
    expected = np.quantile(by_seed.mean() + by_unit + error * ratios, [0.25, 0.75])
    assert np.quantile(found.samples, [0.25, 0.75]) == pytest.approx(expected, abs=0.02 * (expected[1] - expected[0]))
    np.testing.assert_allclose(pooled([0.5] * seeds, np.tile(by_unit, (seeds, 1))).samples, by_unit, atol=1e-12)


def test_a_difference_of_seeds_alone_is_welch_s() -> None:
    """By hand: errors 1 and 2 of 2 and 3 seeds; (1 + 4)^2 / (1^2 / 1 + 4^2 / 2) is 25 / 9 degrees; of a table 3.33."""
    one, other = np.array([-1.0, 1.0]), np.array([-np.sqrt(12), 0.0, np.sqrt(12)])
    drawn = [np.repeat(each[:, None], 400_000, axis=1) for each in (one, other)]
    found = paired_bootstrap(one, drawn[0], other, drawn[1])
    assert (found.low, found.high) == pytest.approx((-3.33 * np.sqrt(5), 3.33 * np.sqrt(5)), rel=0.02)
    alone = paired_bootstrap(other, drawn[1], 0.0, drawn[0][0] + 1)  # a single seed adds nothing
    assert (alone.low, alone.high) == pytest.approx((-4.303 * 2, 4.303 * 2), rel=0.02)


def test_as_good_systems_whose_seeds_differ_are_not_told_apart() -> None:
    each = np.array([0.1, 0.5, 0.9])
    samples = np.repeat(each[:, None], 500, axis=1)
    found = paired_bootstrap(each, samples, each, samples)
    assert -1 <= found.low < -0.2 < 0.2 < found.high <= 1  # as good as each other, and as uncertain
    assert found.p > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("apart", [0.15, 0.5])
def test_few_seeds_are_wrong_as_rarely_as_they_say(seeds: int, apart: float) -> None:
    """Of 400 pairs of equal systems whose seeds lie ``apart``, in shares of what lies between tracks."""
    rng, tracks = np.random.default_rng(seeds), 264
    told, covered = [], []
    for trial in range(400):
        hard, drawn = rng.normal(size=tracks), rng.multinomial(tracks, np.full(tracks, 1 / tracks), size=500)
        pair = []
        for _ in range(2):
            values = hard + 0.5 * rng.normal(size=(seeds, tracks)) + apart * rng.normal(size=(seeds, 1))
            pair += [values.mean(axis=1), values @ drawn.T / tracks]
        told.append(paired_bootstrap(*pair, seed=trial).p < 0.05)
        found = pooled(*pair[:2], seed=trial)
        covered.append(found.low <= 0 <= found.high)
    assert np.mean(told) <= 0.06
    assert np.mean(covered) >= 0.93  # of 0.95, less two standard deviations of 400 trials


def test_pooled_samples_keep_the_range_of_a_measure() -> None:
    """Recall of seeds that differ much, and of samples at its end: stretched, it fell to less than nothing."""
    drawn = np.random.default_rng(0).uniform(0, 0.1, size=(2, 400)) + np.array([[0.0], [0.9]])
    found = pooled(drawn.mean(axis=1), drawn)
    assert (found.samples.min(), found.samples.max()) == (0, 1)
    assert 0 <= found.low < found.value < found.high <= 1
    free = pooled(drawn.mean(axis=1) - 0.5, drawn - 0.5)  # no measure of that range
    assert free.samples.min() < -0.5
    assert free.samples.max() > 0.5


def test_the_interval_of_pooled_seeds_is_corrected_where_it_is_asked_for() -> None:
    drawn = np.random.default_rng(0).normal(0.02, 0.05, size=(3, 1000))
    plain, corrected = (pooled([0.0, 0.0, 0.0], drawn, corrected=each) for each in (False, True))
    np.testing.assert_array_equal(plain.samples, corrected.samples)
    assert (corrected.low, corrected.high) == bias_corrected(0.0, corrected.samples)
    assert corrected.high < plain.high


def test_twenty_groups_are_enough() -> None:
    assert [enough(groups) for groups in (19, 20, None)] == [False, True, True]


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
    with pytest.raises(InputError, match="within 0 and 1"):
        holm([1.5])
