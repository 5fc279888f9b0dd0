"""Curves that tasks give as tables: figures by the share of labels, or by how many are asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from crossmodal.report.figures import LEFT, RIGHT, WIDTH, Chart, Line, LogScale, Points, number, plot

X = {"share": "share of labels, %", "k": "first k"}  # columns along x, and what they are called
BOUNDS = ["low", "high"]

Tables = Mapping[tuple[str, str], pd.DataFrame]
Key = tuple[str, str, str]  # task, metric, column along x


def charts(tables: Tables) -> dict[str, list[Chart]]:
    """Charts by task, of the tables ``curve/<name>``: one a metric, and a line for each table and each of its words.

    A table has ``share`` (0 to 1) or ``k``, and ``value``. It may have ``metric``, else that is its name; other columns
    of words tell its lines apart. Bands are ``low`` and ``high``, or else the standard deviation of its repetitions;
    ``chance`` is told in the legend.
    """
    found: dict[Key, dict[str, pd.DataFrame]] = {}
    for task, name in sorted(tables):
        if name.startswith("curve/"):
            for (metric, along, line), rows in _lines(name.removeprefix("curve/"), tables[task, name]).items():
                found.setdefault((task, metric, along), {})[line] = rows
    made: dict[str, list[Chart]] = {}
    for (task, metric, along), lines in found.items():
        made.setdefault(task, []).append(_chart(metric, along, lines))
    return made


def _lines(name: str, table: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    """The rows of each line, by metric, column along x, and the line's name."""
    along = next(column for column in X if column in table)
    rows = table if "metric" in table else table.assign(metric=name)
    named = name if "metric" in table else ""
    apart = [str(column) for column in rows if column != "metric" and not pd.api.types.is_numeric_dtype(rows[column])]
    found = {}
    for (metric, *more), one in rows.groupby(["metric", *apart], sort=False):
        line = " · ".join(filter(None, [named, *map(str, more)])) or name
        found[str(metric), along, line] = one
    return found


def _chart(metric: str, along: str, lines: Mapping[str, pd.DataFrame]) -> Chart:
    factor = 100 if along == "share" else 1
    places = sorted({float(place) * factor for rows in lines.values() for place in rows[along]})
    low, high = places[0], places[-1]
    x = LogScale(low, high if high > low else low * 2, LEFT, WIDTH - RIGHT, places)
    title = f"{metric.replace('_', ' ')} by {X[along]}"
    return plot(title, {name: _line(rows, along, factor) for name, rows in lines.items()}, x)


def _line(rows: pd.DataFrame, along: str, factor: int) -> Line:
    by = rows.groupby(along)
    means = by["value"].mean().dropna()
    values = means.to_numpy(np.float64)
    if set(BOUNDS) <= set(rows):
        low, high = (by[side].mean().loc[means.index].to_numpy(np.float64) for side in BOUNDS)
    else:
        spread = np.nan_to_num(by["value"].std().loc[means.index].to_numpy(np.float64))
        low, high = np.maximum(values - spread, 0), values + spread
    points: Points = [(float(place) * factor, float(value)) for place, value in zip(means.index, values, strict=True)]
    known = np.isfinite(low).all() and np.isfinite(high).all() and (high > low).any()
    bounds: Points = [(float(a), float(b)) for a, b in zip(low, high, strict=True)] if known else ()
    chance = f", chance {number(float(by['chance'].mean().iloc[-1]))}" if "chance" in rows else ""
    return Line(points, number(points[-1][1] if points else None) + chance, bounds)
