"""From the nearest segments to the best tracks, of which k are certain."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from crossmodal.search.material import Floats, Ints
from crossmodal.search.nearest import Bools, Found, approximate, exact, rounded, wants_exact
from crossmodal.search.view import Hit, View

ROUNDS = 3  # in which an approximate index is asked for twice as many; then all are compared
NOISE = 2e-6  # of float32 sums and of rounding: a track this close to what was not seen is not certain

Ranked = list[tuple[int, int, float]]  # slot, row and score of each track, the best first


def answered(
    view: View, queries: Floats, k: int, exclude: Collection[str], allowed: NDArray[np.bool_] | None
) -> list[list[Hit]]:
    """The k best tracks of each query among the live ones; arguments as `SearchIndex.search`'s, unit queries."""
    masks = view.allowed(allowed)
    barred = np.array(view.places(exclude), dtype=np.int64)
    count = 4 * k + int(view.counts[barred].sum())
    ranked: list[Ranked] = [[] for _ in queries]
    pending = np.arange(len(queries))
    for turn in itertools.count():
        parts = _nearest(view, queries[pending], count << turn, masks, turn < ROUNDS)
        rows = np.concatenate([part.rows for part in parts], axis=1)
        bounds = np.max([part.bounds for part in parts], axis=0)
        uncertain = []
        for query, found, bound in zip(pending, rows, bounds, strict=True):
            ranked[query] = _best(view, queries[query], found[found >= 0], k, barred)
            if bound > -np.inf and (len(ranked[query]) < k or ranked[query][-1][2] <= bound + NOISE):
                uncertain.append(query)
        if not uncertain:
            return view.hits(ranked)
        pending = np.array(uncertain)
    raise AssertionError("all rows have been compared")


def _nearest(
    view: View, queries: Floats, count: int, masks: tuple[Bools | None, Bools | None], fast: bool
) -> list[Found]:
    """Rows of the generation, and of the journal, which is always searched exactly."""
    fitted, vectors, mask = view.base.fitted, view.base.vectors, masks[0]
    if fitted.index is None or not fast or wants_exact(vectors, count, fitted.effort, mask):
        base = exact(queries, vectors, count, mask)
    else:
        base = approximate(queries, vectors, fitted.index, fitted.kind, fitted.effort, count, mask)
    if not len(view.added):
        return [base]
    later = exact(queries, view.added, count, masks[1])
    return [base, later._replace(rows=np.where(later.rows < 0, -1, later.rows + len(vectors)))]


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
