"""Bootstrap, over single units or over groups of them that stand or fall together: samples and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVEL = 0.95  # of the intervals of figures
CELLS = 2**20  # samples times units that are held at a time: 8 MB


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
    level: float = LEVEL,
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
    means = sampled_means(numbers, names, draws, seed)
    return Interval(float(numbers.mean()), *percentiles(means, level))


def percentiles(samples: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The bounds between which that share of ``samples (draws,)`` lies: the interval of a mean."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bias_corrected(value: float, samples: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a figure that is no mean: the percentiles of its samples, less the samples' bias.

    Units that are drawn twice hold each other's ranks up, so samples of average precision lie above the figure. Their
    mean less the figure estimates the bias (Efron and Tibshirani 1993, section 10.3); without it the interval says what
    other units, as many, are expected to give. It is kept within 0 and 1 if the samples are.

    Args:
        value: the figure.
        samples: of it, ``(draws,)``.
        level: of the interval.
    """
    low, high = within(percentiles(unbiased(value, samples), level), value, samples)
    return float(low), float(high)


def unbiased(value: float, samples: Floats) -> Floats:
    """Samples of a figure, less their bias: their mean is the figure."""
    return np.asarray(samples - (samples.mean() - value))


def within(numbers: ArrayLike, *known: ArrayLike, least: float = 0.0) -> Floats:
    """Numbers cut to ``least`` and 1 if all that is known of a measure lies within 0 and 1; else as they are."""
    alike = all(((np.asarray(each) >= 0) & (np.asarray(each) <= 1)).all() for each in known)
    return np.clip(numbers, least, 1.0) if alike else np.asarray(numbers, dtype=np.float64)


def sampled_means(values: Floats, groups: Sequence[object] | NDArray[np.generic], draws: int, seed: int) -> Floats:
    """The mean of each sample of groups, ``(draws,)``; one sample at a time, so memory does not grow with the draws."""
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    rng = np.random.default_rng(seed)
    samples = (rng.integers(len(sums), size=len(sums)) for _ in range(draws))
    return np.array([sums[sample].sum() / counts[sample].sum() for sample in samples])


def sampled_statistic(
    statistic: Callable[[Ints], float], groups: Sequence[object] | NDArray[np.generic], draws: int, seed: int
) -> Floats:
    """What is no mean, on each of the same samples, ``(draws,)``.

    Args:
        statistic: of how often each unit was drawn, ``(units,)``, 0 and more.
        groups: one a unit.
        draws: how many samples, each of as many groups as there are.
        seed: of the draws.
    """
    return np.array([statistic(row) for drawn in samples(groups, draws, seed) for row in drawn])


def samples(groups: Sequence[object] | NDArray[np.generic], draws: int, seed: int) -> Iterator[Ints]:
    """How often each unit was drawn, ``(some of the draws, units)`` at a time, so that memory does not grow."""
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    size, rng = int(index.max()) + 1, np.random.default_rng(seed)
    some = max(1, CELLS // len(index))
    for start in range(0, draws, some):
        rows = min(some, draws - start)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)[:, index]
