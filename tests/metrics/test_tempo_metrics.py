"""Tempo accuracies against a plain loop, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.metrics.tempo import accuracy_1, accuracy_2, evaluate


def test_200_random_tracks_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(40, 240, size=200)
    estimated = true * rng.choice([1, 2, 3, 1 / 2, 1 / 3, 1.5], size=200) * rng.uniform(0.93, 1.07, size=200)
    first = [abs(e - t) <= 0.04 * t for t, e in zip(true, estimated, strict=True)]
    second = [
        any(abs(e - f * t) <= 0.04 * f * t for f in (1, 2, 3, 1 / 2, 1 / 3))
        for t, e in zip(true, estimated, strict=True)
    ]
    assert accuracy_1(true, estimated).tolist() == first
    assert accuracy_2(true, estimated).tolist() == second
    assert 0 < sum(first) < sum(second) < 200
    assert evaluate(true, estimated) == {"accuracy_1": np.mean(first), "accuracy_2": np.mean(second)}


def test_the_bounds_are_included() -> None:
    assert accuracy_1([100, 100, 100, 100], [104, 96, 104.01, 95.99]).tolist() == [True, True, False, False]
    assert accuracy_2([100] * 4, [208, 312, 48, 32]).tolist() == [True, True, True, True]
    assert accuracy_2([100] * 3, [150, 400, 25]).tolist() == [False, False, False]
    assert accuracy_1([100], [107], tolerance=0.08).all()


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(InputError, match=r"estimated tempi must be positive and finite, but are not in the rows 1, 2$"):
        accuracy_1([100, 100, 100], [100, 0, np.nan])
    with pytest.raises(InputError, match="1 true tempi and 2 estimated"):
        accuracy_2([100], [100, 100])
    with pytest.raises(InputError, match=r"true tempi are \(1, 2\); valid is \(tracks,\)"):
        accuracy_1([[60, 120]], [60])
