"""Figures of several seeds of a head: their interval holds that other tracks and other seeds might have been drawn."""

from __future__ import annotations

import numpy as np
import pytest

from crossmodal.judgement import Units
from crossmodal.metrics.bootstrap import bias_corrected, percentiles, sampled_statistic
from crossmodal.tasks import _measures
from crossmodal.tasks._tagsets import Tagset

TRACKS, NAME = 200, "accuracy"
UNITS = Units([f"t{n}" for n in range(TRACKS)], [f"g{n // 2}" for n in range(TRACKS)], draws=400)
TAGSET = Tagset("instrument", ("cello", "ney"), True, {})
TRUTH = np.eye(2, dtype=np.int8)[np.arange(TRACKS) % 2]


def scores(right: float, seed: int) -> np.ndarray:
    """Of a seed that has about this share right."""
    wrong = np.random.default_rng(seed).random(TRACKS) >= right
    return np.where(wrong[:, None], 1 - TRUTH, TRUTH).astype(np.float64)


def test_one_seed_has_the_samples_of_its_figure() -> None:
    one = scores(0.8, 0)
    found = _measures.measured(TAGSET, TRUTH, [one], UNITS, [NAME])[NAME]
    right = one.argmax(axis=1) == TRUTH.argmax(axis=1)
    expected = sampled_statistic(lambda drawn: float(drawn @ right / drawn.sum()), UNITS.groups, 400, 0)
    assert found.samples == pytest.approx(expected)
    assert (found.low, found.high) == percentiles(found.samples)  # a mean
    assert (found.queries, found.groups, found.corrected, found.units) == (TRACKS, TRACKS // 2, False, UNITS.name)
    other = _measures.measured(TAGSET, TRUTH, [one], UNITS)["balanced_accuracy"]
    assert (other.low, other.high, other.corrected) == (*bias_corrected(other.value, other.samples), True)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike, apart = (
        [scores(right, seed) for seed, right in enumerate(rights)] for rights in ([0.7] * 3, [0.5, 0.7, 0.9])
    )
    one, other = (_measures.measured(TAGSET, TRUTH, each, UNITS, [NAME])[NAME] for each in (alike, apart))
    values = [float((each.argmax(axis=1) == TRUTH.argmax(axis=1)).mean()) for each in apart]
    assert other.value == pytest.approx(np.mean(values))
    assert other.samples.var() > np.var(values, ddof=1) / 3  # that of a mean of three seeds alone
    assert other.high - other.low > 2 * (one.high - one.low)
    again = _measures.measured(TAGSET, TRUTH, apart, UNITS, [NAME])[NAME]
    assert np.array_equal(other.samples, again.samples)


def test_systems_draw_their_seeds_apart() -> None:
    """Drawn alike, seeds of two systems that rise alike would cancel out: a difference would seem sure."""
    first, second = (
        _measures.measured(TAGSET, TRUTH, [scores(right + more, 9) for right in (0.5, 0.7, 0.9)], UNITS, [NAME])[NAME]
        for more in (0.0, 0.03)
    )
    between = np.var([0.5, 0.7, 0.9], ddof=1) / 3
    assert (first.samples - second.samples).var() > 1.5 * between


def test_a_sample_without_a_figure_leaves_no_interval() -> None:
    units = Units(["a", "b", "c"], ["a", "b", "c"], draws=50)
    truth = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.int8)
    tagset = Tagset("mood", ("calm", "dark"), False, {})
    made = [truth + np.random.default_rng(seed).random((3, 2)) for seed in range(2)]
    found = _measures.measured(tagset, truth, made, units)["macro_roc_auc"]
    assert (found.low, found.samples, found.groups) == (None, None, 3)
    assert _measures.measured(tagset, truth, made, Units(["a", "b", "c"], "abc", 0))["macro_roc_auc"].low is None
