"""Multi-label decisions: a threshold a tag, chosen where it may be (on validation), and F1 at it elsewhere.

Conventions: ``truth (items, tags)`` of 1, 0 and -1 (unknown, left out); an item has a tag if its score is at least the
tag's threshold. A tag that no known item has, or that has no threshold, has no F1: it is left out, and is NaN by tag.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.metrics.ranking import Floats, Ints, validate

Labels = NDArray[np.integer]


def best_thresholds(truth: Labels, scores: NDArray[np.floating]) -> Floats:
    """The score of each tag at which F1 is greatest, ``(tags,)``; of equals the highest. NaN if no item has the tag.

    Raises:
        InputError: shapes that differ, a score that is not finite, another truth.
    """
    validate(truth, scores)
    return np.array([_best(labels, column) for labels, column in zip(truth.T, scores.T, strict=True)])


def _best(truth: Labels, scores: NDArray[np.floating]) -> float:
    order = np.argsort(-scores, kind="stable")
    order = order[truth[order] != -1]
    found, ranked = np.cumsum(truth[order] == 1), scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(order) else order
    if not len(last) or not found[-1]:
        return float("nan")
    f1 = 2 * found[last] / (last + 1 + found[-1])
    return float(ranked[last[f1.argmax()]])


def f1_by_tag(truth: Labels, scores: NDArray[np.floating], thresholds: Floats, drawn: Ints | None = None) -> Floats:
    """2 * right / (true + told) of each tag, ``(tags,)``; ``drawn (items,)`` is how often each counts."""
    right, true, told = _counts(truth, scores, thresholds, drawn)
    known = (true > 0) & ~np.isnan(thresholds)
    return np.asarray(np.divide(2 * right, true + told, out=np.full(len(true), np.nan), where=known))


def f1(truth: Labels, scores: NDArray[np.floating], thresholds: Floats, drawn: Ints | None = None) -> dict[str, float]:
    """``macro_f1``, the mean over tags; ``weighted_f1``, by how many items have them; ``micro_f1``, of added counts.

    NaN if no tag has one.
    """
    each, (right, true, told) = f1_by_tag(truth, scores, thresholds, drawn), _counts(truth, scores, thresholds, drawn)
    known = ~np.isnan(each)
    if not known.any():
        return dict.fromkeys(("macro_f1", "micro_f1", "weighted_f1"), float("nan"))
    return {
        "macro_f1": float(each[known].mean()),
        "micro_f1": float(2 * right[known].sum() / (true + told)[known].sum()),
        "weighted_f1": float(np.average(each[known], weights=true[known])),
    }


def _counts(
    truth: Labels, scores: NDArray[np.floating], thresholds: Floats, drawn: Ints | None
) -> tuple[Floats, Floats, Floats]:
    """How many items of each tag are told rightly, have it, and are told to have it."""
    each = np.ones(len(truth)) if drawn is None else np.asarray(drawn, dtype=np.float64)
    has, told = truth == 1, (scores >= thresholds) & (truth != -1)
    return each @ (has & told), each @ has, each @ told
