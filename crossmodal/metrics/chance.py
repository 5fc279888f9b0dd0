"""What the metrics of `crossmodal.metrics.retrieval` are worth under a random order: exact, not simulated.

Conventions: ``items (queries,)`` counts each query's candidates, and ``relevant (queries,)`` those of them that are
relevant, at least one. Places are drawn without replacement, so the hits among the first k are hypergeometric. Each
function gives the expectation a query, ``(queries,)``, except `median_rank`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def precision(items: Ints, relevant: Ints, k: int) -> Floats:
    """E[hits in the first k] / k, where the hits are min(k, items) * relevant / items."""
    return np.asarray(np.minimum(k, items) * relevant / items / k)


def recall(items: Ints, relevant: Ints, k: int) -> Floats:
    """E[hits in the first k] / min(k, relevant)."""
    return np.asarray(np.minimum(k, items) * relevant / items / np.minimum(k, relevant))


def hit(items: Ints, relevant: Ints, k: int) -> Floats:
    """P(at least one hit in the first k) = 1 - C(items - relevant, k) / C(items, k)."""
    missed, index = _distinct(items, relevant)
    return np.array([1 - row[min(k, len(row) - 1)] for row in missed])[index]


def reciprocal_rank(items: Ints, relevant: Ints) -> Floats:
    """E[1 / rank of the first hit], summed over the ranks at which it can stand."""
    missed, index = _distinct(items, relevant)
    each = [(-np.diff(row) / np.arange(1, len(row))).sum() for row in missed]
    return np.array(each)[index]


def average_precision(items: Ints, relevant: Ints) -> Floats:
    """E[average precision] = a + (1 - a) H(items) / items, a = (relevant - 1) / (items - 1), H the harmonic number.

    From Bestgen, "Exact expected average precision of the random baseline for system evaluation", PBML 103, 2015.
    """
    other = (relevant - 1) / np.maximum(items - 1, 1)
    harmonic = np.cumsum(1 / np.arange(1, items.max() + 1))[items - 1]
    return np.asarray(other + (1 - other) * harmonic / items)


def r_precision(items: Ints, relevant: Ints) -> Floats:
    """E[hits in the first ``relevant``] / relevant."""
    return np.asarray(relevant / items)


def ndcg(items: Ints, relevant: Ints, k: int) -> Floats:
    """E[discounted gain of the hits in the first k] / its best: each of those places holds relevant / items hits."""
    gains = np.append(0.0, discounts(int(items.max())).cumsum())
    return np.asarray(relevant / items * gains[np.minimum(k, items)] / gains[np.minimum(k, relevant)])


def discounts(items: int) -> Floats:
    """What a hit counts at each rank: 1 / log2(1 + rank), from rank 1."""
    return np.asarray(1 / np.log2(np.arange(2, items + 2)))


def median_rank(items: Ints, relevant: Ints) -> float:
    """Median over queries and orders of the rank of the first hit: where half of all are expected to have one."""
    missed, index = _distinct(items, relevant)
    share = np.zeros(max(len(row) for row in missed))
    for row, count in zip(missed, np.bincount(index), strict=True):
        share[: len(row)] += row * count / len(index)
    return float(np.argmax(share <= 0.5 + 1e-12))


def no_hit(items: int, relevant: int) -> Floats:
    """P(no hit in the first k) for k = 0, 1, ..., items - relevant + 1, where it is 0."""
    k = np.arange(items - relevant + 1)
    return np.concatenate([[1.0], np.cumprod((items - relevant - k) / (items - k))])


def _distinct(items: Ints, relevant: Ints) -> tuple[list[Floats], Ints]:
    """`no_hit` of each distinct pair, since most queries share theirs, and the pair of each query."""
    pairs, index = np.unique(np.stack([items, relevant]), axis=1, return_inverse=True)
    return [no_hit(int(n), int(r)) for n, r in pairs.T], index.reshape(-1)
