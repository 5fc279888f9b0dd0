"""Metrics of tags with scores, against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from crossmodal.errors import InputError
from crossmodal.metrics.tagging import average_precision, brier, calibration_error


@pytest.fixture(params=[0, 1, 2])
def items(request):
    """Scores with ties, labels, weights of which some are 0, and words."""
    rng = np.random.default_rng(request.param)
    scores = rng.integers(-3, 12, size=80) / 10
    return scores, rng.random(80) < 0.3, rng.integers(0, 4, size=80) / 2, rng.integers(0, 3, size=80)


def test_average_precision_is_scikit_learn_s_with_ties_and_weights(items):
    scores, labels, weights, _ = items
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))
    weighted = average_precision_score(labels, scores, sample_weight=weights)
    assert average_precision(scores, labels, weights) == pytest.approx(weighted)


def test_average_precision_with_weights_is_that_of_repeated_items(items):
    scores, labels, weights, _ = items
    repeated = np.repeat(np.arange(80), (2 * weights).astype(int))
    assert average_precision(scores[repeated], labels[repeated]) == pytest.approx(
        average_precision(scores, labels, weights)
    )


def test_average_precision_of_what_nothing_has_is_not_a_number():
    assert np.isnan(average_precision(np.arange(3.0), np.zeros(3, bool)))
    assert np.isnan(average_precision(np.arange(2.0), np.array([True, False]), np.array([0, 1])))
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, bool)))


def by_loops(scores, labels, weights, words, bins):
    total = 0.0
    for word in sorted(set(words)):
        for number in range(bins):
            low, high = number / bins, (number + 1) / bins
            inside = [
                row
                for row in range(len(scores))
                if words[row] == word
                and (
                    low <= scores[row] < high
                    or (number == 0 and scores[row] < 0)
                    or (number == bins - 1 <= scores[row] * bins)
                )
            ]
            mass = sum(weights[row] for row in inside)
            if mass:
                said = sum(weights[row] * scores[row] for row in inside) / mass
                true = sum(weights[row] * labels[row] for row in inside) / mass
                total += mass * abs(said - true)
    return total / sum(weights)


def test_200_cases_equal_plain_loops():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scores, labels = rng.integers(-2, 12, size=14) / 10 + 0.003, rng.random(14) < 0.4
        weights, words = rng.integers(1, 4, size=14) / 2, rng.integers(2, size=14)
        rows = list(zip(scores.tolist(), labels.tolist(), weights.tolist(), strict=True))
        hits = [(s, w) for s, label, w in rows if label]
        shares = [sum(w for s, w in hits if s >= t) / sum(w for s, _, w in rows if s >= t) for t, _ in hits]
        mass = sum(w for _, w in hits)
        precise = sum(p * w for p, (_, w) in zip(shares, hits, strict=True)) / mass if hits else np.nan
        assert average_precision(scores, labels, weights) == pytest.approx(precise, rel=1e-12, nan_ok=True)
        squares = sum(w * (s - label) ** 2 for s, label, w in rows) / weights.sum()
        assert brier(scores, labels, weights) == pytest.approx(squares, rel=1e-12)
        each = by_loops(scores.tolist(), labels.tolist(), weights.tolist(), words.tolist(), 4)
        assert calibration_error(scores, labels, weights, words, 4) == pytest.approx(each, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_by_loops(items, bins):
    scores, labels, weights, words = items
    scores = scores + 0.003  # off the borders of bins, where a rounding would choose
    assert calibration_error(scores, labels, weights, words, bins) == pytest.approx(
        by_loops(scores, labels, weights, words, bins)
    )
    none = np.zeros(80, int)
    assert calibration_error(scores, labels, bins=bins) == pytest.approx(
        by_loops(scores, labels, np.ones(80), none, bins)
    )


def test_words_that_are_told_too_high_and_too_low_do_not_make_up_for_each_other():
    scores, labels = np.full(4, 0.5), np.array([True, True, False, False])
    assert calibration_error(scores, labels) == 0
    assert calibration_error(scores, labels, words=np.array([0, 0, 1, 1])) == 0.5


def test_brier_by_hand():
    scores, labels = np.array([1.0, 0.5, 0.0]), np.array([True, False, True])
    assert brier(scores, labels) == pytest.approx((0 + 0.25 + 1) / 3)
    assert brier(scores, labels, np.array([1, 2, 0])) == pytest.approx(0.5 / 3)


def test_shapes_that_do_not_fit_are_told():
    with pytest.raises(InputError, match=r"\(3,\), \(2,\) \(bool\) and \(3,\)"):
        brier(np.zeros(3), np.zeros(2, bool))
    with pytest.raises(InputError, match="int64"):
        average_precision(np.zeros(3), np.zeros(3, int))
    with pytest.raises(InputError, match=r"and \(4,\)"):
        calibration_error(np.zeros(3), np.zeros(3, bool), np.ones(4))
