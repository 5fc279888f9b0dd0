"""Metrics of tags that are given with scores: how well they rank, and whether a probability is what it says.

Conventions: ``scores (items,)`` and ``labels (items,)`` bool, of one tag or of several put end to end; ``weights
(items,)`` says how much an item counts, such as its seconds or how often a bootstrap drew it, one each unless given.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
BINS = 15  # of Guo et al., arXiv:1706.04599


def average_precision(scores: Floats, labels: Bools, weights: NDArray[np.number] | None = None) -> float:
    """Precision at each threshold, weighted by the recall gained there; equal scores share one, as in scikit-learn.

    NaN where nothing is labelled.
    """
    counts = _weights(scores, labels, weights)
    order = np.argsort(-scores, kind="stable")
    found, seen = np.cumsum((counts * labels)[order]), np.cumsum(counts[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # of those that share a threshold
    if not (len(found) and found[-1] > 0):
        return float("nan")
    found, seen = found[last], seen[last]
    precision = np.divide(found, seen, out=np.zeros(len(found)), where=seen > 0)
    return float((np.diff(found, prepend=0.0) * precision).sum() / found[-1])


def calibration_error(
    scores: Floats,
    labels: Bools,
    weights: NDArray[np.number] | None = None,
    words: NDArray[np.integer] | None = None,
    bins: int = BINS,
) -> float:
    """Expected calibration error: |mean score - share labelled| in bins of equal width, their mean by weight.

    Scores outside 0 to 1, such as cosines below 0, count in the bin at that end, with the value they have.

    Args:
        scores: taken as probabilities.
        labels: what they are of.
        weights: of the items.
        words: the number of each item's word; each word then has bins of its own, so that one which is told too high
            does not make up for one which is told too low.
        bins: how many.
    """
    counts = _weights(scores, labels, weights)
    place = bins_of(scores, words, bins)
    return float(np.abs(np.bincount(place, weights=counts * (scores - labels))).sum() / counts.sum())


def bins_of(scores: Floats, words: NDArray[np.integer] | None = None, bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each item, as `calibration_error` has them, from 0; those of a word stand together."""
    return np.clip((scores * bins).astype(np.int64), 0, bins - 1) + (0 if words is None else bins * words)


def brier(scores: Floats, labels: Bools, weights: NDArray[np.number] | None = None) -> float:
    """Mean of (score - label)², which a probability makes small by being right and by being sure."""
    counts = _weights(scores, labels, weights)
    return float(np.average((scores - labels) ** 2, weights=counts))


def _weights(scores: Floats, labels: Bools, weights: NDArray[np.number] | None) -> NDArray[np.float64]:
    """The weights as given, or one each; `InputError` unless all are as many, and labels are bool."""
    counts = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    if scores.ndim != 1 or labels.shape != scores.shape or counts.shape != scores.shape or labels.dtype != bool:
        shapes = f"{scores.shape}, {labels.shape} ({labels.dtype}) and {counts.shape}"
        raise InputError(f"scores, labels and weights are {shapes}; valid is (items,), (items,) bool and (items,)")
    return counts
