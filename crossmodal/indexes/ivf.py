"""Inverted file: whole vectors in lists, of which the nearest are searched; built fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.indexes import _lists
from crossmodal.types import Index


class Ivf(Index):
    """FAISS IndexIVFFlat: ``4 * dim + 8`` bytes a vector."""

    def resident(self, rows: int, dim: int) -> int:
        """Vectors and their numbers."""
        return rows * (4 * dim + 8)

    def efforts(self, rows: int) -> list[dict[str, int]]:
        """More lists; its scores are exact, so that no more candidates are needed."""
        return _lists.steps(rows, (1,))

    def build(self, vectors: NDArray[np.float32]) -> faiss.Index:
        """Trained by k-means."""
        dim, number = vectors.shape[1], _lists.lists(len(vectors))
        quantizer = faiss.IndexFlatIP(dim)
        return _lists.filled(faiss.IndexIVFFlat(quantizer, dim, number, faiss.METRIC_INNER_PRODUCT), vectors)

    def read(self, path: str) -> faiss.Index:
        """The lists stay in the file."""
        return _lists.mapped(path)

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``."""
        return _lists.search(effort, times, selector)
