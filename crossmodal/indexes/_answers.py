"""From the nearest rows to the best tracks, of which k are certain, as in `crossmodal.search.answers`."""

from __future__ import annotations

from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from crossmodal.hits import NOISE, Hit, certain, rounded
from crossmodal.indexes._collection import MOST, Collection
from crossmodal.indexes._rows import Row, table, vectors_of
from crossmodal.material import Floats
from crossmodal.metrics.retrieval import id_key

TOLD = ["track_id", "start", "end", "metadata", "vector"]


def answered(
    collection: Collection, schema: pa.Schema, queries: Floats, k: int, asked: str, barred: Some[str]
) -> list[list[Hit]]:
    """The k best tracks of each query.

    Args:
        collection: of the rows.
        schema: of the tracks.
        queries: unit vectors, ``(queries, dim)``.
        k: tracks a query.
        asked: an expression that all answers meet.
        barred: the keys of tracks that are none.
    """
    first = collection.nearest(queries, min(4 * k, MOST), asked, barred) if len(queries) else []
    near = [_near(collection, query, k, rows, asked, barred) for query, rows in zip(queries, first, strict=True)]
    segments = collection.segments({track: count for found in near for track, count in found.items()}, TOLD)
    return [
        _hits(query, k, [segments[track] for track in found if track in segments], schema)
        for query, found in zip(queries, near, strict=True)
    ]


def _near(
    collection: Collection, query: Floats, k: int, rows: list[Row], asked: str, barred: Some[str]
) -> Mapping[str, int]:
    """The tracks that may be among the k best, and how many segments each has.

    Segments are asked for until k tracks are certain; those of tracks that were seen need not be seen again.
    """
    seen: dict[str, tuple[float, int]] = {}
    count = min(4 * k, MOST)
    while True:
        for row in rows:
            seen.setdefault(row["track"], (row["score"], row["count"]))
        bound = rows[-1]["score"] if len(rows) == count else -np.inf
        best = sorted((score for score, _ in seen.values()), reverse=True)[:k]
        if certain(best, k, bound):
            least = best[-1] - NOISE if best else 0.0
            return {track: segments for track, (score, segments) in seen.items() if score >= least}
        count = min(2 * count, MOST)
        rows = collection.nearest(query[None], count, asked, [*barred, *seen])[0]


def _hits(query: Floats, k: int, tracks: Sequence[list[Row]], schema: pa.Schema) -> list[Hit]:
    """The k best of some tracks, by all of their segments."""
    best = []
    for segments in tracks:
        scores = rounded(query, vectors_of(segments))
        at = int(scores.argmax())  # the first of equals
        best.append((-float(scores[at]), id_key(segments[at]["track_id"]), segments[at]))
    chosen = sorted(best, key=lambda one: one[:2])[:k]
    metadata = table([row for _, _, row in chosen], schema).drop_columns(["track_id"]).to_pylist()
    return [
        Hit(row["track_id"], -score, row["start"], row["end"], rank, metadata[rank - 1])
        for rank, (score, _, row) in enumerate(chosen, start=1)
    ]
