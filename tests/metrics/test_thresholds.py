"""Thresholds chosen on one set, and F1 at them on another, against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from crossmodal.errors import InputError
from crossmodal.metrics.thresholds import best_thresholds, f1, f1_by_tag


def example(seed: int, clips: int = 25, tags: int = 10):
    rng = np.random.default_rng(seed)
    truth = (rng.random((clips, tags)) < 0.3).astype(np.int8)
    truth[:, 0], truth[:, 1] = 0, 1
    return truth, rng.integers(8, size=(clips, tags)) + truth, rng.integers(0, 3, size=clips)


@pytest.mark.parametrize("seed", range(20))  # 200 tags
def test_thresholds_are_the_best_of_all_and_the_highest_of_equals(seed: int) -> None:
    truth, scores, _ = example(seed)
    found = best_thresholds(truth, scores)
    for labels, column, threshold in zip(truth.T, scores.T, found, strict=True):
        levels = np.unique(column)[::-1]
        each = [2 * (labels[column >= t].sum()) / (labels.sum() + (column >= t).sum()) for t in levels]
        if labels.any():
            assert threshold == levels[int(np.argmax(each))]
        else:
            assert np.isnan(threshold)
    unknown = np.where(np.arange(25)[:, None] < 5, -1, truth)
    np.testing.assert_array_equal(best_thresholds(unknown, scores), best_thresholds(truth[5:], scores[5:]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_f1_equals_scikit_learn_over_the_tags_that_some_item_has(seed: int, weighted: bool) -> None:
    truth, scores, drawn = example(seed)
    thresholds = best_thresholds(*example(seed + 100)[:2])
    told, weights = scores >= thresholds, drawn if weighted else None
    known = truth.any(axis=0) & ~np.isnan(thresholds)
    assert known.tolist() == [False] + [True] * 9
    args = {"y_true": truth[:, known], "y_pred": told[:, known], "sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {f"{average}_f1": f1_score(**args, average=average) for average in ("macro", "micro", "weighted")}
        each = f1_score(**args, average=None)
    assert f1(truth, scores, thresholds, weights) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(f1_by_tag(truth, scores, thresholds, weights)[known], each, rtol=1e-12)
    unknown = np.vstack([np.full((4, 10), -1), truth])
    more = np.vstack([np.full((4, 10), 9), scores])
    assert f1(unknown, more, thresholds) == f1(truth, scores, thresholds)


def by_loops(truth, scores, thresholds):
    """The counts of each tag, an item at a time."""
    each, right, both, times = [], 0, 0, []
    for tag, threshold in enumerate(thresholds):
        known = [(t[tag] == 1, s[tag] >= threshold) for t, s in zip(truth, scores, strict=True) if t[tag] != -1]
        has = sum(true for true, _ in known)
        if has and not np.isnan(threshold):
            found, told = sum(true and is_told for true, is_told in known), sum(is_told for _, is_told in known)
            each.append(2 * found / (has + told))
            right, both, times = right + found, both + has + told, [*times, has]
    weighted = sum(f * n for f, n in zip(each, times, strict=True)) / sum(times)
    return {"macro_f1": sum(each) / len(each), "micro_f1": 2 * right / both, "weighted_f1": weighted}


def test_200_tables_equal_a_plain_loop() -> None:
    for seed in range(200):
        truth, scores, drawn = example(seed, clips=12, tags=5)
        truth[np.random.default_rng(seed).random(truth.shape) < 0.1] = -1
        rows, thresholds = np.repeat(np.arange(12), drawn), best_thresholds(*example(seed + 200, clips=12, tags=5)[:2])
        expected = by_loops(truth[rows].tolist(), scores[rows].tolist(), thresholds.tolist())
        assert f1(truth, scores, thresholds, drawn) == pytest.approx(expected, rel=1e-12), seed


def test_nothing_to_judge_has_no_f1_and_what_does_not_fit_is_told() -> None:
    truth, scores, _ = example(0)
    assert np.isnan(list(f1(np.zeros_like(truth), scores, np.zeros(10)).values())).all()
    assert np.isnan(best_thresholds(np.full((3, 1), -1), np.zeros((3, 1)))).all()
    with pytest.raises(InputError, match="row 0, column 1"):
        best_thresholds(np.zeros((2, 2), int), np.array([[0, np.inf], [0, 0]]))
