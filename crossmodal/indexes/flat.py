"""Exact search: every query is compared with every vector. The standard by which other kinds are judged."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.types import Index


class Flat(Index):
    """FAISS IndexFlatIP: inner products, which of unit vectors are cosines; 4 bytes a dimension and vector."""

    def build(self, vectors: NDArray[np.float32]) -> faiss.Index:
        """The index over ``vectors (n, dim)``; row i answers as i."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return index
