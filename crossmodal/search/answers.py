"""From the nearest segments to the best tracks, of which k are certain."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from crossmodal.hits import Hit, certain, rounded
from crossmodal.material import Floats, Ints
from crossmodal.search.nearest import Bools, approximate, exact, wants_exact
from crossmodal.search.view import View

ROUNDS = 3  # in which an approximate index is asked for twice as many; then all are compared

Ranked = list[tuple[int, int, float]]  # slot, row and score of each track, the best first


def answered(
    view: View, queries: Floats, k: int, exclude: Collection[str], allowed: NDArray[np.bool_] | None
) -> list[list[Hit]]:
    """The k best tracks of each query among the live ones; arguments as `SearchIndex.search`'s, unit queries."""
    masks = view.allowed(allowed)
    barred = np.array(view.places(exclude), dtype=np.int64)
    count = 4 * k + int(view.sizes(barred).sum())
    ranked: list[Ranked] = [[] for _ in queries]
    pending = np.arange(len(queries))
    for turn in itertools.count():
        fast = turn < ROUNDS and _is_fast(view, count << turn, masks[0])
        rows, bounds = _nearest(view, queries[pending], count << turn, masks, fast)
        uncertain = []
        for query, found, bound in zip(pending, rows, bounds, strict=True):
            best = _best(view, queries[query], found[found >= 0], k, barred)
            if not certain([score for _, _, score in best], k, float(bound)):
                uncertain.append(query)
            elif fast:  # of a track that was found, a better segment may not have been
                best = _best(view, queries[query], view.rows(np.array([slot for slot, _, _ in best])), k, barred)
            ranked[query] = best
        if not uncertain:
            return view.hits(ranked)
        pending = np.array(uncertain)
    raise AssertionError("all rows have been compared")


def _is_fast(view: View, count: int, mask: Bools | None) -> bool:
    """Whether the generation has an index that is worth asking."""
    fitted = view.base.fitted
    return fitted.index is not None and not wants_exact(view.base.vectors, count, fitted.effort, mask)


def _nearest(
    view: View, queries: Floats, count: int, masks: tuple[Bools | None, Bools | None], fast: bool
) -> tuple[Ints, Floats]:
    """Rows of the generation and of the journal, which is always searched exactly, and what no other row exceeds."""
    fitted, vectors, mask = view.base.fitted, view.base.vectors, masks[0]
    if fast and fitted.kind is not None:
        base = approximate(queries, vectors, fitted.index, fitted.kind, fitted.effort, count, mask)
    else:
        base = exact(queries, vectors, count, mask)
    later = exact(queries, view.added, count, masks[1])
    rows = np.where(later.rows < 0, -1, later.rows + len(vectors))
    return np.concatenate([base.rows, rows], axis=1), np.maximum(base.bounds, later.bounds)


def _best(view: View, query: Floats, rows: Ints, k: int, barred: Ints) -> Ranked:
    """The tracks of the rows found, by their best segments."""
    slots = view.owners(rows)
    if len(barred):
        rows, slots = rows[~np.isin(slots, barred)], slots[~np.isin(slots, barred)]
    scores = rounded(query, view.vectors(rows))
    order = np.lexsort((rows, -scores))
    tracks, first = np.unique(slots[order], return_index=True)
    best = order[first]  # each track's best segment
    chosen = np.lexsort((view.order(tracks), -scores[best]))[:k]
    return [(int(tracks[i]), int(rows[best[i]]), float(scores[best[i]])) for i in chosen]
