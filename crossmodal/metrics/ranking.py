"""ROC-AUC and average precision of many lists at once, sorted once, for any number of bootstrap samples.

Conventions: ``truth (items, tags)`` holds 1, 0, and -1 where it is not known whether the item has the tag, which is
left out; ``scores (items, tags)`` are finite, greater is likelier. A *list* is what is ranked by itself: the items of a
tag (for macro figures), the tags of an item (for figures by clip), or everything (for micro figures).

Equal scores share a threshold, as in scikit-learn: to AUC a tie is half right, and average precision looks at the end
of the ties. A list in which all that is known is of one class has neither figure: NaN, also where scikit-learn has an
average precision of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SHOWN = 3  # cells that a message names


class Figures(NamedTuple):
    """ROC-AUC and average precision of each list, ``(lists,)``, NaN where they are undefined."""

    roc_auc: Floats
    average_precision: Floats

    def macro(self) -> tuple[float, float]:
        """Their means over the lists that have them; NaN if none has."""
        known = ~np.isnan(self.roc_auc)
        if not known.any():
            return float("nan"), float("nan")
        return float(self.roc_auc[known].mean()), float(self.average_precision[known].mean())


def validate(
    truth: NDArray[np.integer],
    scores: NDArray[np.floating],
    items: Sequence[object] | None = None,
    tags: Sequence[object] | None = None,
) -> None:
    """Raise InputError unless shapes and values fit; a wrong cell is named by its item and tag, or else by numbers."""
    if truth.ndim != 2 or truth.shape != scores.shape or not truth.size:
        raise InputError(f"truth is {truth.shape} and scores are {scores.shape}; valid is (items, tags), alike")
    for wrong, what in (
        (~np.isfinite(scores), "scores must be finite, but are not for"),
        (~np.isin(truth, (-1, 0, 1)), "truth must be 1, 0 or -1 (unknown), but is not for"),
    ):
        if wrong.any():
            raise InputError(f"{what} {_cells(wrong, items, tags)}")


def _cells(wrong: NDArray[np.bool_], items: Sequence[object] | None, tags: Sequence[object] | None) -> str:
    rows, columns = np.nonzero(wrong)
    names = [
        f"{f'row {row}' if items is None else items[row]}, {f'column {column}' if tags is None else tags[column]}"
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    return listed(names, SHOWN)


class Ranked:
    """Lists of items, each in the order of falling score.

    Args:
        truth: 1, 0 or -1, of each entry, ``(entries,)``.
        scores: of each entry.
        items: the item of each entry: it counts as often as its item was drawn.
        lists: the list of each entry, from 0.
        size: how many lists there are; one without an entry is undefined.
    """

    def __init__(
        self, truth: NDArray[np.integer], scores: NDArray[np.floating], items: Ints, lists: Ints, size: int
    ) -> None:
        known, scores = np.flatnonzero(truth != -1), np.asarray(scores, dtype=np.float64)
        order = known[np.lexsort((-scores[known], lists[known]))]
        self.items, lists, scores = items[order], lists[order], scores[order]
        self.bounds = np.searchsorted(lists, np.arange(size + 1))  # of the lists, among the entries
        self.hits = np.flatnonzero(truth[order] == 1)
        self.list_of_hit = lists[self.hits]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (lists[1:] != lists[:-1]) | (scores[1:] != scores[:-1])
        starts = np.append(np.flatnonzero(new), len(order))
        ties = np.searchsorted(starts, self.hits, side="right") - 1
        self.first, self.last = starts[ties], starts[ties + 1]  # of the entries that tie with each hit
        self.hits_until_last = np.searchsorted(self.hits, self.last)
        self.hit_bounds = np.searchsorted(self.hits, self.bounds)

    @classmethod
    def of_tags(cls, truth: NDArray[np.integer], scores: NDArray[np.floating]) -> Ranked:
        """A list a tag."""
        items, tags = np.indices(truth.shape)
        return cls(truth.ravel(), scores.ravel(), items.ravel(), tags.ravel(), truth.shape[1])

    @classmethod
    def of_items(cls, truth: NDArray[np.integer], scores: NDArray[np.floating]) -> Ranked:
        """A list an item: how well the tags of each are told from those it has not."""
        items = np.indices(truth.shape)[0].ravel()
        return cls(truth.ravel(), scores.ravel(), items, items, truth.shape[0])

    @classmethod
    def together(cls, truth: NDArray[np.integer], scores: NDArray[np.floating]) -> Ranked:
        """One list of all items of all tags."""
        items = np.indices(truth.shape)[0].ravel()
        return cls(truth.ravel(), scores.ravel(), items, np.zeros_like(items), 1)

    def figures(self, drawn: Ints) -> Figures:
        """Both figures of each list.

        Args:
            drawn: how often each item counts, ``(items,)`` whole numbers, such as how often a bootstrap drew it. They
                are added up as such, so that no list takes a rounding error from those before it.
        """
        each = drawn.take(self.items)
        weight = each.take(self.hits)
        each[self.hits] = 0
        missed, found = _running(each), _running(weight)  # how many there are before each place
        missed_before, found_before = missed.take(self.bounds), found.take(self.hit_bounds)
        misses, hits = np.diff(missed_before), np.diff(found_before)
        defined = (hits > 0) & (misses > 0)
        # the misses above each hit, those of its own score by half, are its wrong pairs
        until_last = missed.take(self.last)
        wrong = self._by_list(weight * (missed.take(self.first) + until_last)) / 2 - hits * missed_before[:-1]
        found_here = found.take(self.hits_until_last) - found_before.take(self.list_of_hit)
        seen_here = found_here + until_last - missed_before.take(self.list_of_hit)
        precision = found_here / np.maximum(seen_here, 1)  # a hit that was not drawn may have none, and has no weight
        right = 1 - _ratio(wrong, np.where(defined, hits * misses, 0))
        return Figures(right, _ratio(self._by_list(weight * precision), np.where(defined, hits, 0)))

    def _by_list(self, values: NDArray[Any]) -> Floats:
        """The sum over the hits of each list."""
        sums = np.zeros(len(self.bounds) - 1)
        some = np.flatnonzero(np.diff(self.hit_bounds))
        if len(some):
            sums[some] = np.add.reduceat(values, self.hit_bounds[some])
        return sums


def _running(numbers: Ints) -> Ints:
    """The sum of the numbers before each place, and of all: one more than there are numbers."""
    sums = np.empty(len(numbers) + 1, dtype=np.int64)
    sums[0] = 0
    np.cumsum(numbers, out=sums[1:])
    return sums


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))
