"""Inverted file of vectors in 8 bits a dimension: a quarter of the memory, hardly a neighbour lost."""

from __future__ import annotations

import faiss

from crossmodal.indexes._lists import Lists


class IvfSq(Lists):
    """FAISS IndexIVFScalarQuantizer: ``dim + 8`` bytes a vector."""

    depths = (1, 4)

    def size(self, dim: int) -> int:
        """The code and the vector's number."""
        return dim + 8

    def empty(self, quantizer: faiss.Index, dim: int, number: int) -> faiss.IndexIVF:
        """To be trained by the range of each dimension too."""
        kind = faiss.ScalarQuantizer.QT_8bit
        return faiss.IndexIVFScalarQuantizer(quantizer, dim, number, kind, faiss.METRIC_INNER_PRODUCT)
