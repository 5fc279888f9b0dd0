"""Triplets of tracks, found by what is said about them before anything is trained.

An anchor's positive is the track most like it in words, its negative the one most like it among those that are
different enough: the miner of Schindler's code (SAC 2020), here with tracks of no words left out and every row used
once. A batch in which such triplets lie together gives `objectives/triplet` something to compare where tracks that
are alike would seldom meet by chance: `mined_order` is a batch sampler's order of an epoch, cut into batches as the
loader does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
BLOCK = 512  # anchors whose similarities are held at a time
POOL = 4096  # rows among which the triplets of an epoch are looked for


class Triplets(NamedTuple):
    """Rows of anchors, positives and negatives, ``(triplets,)`` each; no row stands twice."""

    anchors: Rows
    positives: Rows
    negatives: Rows


def mine(vectors: Floats, upper: float, lower: float, count: int, seed: int) -> Triplets:
    """Triplets within a pool of documents' vectors.

    Anchors are tried in a random order. The positive is the free row of highest cosine, if that is ``upper`` or more;
    the negative the free row of highest cosine below ``lower``. An anchor that lacks either stays free for others.

    Args:
        vectors: ``(n, dim)``, rows of length one, or of zeros for tracks without a document, which are never used.
        upper: least cosine of a positive.
        lower: what the cosine of a negative is below; at most ``upper``.
        count: of triplets, at most.
        seed: of the order.

    Raises:
        InputError: the thresholds are not -1 <= lower <= upper <= 1.
    """
    if not -1 <= lower <= upper <= 1:
        raise InputError(f"upper is {upper} and lower {lower}, valid is -1 <= lower <= upper <= 1")
    free: NDArray[np.bool_] = np.asarray(vectors.any(axis=1))
    order = np.random.default_rng(seed).permutation(np.flatnonzero(free))
    found = list(islice(_triplets(vectors, order, free, upper, lower), count))
    return Triplets(*np.array(found, dtype=np.int64).reshape(-1, 3).T)


def _triplets(
    vectors: Floats, order: Rows, free: NDArray[np.bool_], upper: float, lower: float
) -> Iterator[tuple[int, int, int]]:
    """The triplets of the anchors in their order; ``free`` rows are used up as they are found."""
    for start in range(0, len(order), BLOCK):
        anchors = order[start : start + BLOCK]
        for anchor, similarity in zip(anchors.tolist(), vectors[anchors] @ vectors.T, strict=True):
            if not free[anchor]:
                continue
            others = np.where(free, similarity, -np.inf)
            others[anchor] = -np.inf
            below = np.where(others < lower, others, -np.inf)
            positive, negative = int(others.argmax()), int(below.argmax())
            if others[positive] >= upper and below[negative] > -np.inf:
                free[[anchor, positive, negative]] = False
                yield anchor, positive, negative


@dataclass
class Mined:
    """`mined_order` as a function of the epoch, which keeps the last two: batches may straddle them."""

    vectors: Floats
    batch_size: int
    upper: float
    lower: float
    seed: int

    def __post_init__(self) -> None:
        self._kept: dict[int, Rows] = {}

    def __call__(self, epoch: int) -> Rows:
        """The order of an epoch."""
        if epoch not in self._kept:
            found = mined_order(self.vectors, self.batch_size, self.upper, self.lower, self.seed, epoch)
            self._kept = {number: order for number, order in self._kept.items() if number == epoch - 1}
            self._kept[epoch] = found
        return self._kept[epoch]


def mined_order(vectors: Floats, batch_size: int, upper: float, lower: float, seed: int, epoch: int) -> Rows:
    """An epoch's order of all rows, each once, in which the three of a mined triplet fall into one batch.

    Triplets are looked for in random pools of 4096 rows, other ones in each epoch, so that the work grows with the
    tracks and not with their square: half a minute for half a million tracks of 340 topics. They are dealt to the
    epoch's batches at random, and the other rows fill what is left. Epochs follow one another without a gap, as in the
    loader: a batch that straddles two is cut where the epoch ends. Without triplets it is a random order like any.

    Args:
        vectors: ``(n, dim)``, as for `mine`.
        batch_size: of the loader.
        upper: as for `mine`.
        lower: as for `mine`.
        seed: with ``epoch``, of everything random.
        epoch: from 0.

    Returns:
        A permutation of ``n`` rows.
    """
    rng = np.random.default_rng([seed, epoch])
    rows = rng.permutation(len(vectors))
    batches = _batches(len(rows), batch_size, epoch)
    places = rng.permutation([number for number, batch in enumerate(batches) for _ in range(len(batch) // 3)])
    pools = [rows[start : start + POOL] for start in range(0, len(rows), POOL)]
    triplets = [pool[np.stack(mine(vectors[pool], upper, lower, len(pool), seed), axis=1)] for pool in pools]
    return _dealt(np.concatenate(triplets)[: len(places)], rows, batches, places)


def _batches(rows: int, batch_size: int, epoch: int) -> list[range]:
    """The positions of an epoch that fall into each batch, the first and the last of which other epochs may share."""
    first = -epoch * rows % batch_size
    starts = sorted({0, *range(first, rows, batch_size)})
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], rows], strict=True)]


def _dealt(triplets: Rows, rows: Rows, batches: list[range], places: Rows) -> Rows:
    """Triplets ``(n, 3)`` at the batches that ``places`` names, and the other rows, in their order, in between."""
    order = np.full(len(rows), -1, dtype=np.int64)
    taken = [0] * len(batches)
    for place, triplet in zip(places, triplets, strict=False):
        start = batches[place].start + taken[place]
        order[start : start + 3] = triplet
        taken[place] += 3
    order[order < 0] = rows[~np.isin(rows, triplets)]
    return order
