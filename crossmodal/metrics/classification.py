"""Classification metrics of single labels.

Conventions: ``true`` and ``predicted`` are labels, ``(n,)`` each, of one type; the values equal scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

Labels = Sequence[str] | Sequence[int] | NDArray[np.generic]
Counts = NDArray[np.int64]


def validate(true: Labels, predicted: Labels) -> None:
    """Raise InputError unless there are labels, and as many of each."""
    if not len(true) or len(true) != len(predicted):
        raise InputError(f"there are {len(true)} true labels and {len(predicted)} predicted; valid is 1 or more, alike")


def confusion(true: Labels, predicted: Labels) -> tuple[NDArray[np.generic], Counts]:
    """The classes seen in either, sorted, and ``counts (classes, classes)``: true in rows, predicted in columns."""
    validate(true, predicted)
    classes, index = np.unique(np.concatenate([np.asarray(true), np.asarray(predicted)]), return_inverse=True)
    size = len(classes)
    cells = np.bincount(index[: len(true)] * size + index[len(true) :], minlength=size * size)
    return classes, cells.reshape(size, size)


def accuracy(counts: Counts) -> float:
    """Share of the labels that are right."""
    return float(counts.trace() / counts.sum())


def balanced_accuracy(counts: Counts) -> float:
    """Mean recall of the classes that are among the true labels."""
    seen = counts.sum(axis=1) > 0
    return float((counts.diagonal()[seen] / counts.sum(axis=1)[seen]).mean())


def macro_f1(counts: Counts) -> float:
    """Mean over all classes, true or predicted, of 2 * right / (true + predicted)."""
    return float((2 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))).mean())


def evaluate(true: Labels, predicted: Labels) -> dict[str, float]:
    """All of them by name."""
    counts = confusion(true, predicted)[1]
    return {
        "accuracy": accuracy(counts),
        "balanced_accuracy": balanced_accuracy(counts),
        "macro_f1": macro_f1(counts),
    }
