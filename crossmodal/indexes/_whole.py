"""All of a collection: to be written elsewhere, or to be checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa

from crossmodal.indexes._collection import Collection
from crossmodal.indexes._rows import Row, key, table, vectors_of
from crossmodal.material import STRETCH, Floats, Ints, Material, Pieces, cuts, hashed, stretches
from crossmodal.metrics.retrieval import id_order

FIRST = "number == 0"  # a row a track


def tracks(collection: Collection, schema: pa.Schema) -> pa.Table:
    """Every track, in the order of the hashes of their ids."""
    found = list(collection.pages(FIRST, ["track_id", "metadata"]))
    return table([found[i] for i in id_order([row["track_id"] for row in found])], schema)


def pieces(collection: Collection, schema: pa.Schema) -> Pieces:
    """Every track with its segments; vectors are fetched when they are taken."""
    found = sorted(collection.pages("", ["track_id", "number", "start", "end"]), key=lambda row: str(row["id"]))
    ids = [row["id"] for row in found]
    mine = tracks(collection, schema)
    names = mine["track_id"].to_pylist()
    place = {name: at for at, name in enumerate(names)}
    owner = np.array([place[row["track_id"]] for row in found], dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    spans = np.array([(row["start"], row["end"]) for row in found]).reshape(-1, 2)[order]
    hashes, counts = hashed(names), np.bincount(owner, minlength=len(mine)).astype(np.int64)
    ends = [0, *np.cumsum(counts).tolist()]

    def take(wanted: Ints) -> Floats:
        there = {row["id"]: row for row in collection.get([ids[at] for at in wanted], ["vector"])}
        return vectors_of(there[ids[at]] for at in wanted)

    def part(start: int, stop: int) -> Material:
        rows = slice(ends[start], ends[stop])
        some = slice(start, stop)
        table = mine.slice(start, stop - start)
        return Material(table, hashes[some], counts[some], spans[rows], order[rows], take, dim)

    dim = collection.head.dim
    at = cuts(max(1, len(ids) // STRETCH))
    return Pieces(schema, dim, (part(*stretch) for stretch in stretches(hashes, at)))


def problems(collection: Collection) -> list[str]:
    """What is wrong, in words, a track at a time: rows come in the order of their keys."""
    found = collection.pages("", ["track", "track_id", "number", "count", "version", "vector"])
    mine = (list(rows) for _, rows in groupby(found, key=lambda row: row["track"]))
    return [text for rows in mine if (text := _problem(rows))]


def _problem(mine: Sequence[Row]) -> str:
    """Of all the rows of one track."""
    track_id, count = mine[0]["track_id"], mine[0]["count"]
    if len({row["version"] for row in mine}) > 1 or len(mine) != count:
        return f"{track_id}: {len(mine)} segments of {count}, not written as a whole; update or delete it again"
    if sorted(row["number"] for row in mine) != list(range(count)) or key(track_id) != mine[0]["track"]:
        return f"{track_id}: its segments are not numbered as they were written"
    lengths = np.linalg.norm(vectors_of(mine).astype(np.float64), axis=1)
    return "" if bool((np.abs(lengths - 1) < 1e-5).all()) else f"{track_id}: vectors are not of length one"
