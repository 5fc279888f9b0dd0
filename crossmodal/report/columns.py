"""What tracks can be coloured by: tags, columns of words that make groups, and numbers in steps."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crossmodal.data.manifest import Manifest

STEPS = 10  # of a column of numbers
NOT_SHOWN = {"track_id", "path", "title", "licence", "sample_rate"}


class Column(NamedTuple):
    """A column by its values: ``of`` has each track's, as places in ``values``, which are in order if ``scale``."""

    name: str
    values: list[str]
    of: list[list[int]]
    scale: bool = False

    def ordered(self, first: Sequence[str]) -> Column:
        """The same, with the values of ``first`` first; steps of numbers stay as they are."""
        if self.scale:
            return self
        values = list(dict.fromkeys([*first, *self.values]))
        place = {value: number for number, value in enumerate(values)}
        return Column(self.name, values, [sorted(place[self.values[n]] for n in one) for one in self.of])


def grouping(cells: Sequence[Any], most: int) -> tuple[list[str], list[list[int]]] | None:
    """A column's values, the commonest first, and each track's; None if they make no groups, or are paths.

    Args:
        cells: words, whole numbers, lists of them, or anything else, which has no value.
        most: how many values are groups still; of lists any number.
    """
    several = any(isinstance(cell, list) for cell in cells)
    values = [_values(cell) for cell in cells]
    counts = Counter(value for one in values for value in one)
    if len(counts) < 2 or (len(counts) > most and not several) or any(map(_is_path, counts)):
        return None
    names = sorted(counts, key=lambda value: (-counts[value], value))
    number = {value: n for n, value in enumerate(names)}
    return names, [sorted({number[value] for value in one}) for one in values]


def steps(name: str, cells: Sequence[float]) -> Column | None:
    """A column of numbers in `STEPS` steps of equal width; None if all are equal; what is not finite has no step."""
    numbers = np.asarray(cells, dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    if len(np.unique(known)) < 2:
        return None
    edges = np.linspace(known.min(), known.max(), STEPS + 1)
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, STEPS - 1)
    named = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    of = [[int(place)] if finite else [] for place, finite in zip(places, np.isfinite(numbers), strict=True)]
    return Column(name, named, of, scale=True)


def columns(manifest: Manifest, ids: Sequence[str], parts: Sequence[str] = ()) -> list[Column]:
    """All that tells tracks apart: the part, columns of words and languages of texts, then columns of numbers.

    Columns that group the tracks alike are one, with the names of all. Tags are not among them.

    Args:
        manifest: of all the tracks.
        ids: those that are drawn.
        parts: the part of each, if they are of several.
    """
    tracks = manifest.tracks.set_index("track_id").loc[list(ids)]
    cells: dict[str, Sequence[Any]] = {"part": parts}
    cells |= {str(name): tracks[name].tolist() for name in tracks if name not in NOT_SHOWN and _is_words(tracks[name])}
    languages = manifest.texts.groupby("track_id")["language"].agg(lambda found: sorted(set(found) - {""})).to_dict()
    cells |= {"language": [languages.get(track, []) for track in ids]}
    found: dict[str, tuple[list[str], list[list[int]]]] = {}
    for name, column in cells.items():
        groups = grouping(column, len(ids) // 2)
        if groups and len({tuple(one) for one in groups[1]}) > 1:
            found[name] = groups
    numbers = [name for name in tracks if name not in NOT_SHOWN and not _is_words(tracks[name])]
    stepped = [steps(str(name), tracks[name].tolist()) for name in numbers]
    return [*_merged(found), *filter(None, stepped)]


def _merged(found: dict[str, tuple[list[str], list[list[int]]]]) -> list[Column]:
    alike: dict[tuple[int, ...], list[str]] = {}
    for name, (_, of) in found.items():
        first = _first(of)
        alike.setdefault(tuple(first[tuple(one)] for one in of), []).append(name)
    return [Column(", ".join(names), *found[names[0]]) for names in alike.values()]


def _first(of: list[list[int]]) -> dict[tuple[int, ...], int]:
    """Each value by the order in which it first stands: the same for columns that differ in names alone."""
    seen: dict[tuple[int, ...], int] = {}
    for one in of:
        seen.setdefault(tuple(one), len(seen))
    return seen


def _is_words(column: pd.Series[Any]) -> bool:
    return not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def _values(cell: Any) -> list[str]:
    every = cell if isinstance(cell, list) else [cell]
    return [str(value) for value in every if isinstance(value, str | int) and str(value)]


def _is_path(value: str) -> bool:
    return PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()
