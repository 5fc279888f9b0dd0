"""Vectors as hard to search as a trained model's own: its embeddings of real segments, expanded to any number.

A vector is made of a real one and the differences of its near neighbours, weighted at random: it lies in the directions
in which the data spread there. Two numbers say how hard a set is to search, and both depend on how many vectors there
are: the local intrinsic dimension (the greater the harder; maximum likelihood, Levina and Bickel, 2004, over the
distances of 100 neighbours, its inverses averaged) and the relative contrast (the smaller the harder; He et al., 2012:
the mean distance over the mean distance of the nearest). Of equally many vectors, real and expanded, the contrast is
made the same by bisecting the length of the step, and the dimension as near as the number of neighbours lets it be.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crossmodal.material import Floats, unit
from crossmodal.runs import find_run
from crossmodal.search import SearchIndex

NEIGHBOURS = 100  # of a vector, which its intrinsic dimension is estimated from
SAMPLE = 5000  # vectors, real and expanded, that must agree
ASKED = 1000  # of them, whose neighbours are looked for
MIXED = (8, 16, 32, 64)  # neighbours whose differences are added up
BLOCK = 8192


class Hardness(NamedTuple):
    """How hard so many vectors are to search."""

    rows: int
    dimension: float
    contrast: float

    def __str__(self) -> str:
        return f"{self.rows:>9,} vectors: intrinsic dimension {self.dimension:5.2f}, contrast {self.contrast:5.2f}"


@dataclass(frozen=True)
class Recipe:
    """How vectors are made of real ones.

    Attributes:
        mixed: neighbours whose differences are added up.
        step: the length of the sum, in lengths of a difference.
    """

    mixed: int
    step: float


def read(path: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Unit vectors ``(segments, dim)``, each once, and the track of each.

    Args:
        path: a run, an index's folder, a parquet as `crossmodal index export` writes it, or an .npy of rows.
    """
    if path.suffix == ".npy":
        vectors = np.load(path).astype(np.float32)
        tracks = np.arange(len(vectors))
    elif path.suffix == ".parquet":
        table = pq.read_table(path, columns=["track_id", "vector"])
        vectors = np.stack(table["vector"].to_numpy())
        tracks = table["track_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    else:
        folder = path if (path / "CURRENT").exists() else find_run(path).folder / "index"
        index = SearchIndex.open(folder)
        parts = [index.segments(name)[1] for name in index.tracks.table["track_id"].to_pylist()]
        vectors, tracks = np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    _, once = np.unique(vectors, axis=0, return_index=True)
    once.sort()
    return unit(vectors[once]), tracks[once]


def parted(tracks: NDArray[np.int64], count: int, seed: int) -> NDArray[np.bool_]:
    """Marks the segments of tracks drawn at random, until they are ``count``: queries that nothing is made of."""
    order = np.random.default_rng(seed).permutation(np.unique(tracks))
    counts = np.bincount(tracks, minlength=order.max() + 1)[order]
    return np.isin(tracks, order[: np.searchsorted(np.cumsum(counts), count) + 1])


def hardness(vectors: Floats, rows: int, seed: int) -> Hardness:
    """Of as many vectors, drawn at random."""
    drawn = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), rows, replace=False))]
    asked = drawn[np.random.default_rng(seed).choice(rows, min(ASKED, rows), replace=False)]
    near = _distances(faiss.knn(asked, drawn, NEIGHBOURS + 1, metric=faiss.METRIC_INNER_PRODUCT)[0][:, 1:])
    inverse = -np.log(near[:, :-1] / near[:, -1:]).mean()
    every = np.mean(
        [_distances(asked @ drawn[at : at + BLOCK].T).mean() for at in range(0, rows - BLOCK + 1, BLOCK)]
        or [_distances(asked @ drawn.T).mean()]
    )
    return Hardness(rows, float(1 / inverse), float(every / near[:, 0].mean()))


def _distances(cosines: Floats) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 1e-12))


def expanded(real: Floats, recipe: Recipe, rows: int, seed: int, out: Floats | None = None) -> Floats:
    """``rows`` vectors made of ``real (n, dim)``, into ``out`` if it is given."""
    out = np.empty((rows, real.shape[1]), dtype=np.float32) if out is None else out
    near = faiss.knn(real, real, recipe.mixed + 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 1:]
    rng = np.random.default_rng(seed)
    for at in range(0, rows, BLOCK):
        own = rng.integers(0, len(real), min(BLOCK, rows - at))
        weights = rng.standard_normal((len(own), 1, recipe.mixed), dtype=np.float32)
        moved = (weights @ (real[near[own]] - real[own][:, None]))[:, 0]
        out[at : at + len(own)] = unit(real[own] + moved * np.float32(recipe.step / recipe.mixed**0.5))
    return out


def matched(real: Floats, seed: int) -> Recipe:
    """What makes a sample, whose vectors are drawn like any others, as hard as one of the real vectors."""
    rows = min(SAMPLE, len(real))
    aim = hardness(real, rows, seed)
    found = [(mixed, *_bisected(real, mixed, aim, seed)) for mixed in MIXED]
    mixed, step, _ = min(found, key=lambda one: abs(one[2].dimension - aim.dimension))
    return Recipe(mixed, step)


def _bisected(real: Floats, mixed: int, aim: Hardness, seed: int) -> tuple[float, Hardness]:
    """The step by which the contrast is that of the real vectors; a longer step makes it smaller."""
    low, high, step, got = 0.05, 2.0, 0.0, aim
    for _ in range(8):
        step = (low + high) / 2
        made = expanded(real, Recipe(mixed, step), aim.rows, seed)
        got = hardness(made, aim.rows, seed)
        low, high = (step, high) if got.contrast > aim.contrast else (low, step)
    return step, got
