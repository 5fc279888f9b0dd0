"""Classification metrics of single labels.

Conventions: ``true`` and ``predicted`` are labels, ``(n,)`` each, of one type; the values equal scikit-learn's. Metrics
take the confusion ``counts (classes, classes)``, true in rows and predicted in columns. ``drawn (n,)`` says how often
each pair of labels counts, such as how often a bootstrap drew it, once each unless given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed

Labels = Sequence[str] | Sequence[int] | NDArray[np.generic]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def validate(true: Labels, predicted: Labels) -> None:
    """Raise InputError unless there are labels, and as many of each."""
    if not len(true) or len(true) != len(predicted):
        raise InputError(f"there are {len(true)} true labels and {len(predicted)} predicted; valid is 1 or more, alike")


class Cells:
    """The cell of the confusion in which each pair of labels lies: found once, counted for any bootstrap sample."""

    def __init__(self, true: Labels, predicted: Labels) -> None:
        validate(true, predicted)
        both = np.concatenate([np.asarray(true), np.asarray(predicted)])
        self.classes, index = np.unique(both, return_inverse=True)
        self._cells = index[: len(true)] * len(self.classes) + index[len(true) :]

    def counts(self, drawn: NDArray[np.integer] | None = None) -> Counts:
        """The confusion, ``(classes, classes)``."""
        size = len(self.classes)
        return np.bincount(self._cells, drawn, minlength=size * size).astype(np.int64).reshape(size, size)


def confusion(
    true: Labels, predicted: Labels, drawn: NDArray[np.integer] | None = None
) -> tuple[NDArray[np.generic], Counts]:
    """The classes seen in either, sorted, and ``counts (classes, classes)``: true in rows, predicted in columns."""
    cells = Cells(true, predicted)
    return cells.classes, cells.counts(drawn)


def row_shares(counts: Counts) -> Floats:
    """The confusion as shares of each true class: rows add up to 1; NaN in the row of a class that is never true."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0))


def accuracy(counts: Counts) -> float:
    """Share of the labels that are right; of single labels it is micro F1 as well."""
    return float(counts.trace() / counts.sum())


def balanced_accuracy(counts: Counts) -> float:
    """Mean recall of the classes that are among the true labels."""
    seen = counts.sum(axis=1) > 0
    return float((counts.diagonal()[seen] / counts.sum(axis=1)[seen]).mean())


def f1_by_class(counts: Counts) -> Floats:
    """2 * right / (true + predicted) of each class; NaN of one that is neither (in a bootstrap sample)."""
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return np.asarray(np.divide(2 * counts.diagonal(), both, out=np.full(len(both), np.nan), where=both > 0))


def macro_f1(counts: Counts) -> float:
    """Mean over all classes, true or predicted, of their F1."""
    return float(np.nanmean(f1_by_class(counts)))


def weighted_f1(counts: Counts) -> float:
    """Mean of the classes' F1 by how often they are true."""
    return float(np.nansum(f1_by_class(counts) * counts.sum(axis=1)) / counts.sum())


METRICS = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "weighted_f1": weighted_f1,
}


def is_mean(name: str) -> bool:
    """Whether a measure, by its name, is a mean over labels: accuracy, and that within the top k."""
    measure = name.rpartition("/")[2]
    return measure == "accuracy" or measure.startswith("top_")


def evaluate(true: Labels, predicted: Labels, drawn: NDArray[np.integer] | None = None) -> dict[str, float]:
    """All of them by name."""
    counts = confusion(true, predicted, drawn)[1]
    return {name: metric(counts) for name, metric in METRICS.items()}


def in_top(true: NDArray[np.integer], scores: NDArray[np.floating], k: int) -> NDArray[np.bool_]:
    """Whether each row's true class is among its k of highest score; the mean is top-k accuracy.

    Of classes of equal score the later come first, as in scikit-learn's ``top_k_accuracy_score``.

    Args:
        true: the column of each row's class, ``(n,)``.
        scores: ``(n, classes)``.
        k: 1 to the number of classes.

    Raises:
        InputError: shapes that differ, a score that is not finite, a class or k that is out of range.
    """
    if scores.ndim != 2 or true.shape != scores.shape[:1] or not scores.size:
        raise InputError(f"true classes are {true.shape}, scores {scores.shape}; valid is (n,) and (n, classes)")
    classes = scores.shape[1]
    if not 1 <= k <= classes or true.min() < 0 or true.max() >= classes:
        raise InputError(f"k is {k}, true classes are {true.min()} to {true.max()}, but there are {classes} columns")
    if len(broken := np.flatnonzero(~np.isfinite(scores).all(axis=1))):
        raise InputError(f"scores must be finite, but are not in the rows {listed(broken)}")
    own = scores[np.arange(len(true)), true][:, None]
    before = (scores > own) | ((scores == own) & (np.arange(classes) > true[:, None]))
    return np.asarray(before.sum(axis=1) < k)
