"""What choices on the valid part are made by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from crossmodal.heads import Examples, Scores
from crossmodal.metrics.classification import balanced_accuracy, confusion
from crossmodal.metrics.tagging import average_precision

T = TypeVar("T")


def quality(valid: Examples, scores: Scores) -> float:
    """Balanced accuracy of exclusive tags, macro average precision of independent ones; the greater the better.

    A tag that no track of the part is known to have does not count.
    """
    if valid.exclusive:
        return balanced_accuracy(confusion(valid.labels, scores.argmax(axis=1))[1])
    known = valid.truth >= 0
    found = [
        average_precision(scores[rows, tag], valid.truth[rows, tag] == 1)
        for tag, rows in enumerate(known.T)
        if (valid.truth[:, tag] == 1).any()
    ]
    return float(np.mean(found)) if found else 0.0


def best(options: Iterable[T], score: Callable[[T], float]) -> T:
    """The first of the options with the greatest score."""
    return max(options, key=score)  # of equals, max keeps the first
