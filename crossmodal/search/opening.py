"""Indexes by their location: a folder, or Milvus in a file (``catalogue.db``) or on a server (``https://host:19530``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crossmodal.indexes._collection import settled
from crossmodal.indexes._place import connected, place
from crossmodal.indexes.milvus import MilvusIndex
from crossmodal.material import Floats, Pieces
from crossmodal.search import checks, tuning
from crossmodal.search.index import SearchIndex
from crossmodal.types import PathLike

AnyIndex = SearchIndex | MilvusIndex


def open_index(location: PathLike) -> AnyIndex:
    """Open what a location holds; raises what `SearchIndex.open` and `MilvusIndex.open` do."""
    return SearchIndex.open(location) if place(location) is None else MilvusIndex.open(location)


def build_index(
    location: PathLike,
    vectors: Floats,
    segments: pd.DataFrame,
    tracks: pd.DataFrame,
    fingerprint: str,
    kind: str = "flat",
    *,
    settings: Mapping[str, Any] | None = None,
    recall: float = 0.95,
    frontend: str = "",
    queries: Floats | None = None,
) -> AnyIndex:
    """Build an index where a location says; arguments as `SearchIndex.build`'s.

    In Milvus no recall is aimed at, so that it keeps no queries.
    """
    made: dict[str, Any] = {"settings": settings, "frontend": frontend}
    if place(location) is None:
        aim: dict[str, Any] = {"recall": recall, "queries": queries}
        return SearchIndex.build(location, vectors, segments, tracks, fingerprint, kind, **made, **aim)
    return MilvusIndex.build(location, vectors, segments, tracks, fingerprint, kind, **made)


def create_index(location: PathLike, pieces: Pieces, head: Mapping[str, Any], recall: float) -> AnyIndex:
    """As `build_index`, of material that is checked already; ``head`` is kind, settings, fingerprint and frontend."""
    if place(location) is None:
        return SearchIndex.create(location, pieces, head, recall)
    return MilvusIndex.create(location, pieces, head)


def check_kind(location: PathLike, kind: str, settings: Mapping[str, Any], recall: float) -> None:
    """Refuse what building would refuse, before anything is computed."""
    if place(location) is None:
        tuning.check(kind, dict(settings), recall)
    else:
        settled(kind, settings)


def holds_index(location: PathLike) -> bool:
    """Whether a location holds an index that building would replace."""
    at = place(location)
    if at is None:
        return (Path(location) / "CURRENT").exists()
    if at.file is not None and not at.file.exists():
        return False
    return bool(connected(at).has_collection(at.name))


def verify(location: PathLike) -> list[str]:
    """The problems of an index, in words; none if it is whole."""
    return checks.verify(location) if place(location) is None else MilvusIndex.open(location).verify()


def beside(location: PathLike, home: Path) -> Path:
    """Where what belongs to a location on this machine may lie: beside it, or for a server in a folder ``home``."""
    at = place(location)
    if at is None:
        return Path(location)
    return home / at.name if at.file is None else at.file
