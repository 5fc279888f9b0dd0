"""ROC-AUC and average precision of many tags at once, against scikit-learn, repeated rows and plain loops."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import sklearn
from sklearn.metrics import average_precision_score, roc_auc_score

from crossmodal.errors import InputError
from crossmodal.metrics.multilabel import BY_CLIP, NAMES, MultiLabel, evaluate, random_precision, undefined

CLIPS, TAGS = 60, 50
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))]


@pytest.fixture(autouse=True)
def fast():
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def example(seed: int, levels: int = 12, unknown: float = 0.2, clips: int = CLIPS, tags: int = TAGS):
    """Scores with ties, tags rare and frequent, some of one class, some of none, rows without a tag, and draws."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((clips, tags)) < rng.random(tags) ** 2).astype(np.int8)
    truth[:: clips // 4] = 0
    scores = rng.integers(levels, size=(clips, tags)) / levels + 0.1 * truth * rng.integers(2, size=tags)
    truth[rng.random((clips, tags)) < unknown] = -1
    truth[:, 0], truth[:, 1], truth[:, 2] = 0, 1, -1
    return truth, scores, np.bincount(rng.integers(clips, size=clips), minlength=clips)


def by_scikit_learn(truth, scores, drawn):
    known = (truth != -1) & (drawn > 0)
    if set(truth[known]) != {0, 1}:
        return np.nan, np.nan
    weighted = {"y_true": truth[known], "y_score": scores[known], "sample_weight": drawn[known]}
    return roc_auc_score(**weighted), average_precision_score(**weighted)


@pytest.mark.parametrize("seed", SEEDS)  # 200 tags in all
def test_each_tag_equals_scikit_learn(seed: int) -> None:
    truth, scores, drawn = example(seed, levels=[2, 5, 20, 10_000][seed])
    expected = np.array([by_scikit_learn(*column, drawn) for column in zip(truth.T, scores.T, strict=True)]).T
    np.testing.assert_allclose(MultiLabel(truth, scores).by_tag(drawn), expected, rtol=1e-12)
    assert 3 <= np.isnan(expected[0]).sum() < TAGS / 2


def test_each_clip_equals_scikit_learn() -> None:
    truth, scores, _ = example(0, levels=5, clips=16)
    once = np.ones(TAGS, dtype=int)
    expected = np.array([by_scikit_learn(*row, once) for row in zip(truth, scores, strict=True)]).T
    np.testing.assert_allclose(MultiLabel(truth, scores).by_clip(), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_and_micro_equal_scikit_learn(seed: int) -> None:
    truth, scores, drawn = example(seed, unknown=0.0)
    known = ~undefined(truth[drawn > 0])
    assert known.sum() < TAGS
    labels = {"y_true": truth[:, known], "y_score": scores[:, known], "sample_weight": drawn}
    found = MultiLabel(truth, scores)
    macro = roc_auc_score(**labels), average_precision_score(**labels)
    assert found.macro(drawn) == pytest.approx(macro, rel=1e-12)
    every = {"y_true": truth.ravel(), "y_score": scores.ravel(), "sample_weight": drawn.repeat(TAGS)}
    every["y_true"] = np.where(every["y_true"] == -1, 0, every["y_true"])
    truth[truth == -1] = 0  # the column that nothing is known of
    micro = roc_auc_score(**every), average_precision_score(**every)
    assert [float(f[0]) for f in MultiLabel(truth, scores).together(drawn)] == pytest.approx(micro, rel=1e-12)


def by_loops(truth, scores):
    """The definitions, a pair and a threshold at a time."""
    hits = [s for t, s in zip(truth, scores, strict=True) if t == 1]
    misses = [s for t, s in zip(truth, scores, strict=True) if t == 0]
    if not hits or not misses:
        return np.nan, np.nan
    right = sum((h > m) + 0.5 * (h == m) for h in hits for m in misses)
    precisions = [sum(h >= t for h in hits) / sum(s >= t for s in hits + misses) for t in hits]
    return right / len(hits) / len(misses), sum(precisions) / len(hits)


def small(seed):
    """A table with ties, rows without a tag, unknown labels, a tag of one class or of none, and draws."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((12, 5)) < 0.4).astype(np.int8)
    truth[rng.random((12, 5)) < 0.15] = -1
    truth[:2] = 0
    truth[:, 0] = seed % 3 - 1
    scores = rng.integers([2, 4, 1000][seed // 3 % 3], size=(12, 5)) / 8
    return truth, scores, np.bincount(rng.integers(12, size=12), minlength=12)


def lists(truth, scores, judge):
    """Two figures of each list, ``(2, lists)``: of each column, of each row, of everything."""
    together = judge(truth.ravel().tolist(), scores.ravel().tolist())
    truth, scores = truth.tolist(), scores.tolist()
    columns = [judge(*pair) for pair in zip(zip(*truth, strict=True), zip(*scores, strict=True), strict=True)]
    rows = [judge(*pair) for pair in zip(truth, scores, strict=True)]
    return np.array(columns).T, np.array(rows).T, np.array([together]).T


def figures_of(truth, scores, judge):
    """Those of `evaluate`, in its order, and by tag."""
    by_tag, by_clip, together = lists(truth, scores, judge)
    means = [f[~np.isnan(f)].mean() for both in (by_tag, together, by_clip) for f in both]
    return np.array(means), by_tag


def test_200_tables_equal_plain_loops() -> None:
    left_out = 0
    for seed in range(200):
        truth, scores, drawn = small(seed)
        rows = np.repeat(np.arange(12), drawn)
        expected, by_tag = figures_of(truth[rows], scores[rows], by_loops)
        found = np.array([*evaluate(truth, scores, drawn).values()])
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=f"seed {seed}")
        np.testing.assert_allclose(MultiLabel(truth, scores).by_tag(drawn), by_tag, rtol=1e-12)
        left_out += np.isnan(by_tag[0]).sum()
    assert left_out >= 200


@pytest.mark.slow
def test_200_tables_equal_scikit_learn() -> None:
    def judge(truth, scores):
        truth, scores = np.array(truth), np.array(scores)
        return by_scikit_learn(truth, scores, np.ones(len(truth), dtype=int))

    for seed in range(200):
        truth, scores, _ = small(seed)
        expected, by_tag = figures_of(truth, scores, judge)
        np.testing.assert_allclose([*evaluate(truth, scores).values()], expected, rtol=1e-12)
        np.testing.assert_allclose(MultiLabel(truth, scores).by_tag(), by_tag, rtol=1e-12)


def test_clips_that_were_not_drawn_are_in_no_figure_by_clip() -> None:
    truth, scores = np.array([[1, 0], [0, 0], [0, 0]]), np.array([[0.2, 0.1], [0.3, 0.4], [0.5, 0.5]])
    assert np.isnan(evaluate(truth, scores, np.array([0, 2, 1]))["clip_roc_auc"])


def test_draws_are_rows_given_so_often_and_equal_plain_loops() -> None:
    truth, scores, drawn = example(7, levels=6, tags=6)
    rows = np.repeat(np.arange(CLIPS), drawn)
    expected = np.array([by_loops(*pair) for pair in zip(truth[rows].T, scores[rows].T, strict=True)]).T
    found = MultiLabel(truth, scores)
    np.testing.assert_allclose(found.by_tag(drawn), expected, rtol=1e-12)
    np.testing.assert_allclose(MultiLabel(truth[rows], scores[rows]).by_tag(), expected, rtol=1e-12)
    together = by_loops(truth[rows].ravel(), scores[rows].ravel())
    np.testing.assert_allclose(found.figures(drawn)[:4], [*np.nanmean(expected, axis=1), *together], rtol=1e-12)


def test_by_hand_with_names() -> None:
    # tag a: right order but for one pair of four; tag b: all alike; tag c: no clip has it; clips 2 and 3 have no tag
    truth = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    scores = np.array([[0.9, 0.5, 0.1], [0.3, 0.5, 0.1], [0.5, 0.5, 0.1], [0.1, 0.5, 0.1]])
    found = evaluate(truth, scores)
    assert list(found) == [*NAMES, *BY_CLIP]
    assert found["macro_roc_auc"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["macro_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 4) / 2)
    assert found["clip_roc_auc"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["clip_average_precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert undefined(truth).tolist() == [False, False, True]
    assert undefined(truth, axis=1).tolist() == [False, False, True, True]
    drawn = evaluate(truth, scores, np.array([0, 2, 1, 1]))
    assert drawn["clip_roc_auc"] == 0.5
    assert np.isnan(evaluate(truth[2:], scores[2:])["macro_roc_auc"])
    assert np.isnan(evaluate(truth[2:], scores[2:])["clip_average_precision"])


def test_chance_is_the_mean_over_all_orders() -> None:
    orders = np.array(list(permutations(range(6)))).T  # a tag an order
    for hits in (1, 2, 5):
        truth = np.broadcast_to((np.arange(6) < hits)[:, None], orders.shape).astype(np.int8)
        found = MultiLabel(truth, orders)
        auc, precision = found.macro()
        assert auc == pytest.approx(0.5)
        np.testing.assert_allclose(random_precision(truth), precision)
        assert found.chance()["macro_roc_auc"] == found.chance()["micro_roc_auc"] == 0.5
        assert found.chance()["macro_average_precision"] == pytest.approx(precision)
    truth, scores, _ = example(0)
    by_clip = MultiLabel(truth.T, scores.T).chance()["macro_average_precision"]
    assert MultiLabel(truth, scores).chance()["clip_average_precision"] == pytest.approx(by_clip)
    assert MultiLabel(np.zeros((3, 2), int), np.zeros((3, 2))).chance() == {}


def test_scores_of_any_size_are_compared_not_subtracted() -> None:
    truth, scores = np.array([[1, 0, 1, 0]]).T, np.array([[1.7e308, -1.7e308, 5e-324, 0.0]]).T
    assert evaluate(truth, scores)["macro_roc_auc"] == 1
    assert evaluate(truth, scores[::-1])["macro_roc_auc"] == 0


def test_what_does_not_fit_is_told_by_clip_and_tag() -> None:
    truth, scores, _ = example(0)
    scores[3, 4] = np.nan
    with pytest.raises(InputError, match=r"finite, but are not for row 3, column 4$"):
        MultiLabel(truth, scores)
    scores[3, 4], truth[5, 6] = 0, 2
    with pytest.raises(InputError, match=r"0 or -1 \(unknown\), but is not for clip 5, zurna 6$"):
        MultiLabel(truth, scores, [f"clip {i}" for i in range(CLIPS)], [f"zurna {i}" for i in range(TAGS)])
    with pytest.raises(InputError, match=r"truth is \(60, 50\) and scores are \(60, 49\)"):
        evaluate(truth, scores[:, 1:])
