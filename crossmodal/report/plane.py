"""Vectors in the plane, for maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

FEWEST = 8  # vectors that t-SNE is worth; fewer are put on their first two principal axes

Floats = NDArray[np.float32]


def drawn(count: int, limit: int, seed: int) -> NDArray[np.intp]:
    """At most ``limit`` rows of ``count``, in order, the same for the same seed."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])


def plane(vectors: Floats, seed: int) -> NDArray[np.float64]:
    """t-SNE (van der Maaten and Hinton 2008) by cosine, the same for the same vectors and seed on the same machine.

    Args:
        vectors: ``(n, dim)``, none of them zero.
        seed: of the places from which it starts.

    Returns:
        ``(n, 2)``; the wider side goes from 0.04 to 0.96, and the other has its middle at 0.5 too.
    """
    places = _tsne(vectors, seed) if len(vectors) >= FEWEST else _axes(vectors)
    low, high = places.min(axis=0), places.max(axis=0)
    scale = 0.92 / max(float((high - low).max()), 1e-9)
    return np.asarray((places - (low + high) / 2) * scale + 0.5, dtype=np.float64)


def _tsne(vectors: Floats, seed: int) -> NDArray[np.float64]:
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(init="random", metric="cosine", perplexity=perplexity, max_iter=500, random_state=seed)
    with threadpool_limits(1):  # threads that wait for each other at every step cost more than they save
        return np.asarray(tsne.fit_transform(vectors), dtype=np.float64)


def _axes(vectors: Floats) -> NDArray[np.float64]:
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    found[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    return found
