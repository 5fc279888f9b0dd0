"""Hubness: a few items that are near to every query, and many that are near to none; and two corrections of scores.

``N_k(x)``, the k-occurrence of an item, is how many of the queries have it among their k nearest. Where vectors have
many dimensions its distribution leans to the right, and the skewness ``S_k = E[(N_k - mean)^3] / std^3`` says how much
(Radovanović, Nanopoulos and Ivanović, "Hubs in Space", JMLR 11, 2010): 0 for none, above 1 for a lot.

The corrections take a *bank*: queries like those to come, but none of them. `csls` lowers an item by how near it is to
the queries nearest to it (Conneau et al., "Word Translation Without Parallel Data", ICLR 2018); `inverted_softmax`
shares each item among the bank's queries, for those queries alone whose first answer is a hub of the bank (querybank
normalisation with the dynamic inverted softmax; Bogolin et al., CVPR 2022).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

Floats = NDArray[np.float64]
NEAREST = 10  # of the bank, and of the items: CSLS's K
BETA = 20.0  # inverse temperature of the inverted softmax, its authors'


def occurrences(neighbours: NDArray[np.integer], items: int) -> NDArray[np.int64]:
    """N_k of each item, ``(items,)``, from ``neighbours (queries, k)``, the places of the items found.

    Raises:
        InputError: a place that is none of an item.
    """
    if neighbours.size and not 0 <= int(neighbours.min()) <= int(neighbours.max()) < items:
        raise InputError(f"neighbours are {neighbours.min()} to {neighbours.max()}; valid is 0 to {items - 1}")
    return np.bincount(neighbours.ravel(), minlength=items)


def nearest(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """The places of the k best items of each query, ``(queries, k)``; the first of equals first.

    Raises:
        InputError: k below 1 or above the number of items.
    """
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k is {k}; valid is 1 to {scores.shape[1]}, the number of items")
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def skewness(counts: NDArray[np.integer]) -> float:
    """S_k of ``counts (items,)``; 0 where all are equal.

    Raises:
        InputError: there are none.
    """
    if not len(counts):
        raise InputError("skewness: there are no counts")
    centred = counts - counts.mean()
    deviation = float(np.sqrt(np.mean(centred**2)))
    return float(np.mean(centred**3) / deviation**3) if deviation > 0 else 0.0


def hubness(scores: NDArray[np.floating], k: int = 10) -> dict[str, float]:
    """``skewness@k``; ``never@k``, the share of items that no query finds; ``top1%@k``, the share of places they take.

    Args:
        scores: ``(queries, items)``, greater is nearer.
        k: neighbours of a query.
    """
    counts = occurrences(nearest(scores, k), scores.shape[1])
    top = np.sort(counts)[::-1][: max(1, round(len(counts) / 100))]
    found = {"skewness": skewness(counts), "never": float(np.mean(counts == 0))}
    found["top1%"] = float(top.sum() / counts.sum())
    return {f"{name}@{k}": value for name, value in found.items()}


def closeness(bank: NDArray[np.floating], k: int = NEAREST) -> Floats:
    """The mean of each item's k highest scores among the bank's queries, ``(items,)``: CSLS's r_S.

    Args:
        bank: ``(bank queries, items)``.
        k: or as many as there are.

    Raises:
        InputError: an empty bank.
    """
    if not len(bank):
        raise InputError("the bank holds no queries")
    return np.asarray(-np.sort(-bank, axis=0)[:k].mean(axis=0), dtype=np.float64)


def csls(scores: NDArray[np.floating], near: Floats, k: int = NEAREST) -> Floats:
    """``2 s - r_T - r_S``: scores lowered by the mean of the query's k highest, and by the items' `closeness`.

    Args:
        scores: ``(queries, items)`` cosines.
        near: ``(items,)``, of `closeness`.
        k: as there.
    """
    own = -np.sort(-scores, axis=1)[:, :k].mean(axis=1, keepdims=True)
    return np.asarray(2 * scores - own - near, dtype=np.float64)


def inverted_softmax(scores: NDArray[np.floating], bank: NDArray[np.floating], beta: float = BETA) -> Floats:
    """``exp(beta s) / sum over the bank of exp(beta s_bank)``, where a query's first item is one of the bank's.

    The scores of the other queries stay as they are, in another unit: compare within a query only.

    Args:
        scores: ``(queries, items)`` cosines.
        bank: ``(bank queries, items)`` cosines.
        beta: inverse temperature.
    """
    if not len(bank):
        raise InputError("the bank holds no queries")
    hubs = np.unique(nearest(bank, 1))
    dynamic = np.isin(nearest(scores, 1)[:, 0], hubs)[:, None]
    shares = np.exp(beta * scores) / np.exp(beta * bank).sum(axis=0)
    return np.where(dynamic, shares, scores).astype(np.float64)
