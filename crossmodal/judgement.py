"""What a task finds: figures, the samples that their intervals come from, and the tables they were computed from.

A figure is sampled by the bootstrap over *units*: tracks, or queries, in groups (such as the tracks of an artist) that
stand or fall together. The samples are drawn from the names of the groups and a seed alone, so two systems that are
judged on the same units are drawn alike, sample by sample: the differences of their samples are a paired test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import bias_corrected, percentiles, sampled_means, sampled_statistic, samples

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """One figure.

    Attributes:
        value: the figure.
        low: of its interval at the level `LEVEL`; None where it was not sampled, not every sample has a figure, or all
            units are of one group, which says nothing of others.
        high: likewise.
        chance: what a random order, or a guess, is expected to reach; None where that is not known.
        queries: how many units were asked.
        candidates: among how many items, or classes.
        groups: how many the units form, which are drawn as wholes; None where nothing was to be drawn.
        corrected: whether the interval is `bias_corrected`, as that of what is no mean is.
        more: what else belongs to it, such as the setting that was chosen on valid; plain values.
        samples: the figure on each sample, ``(draws,)``; None where it was not sampled.
        units: names what was sampled: samples of equal names belong together one by one.
    """

    value: float
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    queries: int | None = None
    candidates: int | None = None
    groups: int | None = None
    corrected: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)
    samples: Floats | None = None
    units: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As results.json has it: all but the samples."""
        names = ("value", "low", "high", "corrected", "chance", "queries", "candidates", "groups")
        return {name: getattr(self, name) for name in names} | dict(self.more)


@dataclass(frozen=True)
class Judgement:
    """What a task found.

    Attributes:
        metrics: by name, ``<direction>/<measure>`` or ``<tagset>/<measure>``.
        tables: what they were computed from, to be looked at, plotted and judged anew, by name. Two are known to
            others: ``<tagset>/truth`` and ``<tagset>/scores``, a row a track (the index, ``track_id``), a column a tag,
            1, 0 or -1 for unknown, and scores of which greater is more likely.
        primary: the measure that sums it up, where that depends on what was judged; None for the task's own.
        left_out: what could not be judged, such as a tagset, and why.
    """

    metrics: dict[str, Measured]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    primary: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The metrics as results.json has them."""
        return {name: figure.as_dict() for name, figure in self.metrics.items()}


@dataclass(frozen=True)
class Units:
    """What the bootstrap draws from.

    Attributes:
        ids: of the units: tracks or queries.
        groups: of the units, one each; whole groups are drawn.
        draws: how many samples; 0 for none.
        seed: of the draws.
    """

    ids: Sequence[str]
    groups: Sequence[str]
    draws: int = 1000
    seed: int = 0

    @cached_property
    def name(self) -> str:
        """Sixteen hex digits that say which units are drawn how."""
        digest = hashlib.blake2b(f"{self.draws} {self.seed}".encode(), digest_size=8)
        for pair in zip(self.ids, self.groups, strict=True):
            digest.update(repr(tuple(map(str, pair))).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def mean(self, values: ArrayLike, **more: Any) -> Measured:
        """The mean of a value a unit, ``(units,)``; NaN for units that have none, which are left out and not counted.

        Args:
            values: one a unit.
            more: other attributes of `Measured`; ``queries`` is the number of values unless given.
        """
        numbers = np.asarray(values, dtype=np.float64)
        known = np.flatnonzero(~np.isnan(numbers))
        if not len(known) or np.isinf(numbers).any():
            raise InputError(f"the mean of {len(numbers)} units: values must be finite, and at least one")
        if len(known) < len(numbers):
            return self.select(known).mean(numbers[known], **more)
        means = sampled_means(numbers, self.groups, self.draws, self.seed) if self.draws else None
        return self.figure(float(numbers.mean()), means, corrected=False, **more)

    def statistic(self, statistic: Callable[[Ints], float], **more: Any) -> Measured:
        """What is no mean: ``statistic`` of how often each unit counts, ``(units,)``; once for the figure."""
        values = sampled_statistic(statistic, self.groups, self.draws, self.seed) if self.draws else None
        return self.figure(statistic(np.ones(len(self.ids), dtype=np.int64)), values, **more)

    def statistics(
        self,
        statistics: Callable[[Ints], Mapping[str, Floats]],
        means: Callable[[str], bool] = lambda name: False,
        **more: Any,
    ) -> dict[str, Measured]:
        """Several figures by name, from the same samples.

        Args:
            statistics: from ``drawn (samples, units)``, how often each unit counts in some of the samples, to each
                figure on each of them, ``(samples,)``.
            means: whether the figure of a name is a mean over units; its interval is not ``corrected`` then.
            more: other attributes of all the figures.
        """
        found = statistics(np.ones((1, len(self.ids)), dtype=np.int64))
        parts = [statistics(drawn) for drawn in samples(self.groups, self.draws, self.seed)]
        drawn = {name: np.concatenate([part[name] for part in parts]) if parts else None for name in found}
        return {
            name: self.figure(float(figure[0]), drawn[name], corrected=not means(name), **more)
            for name, figure in found.items()
        }

    def select(self, rows: Ints) -> Units:
        """Some of the units."""
        return Units([self.ids[row] for row in rows], [self.groups[row] for row in rows], self.draws, self.seed)

    def figure(self, value: float, sampled: Floats | None, corrected: bool = True, **more: Any) -> Measured:
        """A figure and its samples, which make its interval; there is none of one group, or if a sample has no figure.

        Args:
            value: the figure.
            sampled: on each sample of these units, ``(draws,)``; None if nothing was drawn.
            corrected: for the bias of the samples; those of a mean have none.
            more: other attributes of `Measured`; ``queries`` is the number of units unless given.
        """
        groups = len(set(self.groups))
        described = {"queries": len(self.ids), "groups": groups} | more
        # all samples of one group are alike; one without a figure would narrow the interval
        if sampled is None or groups == 1 or not np.isfinite(sampled).all():
            return Measured(value, **described)
        low, high = bias_corrected(value, sampled) if corrected else percentiles(sampled)
        return Measured(value, low, high, corrected=corrected, samples=sampled, units=self.name, **described)
