"""Inverted file: whole vectors in lists, of which the nearest are searched; built fast."""

from __future__ import annotations

import faiss

from crossmodal.indexes._lists import Lists


class Ivf(Lists):
    """FAISS IndexIVFFlat: ``4 * dim + 8`` bytes a vector; its scores are exact, and need no more candidates."""

    depths = (1,)

    def size(self, dim: int) -> int:
        """The vector and its number."""
        return 4 * dim + 8

    def empty(self, quantizer: faiss.Index, dim: int, number: int) -> faiss.IndexIVF:
        """By inner products."""
        return faiss.IndexIVFFlat(quantizer, dim, number, faiss.METRIC_INNER_PRODUCT)
