"""Inverted file of vectors in one bit a dimension (RaBitQ, Gao and Long, 2024), then re-ranked: the smallest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss

from crossmodal.indexes._lists import Lists


class RaBitQ(Lists):
    """FAISS IndexIVFRaBitQ: ``dim / 8 + 16`` bytes a vector."""

    depths = (8, 32, 128)

    def size(self, dim: int) -> int:
        """Bits, two factors and the vector's number."""
        return -(-dim // 8) + 16

    def empty(self, quantizer: faiss.Index, dim: int, number: int) -> faiss.IndexIVF:
        """By inner products."""
        return faiss.IndexIVFRaBitQ(quantizer, dim, number, faiss.METRIC_INNER_PRODUCT)

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``, and queries in 8 bits."""
        return faiss.IVFRaBitQSearchParameters(nprobe=int(effort["probes"] * times), qb=8, sel=selector)
