"""Inverted file of product-quantised vectors (Jégou et al., 2011): a byte for a few dimensions, then re-ranked."""

from __future__ import annotations

import faiss

from crossmodal.indexes._lists import SEED, TRAINED, Lists


class IvfPq(Lists):
    """FAISS IndexIVFPQ: about ``dim / grouped + 8`` bytes a vector.

    Args:
        grouped: dimensions that share a byte, as far as they divide the vector's.
    """

    depths = (2, 8, 32)

    def __init__(self, grouped: int = 4) -> None:
        self.grouped = grouped

    def size(self, dim: int) -> int:
        """The code and the vector's number."""
        return self._bytes(dim) + 8

    def empty(self, quantizer: faiss.Index, dim: int, number: int) -> faiss.IndexIVF:
        """To be trained by k-means of each group of dimensions too."""
        index = faiss.IndexIVFPQ(quantizer, dim, number, self._bytes(dim), 8, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed = SEED
        index.pq.cp.niter = 10  # of 25; the rest moves the centroids of so few dimensions little, and takes minutes
        index.pq.cp.min_points_per_centroid = 1  # fewer than FAISS would like are told by the recall, not by a warning
        index.pq.cp.max_points_per_centroid = TRAINED
        return index

    def _bytes(self, dim: int) -> int:
        return max(
            size for size in range(1, dim + 1) if dim % size == 0 and size * self.grouped <= max(dim, self.grouped)
        )
