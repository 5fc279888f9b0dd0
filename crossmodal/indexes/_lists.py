"""What the inverted-file kinds share: vectors lie in lists by their nearest centroid, and some lists are searched."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.types import Approximate

TRAINED = 64  # vectors a centroid is trained on
SEED = 1234
MOST = 65536


class Lists(Approximate):
    """A kind by what its lists hold of a vector.

    Attributes:
        depths: candidates for each row that is asked for, the fewest first; one where the lists' scores are exact.
    """

    depths: ClassVar[tuple[int, ...]]

    @abstractmethod
    def size(self, dim: int) -> int:
        """Bytes of a vector in its list."""

    @abstractmethod
    def empty(self, quantizer: faiss.Index, dim: int, number: int) -> faiss.IndexIVF:
        """So many lists, of whose centroids ``quantizer`` finds the nearest, before they are trained."""

    def resident(self, rows: int, dim: int) -> int:
        """What lies in the lists."""
        return rows * self.size(dim)

    def efforts(self, rows: int) -> list[dict[str, int]]:
        """Ever more lists, then again with more candidates to compare."""
        total = lists(rows)
        probes = [1 << power for power in range((total - 1).bit_length())] + [total]
        return [{"depth": depth, "probes": probe} for depth in self.depths for probe in probes]

    def build(self, vectors: NDArray[np.float32]) -> faiss.IndexIVF:
        """Trained by k-means on the first vectors, which are any tracks' (see `crossmodal.search`)."""
        dim, number = vectors.shape[1], lists(len(vectors))
        index = self.empty(faiss.IndexFlatIP(dim), dim, number)
        index.cp.seed = SEED
        index.cp.max_points_per_centroid = TRAINED
        index.train(np.ascontiguousarray(vectors[: max(TRAINED * number, 100_000)]))
        index.add(vectors)
        return index

    def read(self, path: str) -> faiss.Index:
        """The lists stay in the file."""
        flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE  # a table is of no use for inner products
        index = faiss.read_index(path, flags)
        faiss.downcast_InvertedLists(
            index.invlists
        ).prefetch_nthread = 0  # starting 32 threads takes longer than a search
        return index

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``."""
        return faiss.SearchParametersIVF(nprobe=int(effort["probes"] * times), sel=selector)


def lists(rows: int) -> int:
    """Lists for so many rows: four times their square root, as many as can be trained."""
    return max(1, min(int(4 * rows**0.5), rows // TRAINED, MOST))
