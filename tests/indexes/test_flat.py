from __future__ import annotations

import numpy as np

from crossmodal import registry


def test_equals_numpy_and_numbers_rows_as_they_were_added() -> None:
    rng = np.random.default_rng(0)
    vectors, queries = rng.normal(size=(50, 7)).astype(np.float32), rng.normal(size=(4, 7)).astype(np.float32)
    index = registry.build("indexes", "flat").build(vectors)
    scores, rows = index.search(queries, 50)
    expected = queries @ vectors.T
    np.testing.assert_array_equal(rows, np.argsort(-expected, axis=1))
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1), rtol=1e-5, atol=1e-6)


def test_takes_float64_and_strided_rows() -> None:
    vectors = np.random.default_rng(0).normal(size=(10, 6))[::2, ::2]
    index = registry.build("indexes", "flat").build(vectors)
    assert (index.ntotal, index.d) == (5, 3)
    np.testing.assert_array_equal(index.reconstruct_n(0, 5), vectors.astype(np.float32))
