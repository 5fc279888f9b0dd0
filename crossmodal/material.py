"""What an index is made of: tracks with their segments, checked, in the order of the hashes of their ids.

The hashes part the tracks of any number of sources alike, so that an index of any size is written stretch by stretch
of them: what several sources have of a stretch is joined and sorted in memory, and appended to the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.metrics.retrieval import id_order

BLOCK = 16384  # vectors that are held in memory at a time while files are written
STRETCH = 65536  # segments of which a stretch of the hashes holds about as many
QUERIES = 500  # that an index is judged by, at most

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Material:
    """Tracks with their segments, track after track, in the order of the hashes of the tracks' ids.

    Attributes:
        tracks: a row a track: track_id and metadata.
        hashes: of the ids, ascending, ``(tracks,)``.
        counts: segments of each track, ``(tracks,)``.
        bounds: start and end of each segment in seconds, ``(segments, 2)``.
        rows: where ``take`` finds the vector of each segment, ``(segments,)``.
        take: rows to unit vectors, ``(rows, dim)``.
        dim: numbers in a vector.
    """

    tracks: pa.Table
    hashes: Hashes
    counts: Ints
    bounds: NDArray[np.float64]
    rows: Ints
    take: Callable[[Ints], Floats]
    dim: int

    def blocks(self) -> Iterator[Floats]:
        """The vectors, some thousands at a time."""
        for start in range(0, len(self.rows), BLOCK):
            yield self.take(self.rows[start : start + BLOCK])


@dataclass(frozen=True)
class Pieces:
    """Material of any size, a stretch of the hashes after the other.

    Attributes:
        schema: of all the pieces' tracks together.
        dim: numbers in a vector.
        parts: the pieces, which can be gone through once.
        queries: unit vectors like those that will be asked for, ``(queries, dim)``, as `sampled` gives them; or none.
    """

    schema: pa.Schema
    dim: int
    parts: Iterable[Material]
    queries: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def of(cls, material: Material) -> Pieces:
        """One piece."""
        return cls(material.tracks.schema, material.dim, [material])


def sampled(queries: Floats) -> Floats:
    """Of ``queries (n, dim)`` those of the smallest hashes, each once: of samples that are put together, one of all."""
    rows = np.unique(np.asarray(queries, dtype="<f4"), axis=0)
    order = np.argsort([hashlib.blake2b(row.tobytes()).digest() for row in rows])
    return rows[order[:QUERIES]]


def arranged(
    tracks: pa.Table,
    hashes: Hashes,
    counts: Ints,
    bounds: NDArray[np.float64],
    rows: Ints,
    take: Callable[[Ints], Floats],
    dim: int,
) -> Material:
    """Tracks in any order, each with its segments, brought into the order of their ids' hashes."""
    order = np.argsort(hashes, kind="stable")
    if (np.diff(hashes[order]) == 0).any():  # then by the ids themselves
        order = id_order(tracks["track_id"].to_pylist())
    first = np.cumsum(counts) - counts
    moved = ranges(first[order], counts[order])
    sorted_tracks = tracks.take(pa.array(order))
    return Material(sorted_tracks, hashes[order], counts[order], bounds[moved], rows[moved], take, dim)


def merged(parts: Sequence[Material]) -> Material:
    """Several materials as one; no id may stand in two of them."""
    starts = np.cumsum([0, *(len(part.rows) for part in parts)])

    def take(rows: Ints) -> Floats:
        which = np.searchsorted(starts, rows, side="right") - 1
        found = np.empty((len(rows), parts[0].dim), dtype=np.float32)
        for number, part in enumerate(parts):
            found[which == number] = part.take(part.rows[rows[which == number] - starts[number]])
        return found

    hashes, counts, bounds = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("hashes", "counts", "bounds")
    )
    tracks = joined([part.tracks for part in parts])
    return arranged(tracks, hashes, counts, bounds, np.arange(starts[-1]), take, parts[0].dim)


def cuts(number: int) -> Hashes:
    """Where the hashes are cut into so many equal stretches."""
    return np.array([part * 2**64 // number for part in range(1, number)], dtype=np.uint64)


def stretches(hashes: Hashes, at: Hashes) -> list[tuple[int, int]]:
    """Beginning and end, in ascending hashes, of each stretch that ``at`` cuts."""
    edges = [0, *np.searchsorted(hashes, at).tolist(), len(hashes)]
    return list(pairwise(edges))


def ranges(first: Ints, counts: Ints) -> Ints:
    """The whole numbers from ``first[i]``, ``counts[i]`` of them, for each i, one after another."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) + np.repeat(first - (ends - counts), counts), dtype=np.int64)


def checked(vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame) -> Material:
    """The caller's tables as material; the segments of a track keep their order.

    Args:
        vectors: ``(segments, dim)``, of any length but zero.
        segments: track_id, start, end (seconds), as many rows.
        tracks: track_id and any metadata; tracks without a segment are left out.

    Raises:
        InputError: tables that do not fit each other, or values that cannot be indexed or stored.
    """
    segments = segments[["track_id", "start", "end"]].reset_index(drop=True)
    tracks = tracks[tracks["track_id"].isin(segments["track_id"])].reset_index(drop=True)
    _check_tables(vectors, segments, tracks)
    _check_vectors(vectors, segments["track_id"])
    owner = pd.Index(tracks["track_id"], dtype=object).get_indexer(pd.Index(segments["track_id"], dtype=object))
    rows = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(tracks)).astype(np.int64)
    bounds = segments[["start", "end"]].to_numpy(dtype=np.float64)[rows]
    hashes = hashed(tracks["track_id"])
    return arranged(arrow(tracks), hashes, counts, bounds, rows, lambda wanted: unit(vectors[wanted]), vectors.shape[1])


def unit(vectors: Floats) -> Floats:
    """Rows at length one, float32; those that are already, but for rounding, keep their bits."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(np.abs(lengths - 1) < 1e-7, 1, lengths), dtype=np.float32)


def check_directions(vectors: Floats, names: Callable[[int], str]) -> None:
    """Refuse rows that have no direction, by name."""
    lengths = np.linalg.norm(np.asarray(vectors, dtype=np.float32), axis=1)
    broken = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(broken):
        which = listed(names(int(row)) for row in broken)
        raise InputError(f"vectors must be finite and not zero, but are not for {which}")


def hashed(ids: Iterable[str]) -> Hashes:
    """The hashes that `id_order` sorts by, as numbers of the same order."""
    digests = [hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in ids]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def arrow(tracks: pd.DataFrame) -> pa.Table:
    """A table of tracks as Arrow: track_id first, plain types, strings of any total size."""
    names = ["track_id", *(name for name in tracks.columns if name != "track_id")]
    try:
        table = pa.Table.from_pandas(tracks[names], preserve_index=False).replace_schema_metadata(None)
        return table.cast(pa.schema([_plain(field) for field in table.schema]))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        raise InputError(f"the tracks' metadata cannot be stored: {error}; give each column one type") from error


def joined(tables: list[pa.Table]) -> pa.Table:
    """Tables of tracks one after another; a column that one lacks is null there.

    Raises:
        InputError: a column has types that do not go together, such as words and numbers.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"the tracks' metadata are of other types than the index's: {error}") from error


def _plain(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_list(kind):
        kind = pa.list_(kind.value_type)  # whatever the one who wrote it calls its items
    text = field.name == "track_id" or pa.types.is_string(kind)
    return pa.field(field.name, pa.large_string() if text else kind)


def _check_tables(vectors: Floats, segments: pd.DataFrame, tracks: pd.DataFrame) -> None:
    if vectors.ndim != 2 or not vectors.size or len(vectors) != len(segments):
        raise InputError(
            f"vectors are {vectors.shape}; valid is (segments, dim) for {len(segments)} segments, 1 or more"
        )
    twice = tracks["track_id"][tracks["track_id"].duplicated()]
    if len(twice):
        raise InputError(f"track ids stand more than once: {listed(twice)}")
    unknown = segments["track_id"][~segments["track_id"].isin(tracks["track_id"])].unique()
    if len(unknown):
        raise InputError(f"segments are of tracks that the tracks' table lacks: {listed(unknown)}")
    wrong = segments["track_id"][~((segments["start"] >= 0) & (segments["end"] > segments["start"]))].unique()
    if len(wrong):
        raise InputError(f"segments must end after they start, at 0 s or later, but do not in: {listed(wrong)}")


def _check_vectors(vectors: Floats, names: pd.Series) -> None:
    for start in range(0, len(vectors), BLOCK):
        check_directions(vectors[start : start + BLOCK], lambda row, start=start: str(names[start + row]))  # type: ignore[misc]
