"""What is compared with each other: crossmodal's kinds, exact FAISS, scikit-learn, hnswlib and usearch.

Each is built once into a file or folder, opened from there, and asked for the ten nearest of a million vectors, which
are numbered as their rows. Each vector is a track of its own, so that tracks and vectors are the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from crossmodal import registry
from crossmodal.material import Floats, Ints
from crossmodal.search import SearchIndex
from crossmodal.types import Approximate

K = 10
GROUPS = 100  # of tracks, one of which a filter leaves
LINKS, BREADTH = 16, 100  # of every graph

Search = Callable[[Floats, Any], Ints]


@dataclass(frozen=True)
class Engine:
    """One of those that are compared.

    Attributes:
        name: as the tables call it.
        build: writes it into a path, from the vectors.
        open: a path to what is open, and the search: queries and effort to the rows found, ``(queries, 10)``.
        efforts: the settings of a search that are tried, over so many rows, the cheapest first; None for exact search.
    """

    name: str
    build: Callable[[Path, Floats], None]
    open: Callable[[Path], tuple[Any, Search]]
    efforts: Callable[[int], list[Any]]

    def path(self, folder: Path) -> Path:
        """Where its files lie."""
        return folder / self.name.replace(" ", "-")


def tables(first: int, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Segments and tracks of rows from ``first`` on: ids, and the group that a filter asks for."""
    numbers = np.arange(first, first + count)
    segments = pd.DataFrame({"track_id": numbers.astype(str), "start": 0.0, "end": 3.0})
    return segments, segments[["track_id"]].assign(group=numbers * 7919 % GROUPS)


def kind(name: str) -> Engine:
    """A kind of crossmodal's, tuned to the recall that is its default."""

    def build(path: Path, vectors: Floats) -> None:
        SearchIndex.build(path, vectors, *tables(0, len(vectors)), "benchmark", name)

    def opened(path: Path) -> tuple[SearchIndex, Search]:
        index = SearchIndex.open(path)
        kept: dict[str, SearchIndex] = {}  # what an index has computed of its tracks is not computed for every query

        def search(queries: Floats, effort: Any) -> Ints:
            key = str(effort)
            kept[key] = kept[key] if key in kept else with_effort(index, effort)
            return numbered(kept[key].search(queries, K))

        return index, search

    def efforts(rows: int) -> list[Any]:
        plug = registry.build("indexes", name)
        return plug.efforts(rows) if isinstance(plug, Approximate) else [None]

    return Engine(f"crossmodal {name}", build, opened, efforts)


def numbered(answers: list[Any]) -> Ints:
    return np.array([[int(hit.track_id) for hit in hits] for hits in answers])


def with_effort(index: SearchIndex, effort: dict[str, int] | None) -> SearchIndex:
    """The same index, looking so hard; it is tuned to one effort, and a curve needs them all."""
    if effort is None or effort == index._view.base.fitted.effort:
        return index
    fitted = replace(index._view.base.fitted, effort=effort)
    return SearchIndex(index.folder, replace(index._view, base=replace(index._view.base, fitted=fitted)))


def flat() -> Engine:
    def build(path: Path, vectors: Floats) -> None:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(path))

    def opened(path: Path) -> tuple[Any, Search]:
        index = faiss.read_index(str(path))
        return index, lambda queries, effort: index.search(queries, K)[1]

    return Engine("faiss flat", build, opened, lambda rows: [None])


def hnswlib() -> Engine:
    def build(path: Path, vectors: Floats) -> None:
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), ef_construction=BREADTH, M=LINKS)
        index.add_items(vectors, num_threads=faiss.omp_get_max_threads())
        index.save_index(str(path))

    def opened(path: Path) -> tuple[Any, Search]:
        import hnswlib

        index = hnswlib.Index("ip", np.load(path.parent / "queries.npy", mmap_mode="r").shape[1])
        index.load_index(str(path))

        def search(queries: Floats, effort: Any) -> Ints:
            index.set_ef(effort)
            return index.knn_query(queries, K, num_threads=1)[0].astype(np.int64)

        return index, search

    return Engine("hnswlib", build, opened, lambda rows: [1 << power for power in range(4, 11)])


def usearch() -> Engine:
    def made(dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="ip", dtype="f32", connectivity=LINKS, expansion_add=BREADTH)

    def build(path: Path, vectors: Floats) -> None:
        index = made(vectors.shape[1])
        index.add(np.arange(len(vectors)), vectors, threads=faiss.omp_get_max_threads())
        index.save(str(path))

    def opened(path: Path) -> tuple[Any, Search]:
        index = made(np.load(path.parent / "queries.npy", mmap_mode="r").shape[1])
        index.view(str(path))

        def search(queries: Floats, effort: Any) -> Ints:
            index.expansion_search = effort
            return index.search(queries, K, threads=1).keys.astype(np.int64).reshape(-1, K)

        return index, search

    return Engine("usearch", build, opened, lambda rows: [1 << power for power in range(4, 11)])


def sklearn() -> Engine:
    """Brute force; there is nothing to build."""

    def opened(path: Path) -> tuple[Any, Search]:
        from sklearn.neighbors import NearestNeighbors

        model = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(
            np.load(path.parent / "vectors.npy", mmap_mode="r")
        )
        return model, lambda queries, effort: model.kneighbors(queries, return_distance=False)

    return Engine("sklearn", lambda path, vectors: path.touch(), opened, lambda rows: [None])


def engines(kinds: list[str]) -> list[Engine]:
    """All of them, exact FAISS first, which the others are measured by."""
    return [flat(), sklearn(), hnswlib(), usearch(), *map(kind, kinds)]
