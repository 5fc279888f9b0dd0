"""What the inverted-file kinds share: vectors lie in lists by their nearest centroid, and some lists are searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

TRAINED = 64  # vectors a centroid is trained on
SEED = 1234
MOST = 65536


def lists(rows: int) -> int:
    """Lists for so many rows: four times their square root, as many as can be trained."""
    return max(1, min(int(4 * rows**0.5), rows // TRAINED, MOST))


def steps(rows: int, depths: tuple[int, ...]) -> list[dict[str, int]]:
    """Efforts: ever more lists, then again with more candidates to compare."""
    total = lists(rows)
    probes = [1 << power for power in range((total - 1).bit_length())] + [total]
    return [{"depth": depth, "probes": probe} for depth in depths for probe in probes]


def filled(index: faiss.IndexIVF, vectors: NDArray[np.float32]) -> faiss.IndexIVF:
    """Trained on the first vectors, which are any tracks' (see `crossmodal.search`), and filled with all."""
    index.cp.seed = SEED
    index.cp.max_points_per_centroid = TRAINED
    index.train(np.ascontiguousarray(vectors[: max(TRAINED * index.nlist, 100_000)]))
    index.add(vectors)
    return index


def mapped(path: str) -> faiss.Index:
    """Read from a file, in which the lists stay."""
    index = faiss.read_index(path, faiss.IO_FLAG_MMAP)
    faiss.downcast_InvertedLists(index.invlists).prefetch_nthread = 0  # starting 32 threads takes longer than a search
    return index


def search(effort: Mapping[str, int], times: float, selector: Any) -> Any:
    """FAISS' parameters: so many lists are searched."""
    return faiss.SearchParametersIVF(nprobe=int(effort["probes"] * times), sel=selector)
