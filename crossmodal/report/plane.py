"""Vectors in the plane, for maps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from crossmodal.errors import InputError

FEWEST = 8  # vectors that t-SNE is worth; fewer are put on their first two principal axes

Floats = NDArray[np.float32]
Places = NDArray[np.float64]


def drawn(count: int, limit: int, seed: int) -> NDArray[np.intp]:
    """At most ``limit`` rows of ``count``, in order, the same for the same seed."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])


def plane(vectors: Floats, seed: int) -> Places:
    """t-SNE (van der Maaten and Hinton 2008) by cosine, the same for the same vectors and seed on the same machine.

    Args:
        vectors: ``(n, dim)``, none of them zero.
        seed: of the places from which it starts.

    Returns:
        ``(n, 2)``; the wider side goes from 0.04 to 0.96, and the other has its middle at 0.5 too.
    """
    (fitted,) = _fitted([_tsne(vectors, seed) if len(vectors) >= FEWEST else _axes(vectors)])
    return fitted


def check_umap() -> None:
    """An `InputError` if umap-learn is not there."""
    if find_spec("umap") is None:
        raise InputError("UMAP needs umap-learn: pip install 'crossmodal[maps]'")


def umap(vectors: Floats, seed: int) -> Places:
    """UMAP (McInnes, Healy and Melville 2018) by cosine; as `plane` otherwise, and for as many vectors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # that there is no TensorFlow
        from umap import UMAP  # late: it compiles as it is imported
    neighbours = min(15, len(vectors) - 1)
    with threadpool_limits(1):
        reducer = UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1)
        (fitted,) = _fitted([np.asarray(reducer.fit_transform(vectors), dtype=np.float64)])
    return fitted


def planes(frames: Sequence[Floats], seed: int) -> list[Places]:
    """The same vectors at several times, each time by t-SNE, aligned: what does not move in space hardly moves here.

    The last is laid out first. Each one before it starts from where the one after it has ended, without the early
    exaggeration that would throw everything about, and is then turned, or mirrored, and made as large as that. Of the
    quickstart's run, vectors that are only turned move by a tenth of the map's spread in this way (median), by eight
    tenths from a small start with exaggeration; the divergence is no greater than that of a map of their own.

    Args:
        frames: ``(n, dim)`` each, `FEWEST` rows at least.
        seed: of the last one.

    Returns:
        ``(n, 2)`` each, in one frame that fits all, as that of `plane`.
    """
    found: list[Places] = []
    spread = 1.0
    for vectors in reversed(frames):
        places = _tsne(vectors, seed, found[-1] * spread if found else None)
        spread = max(float(places.std()), 1e-9)
        places = (places - places.mean(axis=0)) / spread
        found.append(places @ orthogonal_procrustes(places, found[-1])[0] if found else places)
    return _fitted(found[::-1])


def _fitted(frames: Sequence[Places]) -> list[Places]:
    every = np.concatenate(frames)
    low, high = every.min(axis=0), every.max(axis=0)
    scale = 0.92 / max(float((high - low).max()), 1e-9)
    return [np.asarray((places - (low + high) / 2) * scale + 0.5, dtype=np.float64) for places in frames]


def _tsne(vectors: Floats, seed: int, start: Places | None = None) -> Places:
    """t-SNE from random places, or from such as are near to the end already."""
    how: dict[str, Any] = {"init": "random"}
    if start is not None:
        how = {"init": start.astype(np.float32), "early_exaggeration": 1.0}
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(metric="cosine", perplexity=perplexity, max_iter=500, random_state=seed, **how)
    with threadpool_limits(1):  # threads that wait for each other at every step cost more than they save
        return np.asarray(tsne.fit_transform(vectors), dtype=np.float64)


def _axes(vectors: Floats) -> Places:
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    found[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    return found
