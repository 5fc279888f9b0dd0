"""What indexes hold, a stretch of the hashes after the other: what merging, compaction and export are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from crossmodal.errors import InputError, listed
from crossmodal.material import (
    STRETCH,
    Hashes,
    Ints,
    Material,
    Pieces,
    cuts,
    hashed,
    joined,
    merged,
    sampled,
    stretches,
)
from crossmodal.search.view import View


def of_views(views: Sequence[View]) -> Pieces:
    """The tracks of views of vectors of one length; of them a stretch is in memory at a time, and the journals.

    Raises:
        InputError: ids that stand in two of them, or metadata whose types differ.
    """
    at = cuts(max(1, sum(view.segments for view in views) // STRETCH))
    schema = joined([view.schema.empty_table() for view in views]).schema
    _refuse_twice(views, at)
    parts = zip(*(_parts(view, schema, at) for view in views), strict=True)
    queries = sampled(np.concatenate([view.base.queries for view in views]))
    return Pieces(schema, views[0].dim, map(merged, parts), queries)


def shard(track_ids: Sequence[str], number: int, of: int) -> list[str]:
    """The ids of one of so many shards, counted from 1; the other ids do not matter."""
    found = np.searchsorted(cuts(of), hashed(track_ids), side="right")
    return [name for name, part in zip(track_ids, found, strict=True) if part == number - 1]


def _refuse_twice(views: Sequence[View], at: Hashes) -> None:
    """By the hashes; the ids are read of those alone that stand twice."""
    for parts in zip(*(_slots(view, at) for view in views), strict=True):
        hashes, counts = np.unique(
            np.concatenate([view.order(slots) for view, slots in zip(views, parts, strict=True)]), return_counts=True
        )
        if (counts > 1).any():
            again = hashes[counts > 1]
            alike = [slots[np.isin(view.order(slots), again)] for view, slots in zip(views, parts, strict=True)]
            names = Counter(view.name(slot) for view, slots in zip(views, alike, strict=True) for slot in slots)
            if twice := [name for name, count in names.items() if count > 1]:
                raise InputError(f"track ids stand in more than one index: {listed(twice)}")


def _parts(view: View, schema: pa.Schema, at: Hashes) -> Iterator[Material]:
    """The live tracks of each stretch, in any order."""
    base = len(view.base.hashes)
    put = joined([schema.empty_table(), *(put.tracks for put in view.puts)])
    for slots in _slots(view, at):
        known, later = slots[slots < base], slots[slots >= base]
        start, stop = (known[0], known[-1] + 1) if len(known) else (0, 0)
        tables = [view.base.tracks[start:stop].take(pa.array(known - start)), put.take(pa.array(later - base))]
        rows = view.rows(slots)
        tracks = joined([schema.empty_table(), *tables])
        yield Material(tracks, view.order(slots), view.sizes(slots), view.spans(rows), rows, view.vectors, view.dim)


def _slots(view: View, at: Hashes) -> Iterator[Ints]:
    """The live slots of each stretch: the generation's, then the journal's."""
    base = len(view.base.hashes)
    dead = np.sort(np.array([slot for slot in view.dead if slot < base], dtype=np.int64))
    later = np.array(list(view.slots.values()), dtype=np.int64)
    later = later[np.argsort(view.order(later), kind="stable")]
    for (start, stop), (first, last) in zip(
        stretches(view.base.hashes, at), stretches(view.order(later), at), strict=True
    ):
        gone = dead[slice(*np.searchsorted(dead, [start, stop]))]
        yield np.concatenate([np.delete(np.arange(start, stop), gone - start), later[first:last]])
