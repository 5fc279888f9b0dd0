"""What the inverted-file kinds share: vectors lie in lists by their nearest centroid, and some lists are searched."""

from __future__ import annotations

import os
import struct
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.types import Approximate

TRAINED = 64  # vectors a centroid is trained on
SEED = 1234
MOST = 65536
HELD = 1 << 28  # bytes of lists that memory holds while they are filled
LISTS = struct.Struct("<4sQQ4sQ")  # as FAISS begins them in a file: ilar, lists, bytes of a code, form, sizes told


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

    def build(self, vectors: NDArray[np.float32], known: int, path: Path) -> faiss.IndexIVF:
        """Trained by k-means on the first vectors, which are any tracks' (see `crossmodal.search`); all are in it."""
        dim, number = vectors.shape[1], lists(known)
        index = self.empty(faiss.IndexFlatIP(dim), dim, number)
        index.cp.seed = SEED
        index.cp.niter = 10  # of 25; the rest finds hardly a neighbour more
        index.cp.max_points_per_centroid = TRAINED
        index.train(np.ascontiguousarray(vectors[: min(known, max(TRAINED * number, 100_000))]))
        step = max(1, HELD // self.size(dim))
        if len(vectors) <= step:
            index.add(vectors)
            return index
        parts = [_part(index, vectors, start, start + step, path) for start in range(0, len(vectors), step)]
        index.ntotal = len(vectors)
        _write(index, parts, path)
        return self.read(str(path))

    def read(self, path: str) -> faiss.Index:
        """The lists stay in the file."""
        flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE  # a table is of no use for inner products
        index = faiss.read_index(path, flags)
        held = faiss.downcast_InvertedLists(index.invlists)
        held.prefetch_nthread = 0  # starting 32 threads takes longer than a search
        return index

    def parameters(self, effort: Mapping[str, int], times: float, selector: Any) -> Any:
        """``nprobe``."""
        return faiss.SearchParametersIVF(nprobe=int(effort["probes"] * times), sel=selector)


def lists(rows: int) -> int:
    """Lists for so many rows: four times their square root, as many as can be trained."""
    return max(1, min(int(4 * rows**0.5), rows // TRAINED, MOST))


def _part(index: faiss.IndexIVF, vectors: NDArray[np.float32], start: int, stop: int, path: Path) -> Path:
    """A file of the lists of some rows; the index is empty before and afterwards."""
    rows = vectors[start:stop]
    index.add_with_ids(rows, np.arange(start, start + len(rows)))
    part = path.with_name(f"{path.name}.{start}")
    _save(index, part)
    index.reset()
    return part


def _save(index: faiss.Index, path: Path) -> None:
    """By a file of Python's: FAISS only prints that the last bytes did not fit, and goes on."""
    with path.open("wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def _write(index: faiss.IndexIVF, parts: list[Path], path: Path) -> None:
    """Write the file that FAISS would, had the index, which is empty, the lists of all parts; these are removed."""
    _save(index, path)
    opened = [faiss.read_index(str(part), faiss.IO_FLAG_MMAP) for part in parts]
    sizes = [[part.invlists.list_size(number) for part in opened] for number in range(index.nlist)]
    with path.open("r+b") as file:
        file.seek(-LISTS.size, os.SEEK_END)
        if file.read() != LISTS.pack(b"ilar", index.nlist, index.code_size, b"sprs", 0):
            raise RuntimeError("this version of FAISS writes lists otherwise; raise crossmodal.indexes._lists.HELD")
        file.seek(-LISTS.size, os.SEEK_END)
        file.write(LISTS.pack(b"ilar", index.nlist, index.code_size, b"full", index.nlist))
        file.write(np.array(sizes).sum(axis=1).astype("<u8").tobytes())
        for number, counts in enumerate(sizes):
            held = [(part.invlists, count) for part, count in zip(opened, counts, strict=True) if count]
            for each, count in held:
                file.write(faiss.rev_swig_ptr(each.get_codes(number), count * index.code_size).tobytes())
            for each, count in held:
                file.write(faiss.rev_swig_ptr(each.get_ids(number), count).tobytes())
    for part in parts:
        part.unlink()
