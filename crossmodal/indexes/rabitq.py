"""Inverted file of vectors in one bit a dimension (RaBitQ, Gao and Long, 2024), then re-ranked: the smallest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.indexes import _lists
from crossmodal.types import Index


class RaBitQ(Index):
    """FAISS IndexIVFRaBitQ: ``dim / 8 + 16`` bytes a vector."""

    def resident(self, rows: int, dim: int) -> int:
        """Bits, two factors and the number of each vector."""
        return rows * (-(-dim // 8) + 16)

    def efforts(self, rows: int) -> list[dict[str, int]]:
        """More lists, then more candidates."""
        return _lists.steps(rows, (8, 32, 128))

    def build(self, vectors: NDArray[np.float32]) -> faiss.Index:
        """Trained by k-means."""
        dim, number = vectors.shape[1], _lists.lists(len(vectors))
        quantizer = faiss.IndexFlatIP(dim)
        return _lists.filled(faiss.IndexIVFRaBitQ(quantizer, dim, number, faiss.METRIC_INNER_PRODUCT), vectors)

    def read(self, path: str) -> faiss.Index:
        """The lists stay in the file."""
        return _lists.mapped(path)

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``, and queries in 8 bits."""
        return faiss.IVFRaBitQSearchParameters(nprobe=int(effort["probes"] * times), qb=8, sel=selector)
