"""A graph of near neighbours (HNSW, Malkov and Yashunin, 2016): the fastest at high recall, and the largest."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.types import Approximate


class Hnsw(Approximate):
    """FAISS IndexHNSWSQ over 8-bit vectors: ``dim + 8 * links`` bytes a vector and a little for the upper layers.

    Args:
        links: neighbours a vector keeps, twice as many in the lowest layer.
        breadth: candidates that are weighed when a vector is linked.
    """

    def __init__(self, links: int = 16, breadth: int = 100) -> None:
        self.links, self.breadth = links, breadth

    def resident(self, rows: int, dim: int) -> int:
        """Codes, links and the offsets of both."""
        return rows * (dim + 8 * self.links + 12)

    def efforts(self, rows: int) -> list[dict[str, int]]:
        """``ef``: how many candidates a search keeps open."""
        return [{"depth": 1, "ef": 1 << power} for power in range(4, 12)]

    def build(self, vectors: NDArray[np.float32], known: int, path: Path) -> faiss.Index:
        """Of the known vectors alone; trained on the first, which are any tracks' (see `crossmodal.search`)."""
        kind = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexHNSWSQ(vectors.shape[1], kind, self.links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.breadth
        index.train(np.ascontiguousarray(vectors[: min(known, 100_000)]))
        index.add(vectors[:known])
        return index

    def read(self, path: str) -> faiss.Index:
        """Codes and links stay in the file; FAISS goes through all links once.

        Its own memory map is one of random access from the beginning, in which a disk gives these page by page, in
        seconds at a million vectors; this one is read ahead until the links have been seen.
        """
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        data = np.frombuffer(mapped, dtype=np.uint8)
        index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(data), data.size))
        index.referenced_objects = [mapped]  # it lives as long as what looks into it
        if hasattr(mmap, "MADV_RANDOM"):
            mapped.madvise(mmap.MADV_RANDOM)
        return index

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``efSearch``."""
        return faiss.SearchParametersHNSW(efSearch=int(effort["ef"] * times), sel=selector)
