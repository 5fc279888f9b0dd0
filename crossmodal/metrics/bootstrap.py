"""Percentile bootstrap of a mean, over single values or over groups that stand or fall together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.errors import InputError


class Interval(NamedTuple):
    """A mean and the bounds between which it lies at the level asked for."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: ArrayLike,
    groups: Sequence[object] | NDArray[np.generic] | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean of ``values (n,)`` and its percentile interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: one a query; NaN, a query that has no value, is left out.
        groups: one a value, such as its album or artist. Whole groups are then drawn, since their values are alike
            and to draw them apart would make the interval too narrow.
        draws: how many samples, each of as many values (or groups) as there are.
        seed: of the draws.
        level: share of the samples' means that lies within the interval.

    Raises:
        InputError: nothing to draw from, an infinite value, lengths that differ, no draws, a level outside (0, 1).
    """
    numbers = np.asarray(values, dtype=np.float64)
    names = np.arange(len(numbers)) if groups is None else np.asarray(groups)
    if numbers.ndim != 1 or names.shape != numbers.shape:
        raise InputError(f"bootstrap: values are {numbers.shape} and groups {names.shape}; valid is (n,) for both")
    if draws < 1 or not 0 < level < 1:
        raise InputError(f"bootstrap: draws are {draws}, level is {level}; valid are 1 or more, and between 0 and 1")
    known = ~np.isnan(numbers)
    numbers, names = numbers[known], names[known]
    if not len(numbers) or not np.isfinite(numbers).all():
        raise InputError("bootstrap: values must be finite, and at least one")
    index = np.unique(names, return_inverse=True)[1]
    sums, counts = np.bincount(index, weights=numbers).astype(np.float64), np.bincount(index)
    means = _means(sums, counts, draws, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(numbers.mean()), float(low), float(high))


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.int64]], float],
    groups: Sequence[object] | NDArray[np.generic],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The same for what is no mean: ``statistic`` is computed anew on the rows of every sample of whole groups.

    Args:
        statistic: of the rows it is given, which may repeat.
        groups: one a row.
        draws: how many samples.
        seed: of the draws.
        level: share of the samples' statistics that lies within the interval.
    """
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    rng, size = np.random.default_rng(seed), int(index.max()) + 1
    members = [np.flatnonzero(index == group) for group in range(size)]
    samples = (np.concatenate([members[g] for g in rng.integers(size, size=size)]) for _ in range(draws))
    low, high = np.quantile([statistic(rows) for rows in samples], [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(np.arange(len(index))), float(low), float(high))


def _means(
    sums: NDArray[np.float64], counts: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The mean of each sample of groups; one sample at a time, so that memory does not grow with the draws."""
    samples = (rng.integers(len(sums), size=len(sums)) for _ in range(draws))
    return np.array([sums[sample].sum() / counts[sample].sum() for sample in samples])
