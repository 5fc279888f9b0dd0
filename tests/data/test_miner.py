"""Mined triplets against plain loops, and the order of an epoch that keeps them together."""

from __future__ import annotations

import numpy as np
import pytest

from crossmodal.data import miner
from crossmodal.data.miner import BLOCK, mine, mined_order
from crossmodal.errors import InputError


def unit(rng, rows, dim=3, clusters=None):
    """Unit vectors, scattered or close to one of some centres."""
    vectors = rng.normal(size=(rows, dim))
    if clusters:
        vectors = rng.normal(size=(clusters, dim))[rng.integers(clusters, size=rows)] + 0.05 * vectors
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_loops(vectors, upper, lower, count, seed):
    """The definition, one pair at a time."""
    free = {row for row in range(len(vectors)) if any(vectors[row] != 0)}
    found = []
    for anchor in np.random.default_rng(seed).permutation(sorted(free)):
        if anchor not in free or len(found) == count:
            continue
        positive = negative = None
        for other in sorted(free - {anchor}):
            cosine = float(vectors[anchor] @ vectors[other])
            if cosine >= upper and (positive is None or cosine > positive[0]):
                positive = (cosine, other)
            if cosine < lower and (negative is None or cosine > negative[0]):
                negative = (cosine, other)
        if positive and negative:
            found.append((anchor, positive[1], negative[1]))
            free -= set(found[-1])
    return np.array(found).reshape(-1, 3)


@pytest.mark.parametrize(("seed", "upper", "lower"), [(0, 0.9, 0.85), (1, 0.7, 0.2), (2, 0.99, 0.99), (3, 0.5, -0.5)])
def test_equals_loops(seed, upper, lower):
    vectors = unit(np.random.default_rng(seed), 90)
    vectors[::7] = 0  # tracks without a document
    for count in (5, 90):
        found = np.stack(mine(vectors, upper, lower, count, seed), axis=1)
        assert np.array_equal(found, by_loops(vectors, upper, lower, count, seed))
    assert len(found) > 5


def test_equals_loops_over_more_anchors_than_a_block():
    vectors = unit(np.random.default_rng(4), BLOCK + 90)
    found = np.stack(mine(vectors, 0.999, 0.3, 999, 1), axis=1)
    assert np.array_equal(found, by_loops(vectors, 0.999, 0.3, 999, 1))


def test_no_row_stands_twice_and_the_thresholds_hold():
    vectors = unit(np.random.default_rng(5), 300, dim=8, clusters=20)
    anchors, positives, negatives = mine(vectors, 0.9, 0.85, 100, 0)
    rows = np.concatenate([anchors, positives, negatives])
    assert len(set(rows.tolist())) == len(rows) > 90
    assert (np.einsum("nd,nd->n", vectors[anchors], vectors[positives]) >= 0.9).all()
    assert (np.einsum("nd,nd->n", vectors[anchors], vectors[negatives]) < 0.85).all()


def test_where_there_are_none_there_are_none():
    for vectors in (np.zeros((9, 4), np.float32), np.eye(9, dtype=np.float32), np.ones((9, 1), np.float32)):
        found = mine(vectors, 0.9, 0.85, 9, 0)
        assert [part.shape for part in found] == [(0,)] * 3
    one = mine(np.array([[1, 0], [1, 0], [0, 1]], np.float32), 1.0, 0.5, 9, 0)
    assert sorted(np.concatenate(one).tolist()) == [0, 1, 2]
    assert one.negatives.tolist() == [2]


def test_the_seed_decides():
    vectors = unit(np.random.default_rng(6), 200, dim=8, clusters=20)
    first, again, other = (np.stack(mine(vectors, 0.9, 0.85, 20, seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("upper", "lower"), [(0.8, 0.9), (1.5, 0.5), (0.5, -2), (np.nan, 0.5)])
def test_impossible_thresholds_are_refused(upper, lower):
    with pytest.raises(InputError, match="valid is -1 <= lower <= upper <= 1"):
        mine(np.eye(3, dtype=np.float32), upper, lower, 1, 0)


def whole(vectors, batch, upper=0.9, lower=0.85):
    """Whether a batch holds an anchor with a positive and a negative."""
    cosine = vectors[batch] @ vectors[batch].T
    np.fill_diagonal(cosine, 0)
    return int(((cosine >= upper).any(axis=1) & (cosine < lower).any(axis=1)).sum())


@pytest.mark.parametrize(("rows", "batch_size"), [(240, 24), (241, 16), (100, 7), (10, 16), (50, 2), (7, 1), (1, 4)])
def test_every_row_stands_once_an_epoch(rows, batch_size):
    vectors = unit(np.random.default_rng(7), rows, dim=8, clusters=12)
    vectors[::5] = 0
    for epoch in range(3):
        order = mined_order(vectors, batch_size, 0.9, 0.85, 0, epoch)
        assert order.dtype == np.int64
        assert sorted(order.tolist()) == list(range(rows))


@pytest.mark.parametrize(("rows", "batch_size"), [(253, 24), (256, 9)])
def test_triplets_fall_into_one_batch_in_every_epoch(rows, batch_size):
    """Batches as the loader cuts them, over the ends of epochs; found by asking for pairs that are rare."""
    rng = np.random.default_rng(8)
    half = unit(rng, rows // 2, dim=64)  # scattered: no two are alike but the twins
    vectors = np.concatenate([half, half, unit(rng, rows % 2, dim=64)])
    epochs = 4
    stream = np.concatenate([mined_order(vectors, batch_size, 0.99, 0.9, 0, epoch) for epoch in range(epochs)])
    plain = np.concatenate([np.random.default_rng(epoch).permutation(rows) for epoch in range(epochs)])
    anchors = [
        sum(whole(vectors, order[start : start + batch_size], 0.99, 0.9) for start in range(0, len(order), batch_size))
        for order in (stream, plain)
    ]
    assert anchors[0] > 0.5 * len(stream)  # two of three rows of a triplet are alike
    assert anchors[1] < 0.25 * len(stream)
    twins = np.flatnonzero((vectors[stream[:-2]] == vectors[stream[1:-1]]).all(axis=1))
    assert len(twins) > 0.25 * len(stream)
    assert (twins // batch_size == (twins + 2) // batch_size).all()  # an anchor and its positive, then a negative


def test_triplets_are_spread_over_the_epoch():
    vectors = unit(np.random.default_rng(9), 300, dim=64)
    vectors[:30] = vectors[30:60]  # thirty pairs among three hundred rows, in ten batches
    order = mined_order(vectors, 30, 0.99, 0.9, 0, 0)
    held = [whole(vectors, order[start : start + 30], 0.99, 0.9) for start in range(0, 300, 30)]
    assert sum(held) == 60
    assert sum(count > 0 for count in held) >= 7


def test_epochs_and_seeds_differ_and_repeat():
    vectors = unit(np.random.default_rng(10), 120, dim=8, clusters=12)
    orders = [mined_order(vectors, 12, 0.9, 0.85, seed, epoch) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    assert not np.array_equal(orders[0], orders[3])


def test_an_epoch_is_mined_once_and_kept_while_batches_straddle_it(monkeypatch):
    vectors, mined = unit(np.random.default_rng(4), 60, clusters=6), []

    def counted(*given):
        mined.append(given[-1])
        return mined_order(*given)

    monkeypatch.setattr(miner, "mined_order", counted)
    order = miner.Mined(vectors, 12, 0.9, 0.5, 3)
    for epoch in (0, 0, 1, 0, 1, 1, 2, 1, 2):
        np.testing.assert_array_equal(order(epoch), mined_order(vectors, 12, 0.9, 0.5, 3, epoch))
    assert mined == [0, 1, 2]
