"""Inverted file of vectors in 8 bits a dimension: a quarter of the memory, hardly a neighbour lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.indexes import _lists
from crossmodal.types import Index


class IvfSq(Index):
    """FAISS IndexIVFScalarQuantizer: ``dim + 8`` bytes a vector."""

    def resident(self, rows: int, dim: int) -> int:
        """Codes and their numbers."""
        return rows * (dim + 8)

    def efforts(self, rows: int) -> list[dict[str, int]]:
        """More lists, then more candidates."""
        return _lists.steps(rows, (1, 4))

    def build(self, vectors: NDArray[np.float32]) -> faiss.Index:
        """Trained by k-means and the range of each dimension."""
        dim, number, kind = vectors.shape[1], _lists.lists(len(vectors)), faiss.ScalarQuantizer.QT_8bit
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFScalarQuantizer(quantizer, dim, number, kind, faiss.METRIC_INNER_PRODUCT)
        return _lists.filled(index, vectors)

    def read(self, path: str) -> faiss.Index:
        """The lists stay in the file."""
        return _lists.mapped(path)

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``."""
        return _lists.search(effort, times, selector)
