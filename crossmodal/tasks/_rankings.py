"""What queries find in one direction: figures with intervals and chance, a table, and the drop against a pivot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.judgement import Measured, Units
from crossmodal.metrics import retrieval as metrics

Scores = NDArray[np.floating]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
RANK = "median_rank"  # the measure that is no mean


@dataclass(frozen=True)
class Asked:
    """Queries.

    Attributes:
        ids: their words, or tracks.
        keys: what each is about: queries of equal keys ask for the same.
        groups: whole groups are drawn by the bootstrap.
    """

    ids: Sequence[str]
    keys: Sequence[str]
    groups: Sequence[str]

    def select(self, rows: Sequence[int]) -> Asked:
        """Some of them."""
        return Asked(*([column[row] for row in rows] for column in (self.ids, self.keys, self.groups)))


@dataclass(frozen=True)
class Ranking:
    """Queries with every measure of what each of them found.

    Attributes:
        asked: the queries.
        values: a row a query, a column a measure of `metrics.retrieval.per_query`; NaN without a relevant candidate.
        relevance: ``(queries, items)``.
        exclude: what is no candidate, ``(queries, items)``.
        cutoffs: of the measures.
        among: what the items are about, where it differs between rankings.
    """

    asked: Asked
    values: pd.DataFrame
    relevance: Bools
    exclude: Bools
    cutoffs: Sequence[int]
    among: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        asked: Asked,
        items: Sequence[str],
        scores: Scores,
        relevance: Bools,
        cutoffs: Sequence[int],
        exclude: Bools | None = None,
        among: Sequence[str] = (),
    ) -> Ranking:
        """Rank items for queries by ``scores (queries, items)``; ties are broken by the ids of the items."""
        found = metrics.per_query(scores, relevance, items, exclude, asked.ids, cutoffs)
        values = pd.DataFrame(found, index=pd.Index(list(asked.ids), dtype="str"))
        excluded = np.zeros(scores.shape, dtype=bool) if exclude is None else exclude
        return cls(asked, values, relevance, excluded, cutoffs, among)

    def select(self, rows: list[int]) -> Ranking:
        """Some of the queries."""
        values, relevance, exclude = self.values.iloc[rows], self.relevance[rows], self.exclude[rows]
        return replace(self, asked=self.asked.select(rows), values=values, relevance=relevance, exclude=exclude)

    def figures(self, draws: int, seed: int, measures: Sequence[str] | None = None) -> dict[str, Measured]:
        """Each measure, or some, over the queries that have a relevant candidate; nothing where none has."""
        rows = [*map(int, np.flatnonzero(self.values["map"].notna()))]
        if not rows:
            return {}
        values, asked = self.values.iloc[rows], self.asked.select(rows)
        units = Units(asked.ids, asked.groups, draws, seed)
        chance = metrics.chance("", self.relevance, self.exclude, self.cutoffs)
        candidates = int((~self.exclude[rows]).sum(axis=1).max())
        found = units.statistics(averages(values[list(measures or values)]), lambda name: True, candidates=candidates)
        return {name: replace(figure, chance=chance.get(f"/{name}")) for name, figure in found.items()}

    def drop(self, pivot: Ranking, draws: int, seed: int) -> dict[str, dict[str, Any]]:
        """By how much each mean is lower than the pivot's, over the keys that both ask for: above 0 is worse.

        A key's value is the mean of its queries'. Keys are drawn, in the clusters of the pivot's queries.
        """
        own, other = self._by_key(), pivot._by_key()
        both = other.index.intersection(own.index)
        if both.empty:
            return {}
        groups = dict(zip(pivot.asked.keys, pivot.asked.groups, strict=True))
        units = Units(list(both), [groups[key] for key in both], draws, seed)
        found = units.statistics(averages(other.loc[both] - own.loc[both]), lambda name: True)
        return {
            name: {"value": lost.value, "low": lost.low, "high": lost.high, "pairs": len(both)}
            for name, lost in found.items()
        }

    def table(self, kind: str | Sequence[str] = "", language: str | Sequence[str] = "") -> pd.DataFrame:
        """A row a query: kind and language of the texts, group, and the measures."""
        about = pd.DataFrame({"group": list(self.asked.groups)}, index=self.values.index)
        about.insert(0, "kind", kind)
        about.insert(1, "language", language)
        return pd.concat([about, self.values], axis=1)

    def _by_key(self) -> pd.DataFrame:
        known = self.values["map"].notna().to_numpy()
        keys = np.asarray(self.asked.keys, dtype=object)[known]
        return self.values[known].drop(columns=RANK).groupby(keys, sort=False).mean()


def averages(values: pd.DataFrame) -> Callable[[Ints], Mapping[str, Floats]]:
    """The mean of each column of ``values (units, measures)``, of ranks the median, by how often each unit counts."""
    means = values.drop(columns=RANK, errors="ignore")
    matrix, names = means.to_numpy(np.float64), [str(name) for name in means]
    ranks = values[RANK].to_numpy(np.float64) if RANK in values else None

    def statistics(drawn: Ints) -> Mapping[str, Floats]:
        totals = drawn.sum(axis=1, keepdims=True)
        found = dict(zip(names, (drawn @ matrix / totals).T, strict=True))
        return found if ranks is None else {**found, RANK: medians(ranks, drawn)}

    return statistics


def medians(values: Floats, counts: Ints) -> Floats:
    """The median of ``values (units,)``, each as often as ``counts (samples, units)`` says, ``(samples,)``."""
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(counts[:, order], axis=1)
    middle = np.stack([(upto[:, -1] - 1) // 2, upto[:, -1] // 2])  # the same where there is an odd number
    places = (upto[None] <= middle[:, :, None]).sum(axis=2)
    return np.asarray(values[order][places].mean(axis=0))
