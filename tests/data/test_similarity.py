"""Similarities of pairs, against all pairs by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crossmodal.data import similarity
from crossmodal.data.similarity import load_vectors, percentiles, save_vectors, share_above, similarities
from crossmodal.errors import InputError


def unit(rows, dim=8, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_few_pairs_are_all_taken_once(monkeypatch):
    monkeypatch.setattr(similarity, "BLOCK", 7)  # the last block is not whole
    vectors = unit(10)
    expected = [vectors[i] @ vectors[j] for i in range(10) for j in range(i + 1, 10)]
    np.testing.assert_allclose(similarities(vectors, pairs=45), expected, atol=1e-6)


def test_many_pairs_are_drawn_evenly_and_never_of_a_row_with_itself():
    rows = np.sqrt(np.array([2, 3, 5, 7, 11], dtype=np.float32))[:, None]  # products name their pair
    drawn = np.concatenate([np.round(similarities(rows, 9, seed) ** 2) for seed in range(1000)])
    values, counts = np.unique(drawn, return_counts=True)
    assert set(values) == {6, 10, 14, 22, 15, 21, 33, 35, 55, 77}
    assert np.abs(counts - 900).max() < 4 * np.sqrt(900 * 0.9)  # four standard errors of 9000 draws of ten pairs
    assert np.array_equal(similarities(rows, 9, 1), similarities(rows, 9, 1))
    assert not np.array_equal(similarities(rows, 9, 1), similarities(rows, 9, 2))


def test_a_sampled_share_is_as_near_as_is_said():
    vectors = unit(300)
    whole = similarities(vectors, 300 * 299 // 2)
    sampled = similarities(vectors, 20_000, seed=5)
    assert len(sampled) == 20_000 < len(whole)
    for threshold in (-0.3, 0.0, 0.5):
        exact = (whole > threshold).mean()
        assert share_above(sampled, [threshold])[threshold] == pytest.approx(exact, abs=2 / np.sqrt(20_000))


def test_percentiles_and_shares_by_hand():
    found = np.array([0.1, 0.2, 0.3, 0.4, 0.9], dtype=np.float32)
    table = percentiles(found, at=(0, 50, 100))
    assert table["similarity"].tolist() == pytest.approx([0.1, 0.3, 0.9])
    assert table.index.tolist() == [0, 50, 100]
    assert share_above(found, [0.0, 0.25, 0.5, 1.0]).to_dict() == {0.0: 1.0, 0.25: 0.6, 0.5: 0.2, 1.0: 0.0}
    assert share_above(np.float32([0.5, 1.0]), [0.5]).tolist() == [0.5]  # as alike as the threshold is not above


def test_too_few_are_refused():
    with pytest.raises(InputError, match="at least 2 vectors and 1 pair, not 1 and 5"):
        similarities(unit(1), 5)
    with pytest.raises(InputError, match="not 3 and 0"):
        similarities(unit(3), 0)


def test_vectors_come_back_with_their_ids(tmp_path):
    path = tmp_path / "v.npz"
    save_vectors(path, ["b", "ä", "long id"], unit(3))
    ids, vectors = load_vectors(path)
    assert ids == ["b", "ä", "long id"]
    assert np.array_equal(vectors, unit(3))
    assert [found.name for found in tmp_path.iterdir()] == ["v.npz"]
    with pytest.raises(InputError, match="3 vectors need as many different ids, not 2"):
        save_vectors(path, ["a", "b", "a"], unit(3))
    with pytest.raises(InputError, match="3 vectors need as many different ids, not 2"):
        save_vectors(path, ["a", "b"], unit(3))
    assert load_vectors(path)[0] == ids
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"v\.npz is not whole"):
        load_vectors(path)
    with pytest.raises(InputError, match=r"w\.npz does not exist"):
        load_vectors(tmp_path / "w.npz")
