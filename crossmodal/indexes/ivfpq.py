"""Inverted file of product-quantised vectors (Jégou et al., 2011): a byte for a few dimensions, then re-ranked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.indexes import _lists
from crossmodal.types import Index


class IvfPq(Index):
    """FAISS IndexIVFPQ: about ``dim / grouped + 8`` bytes a vector.

    Args:
        grouped: dimensions that share a byte, as far as they divide the vector's.
    """

    def __init__(self, grouped: int = 4) -> None:
        self.grouped = grouped

    def resident(self, rows: int, dim: int) -> int:
        """Codes and their numbers."""
        return rows * (self._bytes(dim) + 8)

    def efforts(self, rows: int) -> list[dict[str, int]]:
        """More lists, then more candidates."""
        return _lists.steps(rows, (2, 8, 32))

    def build(self, vectors: NDArray[np.float32]) -> faiss.Index:
        """Trained by k-means, of whole vectors and of each group of dimensions."""
        dim, number = vectors.shape[1], _lists.lists(len(vectors))
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFPQ(quantizer, dim, number, self._bytes(dim), 8, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed = _lists.SEED
        index.pq.cp.niter = 10  # of 25; the rest moves the centroids of so few dimensions little, and takes minutes
        index.pq.cp.min_points_per_centroid = 1  # fewer than FAISS would like are told by the recall, not by a warning
        index.pq.cp.max_points_per_centroid = _lists.TRAINED
        return _lists.filled(index, vectors)

    def read(self, path: str) -> faiss.Index:
        """The lists stay in the file."""
        return _lists.mapped(path)

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``."""
        return _lists.search(effort, times, selector)

    def _bytes(self, dim: int) -> int:
        return max(
            size for size in range(1, dim + 1) if dim % size == 0 and size * self.grouped <= max(dim, self.grouped)
        )
