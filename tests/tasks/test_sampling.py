"""Stratified samples of tracks: shares are kept, no tag is ever lost, groups stay whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crossmodal.tasks._sampling import samples, stratified

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def case(seed: int) -> tuple[np.ndarray, list[str], np.random.Generator]:
    """Tracks in groups of uneven size, tags from one track to almost all, some tracks without any."""
    rng = np.random.default_rng(seed)
    tracks, tags = int(rng.integers(2, 90)), int(rng.integers(1, 14))
    truth = (rng.random((tracks, tags)) < rng.random(tags) ** 3).astype(np.int8)
    truth[rng.integers(tracks, size=tags), np.arange(tags)] = 1
    truth[(rng.random(truth.shape) < 0.1) & (truth == 0)] = -1
    return truth, [f"g{n}" for n in rng.integers(max(1, tracks // 3), size=tracks)], rng


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    "block",
    [
        0,
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
    ],
)
def test_no_tag_is_lost_in_200_random_cases(block: int, nested: bool) -> None:
    for seed in range(block * 25, (block + 1) * 25):
        truth, groups, _ = case(seed)
        for names in (groups, [str(row) for row in range(len(truth))]):
            found = samples(truth, names, SHARES, nested, (seed,))
            has = (truth == 1).any(axis=0)
            for share, rows in found.items():
                assert ((truth[rows] == 1).any(axis=0) == has).all(), (seed, share)
                taken = {names[row] for row in rows}
                assert [row for row in range(len(truth)) if names[row] in taken] == rows.tolist()
            assert len(found[1.0]) == len(truth)
            if nested:
                for smaller, larger in pairwise(SHARES):
                    assert set(found[smaller]) <= set(found[larger])


def test_tags_keep_their_share_where_there_are_tracks_enough() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((1000, 8)) < np.linspace(0.02, 0.5, 8)).astype(np.int8)
    single = [str(row) for row in range(1000)]
    for share in (0.1, 0.2, 0.5):
        rows = stratified(truth, single, share, np.random.default_rng(1))
        assert len(rows) == pytest.approx(share * 1000, abs=3)
        assert truth[rows].sum(axis=0) == pytest.approx(share * truth.sum(axis=0), abs=2.5)
    at_random = rng.permutation(1000)[:100]
    assert np.abs(truth[at_random].sum(axis=0) - 0.1 * truth.sum(axis=0)).max() > 2.5  # what chance would do


def test_exclusive_tags_by_hand() -> None:
    truth = np.eye(3, dtype=np.int8)[[0] * 8 + [1] * 4 + [2]]
    rows = stratified(truth, [str(n) for n in range(13)], 0.5, np.random.default_rng(0))
    assert truth[rows].sum(axis=0).tolist() == [4, 2, 1]
    least = stratified(truth, [str(n) for n in range(13)], 0.01, np.random.default_rng(0))
    assert truth[least].sum(axis=0).tolist() == [1, 1, 1]  # one each, which is more than a hundredth
    whole = stratified(truth, ["a"] * 12 + ["b"], 0.5, np.random.default_rng(0))
    assert len(whole) == 13  # neither group can be left without losing a tag


def test_draws_are_those_of_their_seed() -> None:
    truth, groups, _ = case(7)
    first, again, other = (samples(truth, groups, SHARES, True, (seed,)) for seed in (0, 0, 1))
    assert all(np.array_equal(first[share], again[share]) for share in SHARES)
    assert any(not np.array_equal(first[share], other[share]) for share in SHARES)
