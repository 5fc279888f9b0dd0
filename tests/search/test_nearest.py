from __future__ import annotations

import numpy as np
import pytest

from crossmodal.hits import rounded
from crossmodal.search import nearest
from crossmodal.search.nearest import exact


def matrices(rows: int = 300, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, dim)).astype(np.float32), rng.normal(size=(rows, dim)).astype(np.float32)


@pytest.mark.parametrize("few", [0, 10**6])
@pytest.mark.parametrize("share", [None, 0.0, 0.1, 0.7, 1.0])
def test_exact_search_is_a_sort(share: float | None, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "FEW", few)
    queries, vectors = matrices()
    mask = None if share is None else np.random.default_rng(1).random(len(vectors)) < share
    allowed = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    for count in (1, 20, 1000):
        found = exact(queries, vectors, count, mask)
        for query, scores, rows, bound in zip(queries, *found, strict=True):
            expected = allowed[np.argsort(-(vectors[allowed] @ query))][:count]
            assert rows.tolist() == expected.tolist()
            np.testing.assert_allclose(scores, vectors[expected] @ query, rtol=1e-5, atol=1e-6)
            assert bound == (scores[-1] if count < len(allowed) else -np.inf)


def test_exact_search_takes_strided_rows_and_no_queries() -> None:
    queries, vectors = matrices()
    strided = np.repeat(vectors, 2, axis=0)[::2]
    assert exact(queries, strided, 5).rows.tolist() == exact(queries, vectors, 5).rows.tolist()
    assert exact(queries[:0], vectors, 5).rows.shape == (0, 5)
    assert exact(queries, vectors[:0], 5).rows.shape == (7, 0)


def test_what_is_told_does_not_depend_on_the_batch() -> None:
    queries, vectors = matrices()
    told = rounded(queries[0], vectors)
    assert told.tolist() == [rounded(queries[0], vectors[row : row + 1])[0] for row in range(len(vectors))]
    np.testing.assert_allclose(told, vectors @ queries[0], atol=2e-6)


def test_halves_would_not_keep_six_decimals() -> None:
    """Why vectors are kept in float32: scores of float16 ones are off by a hundred times the last decimal."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exactly = vectors.astype(np.float64) @ vectors[0].astype(np.float64)
    off = {kind: np.abs(vectors.astype(kind).astype(np.float64) @ vectors[0] - exactly).max() for kind in ("f2", "f4")}
    assert off["f4"] < 1e-7
    assert 1e-5 < off["f2"] < 1e-3
