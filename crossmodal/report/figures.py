"""Geometry of the report's charts: from numbers to SVG paths and ticks, which the page draws in its own colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 26
BINS = 40  # of a histogram
LABEL = 26  # SVG units that a tick's label takes
POINTS = 400  # of a line; a longer one is drawn by the means of its stretches

Numbers = NDArray[np.floating]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A line, or an area that is closed at the foot of the chart: its name, SVG path, and a figure for the legend.

    ``band`` is the path of the area of its spread.
    """

    name: str
    path: str
    figure: str
    band: str = ""


@dataclass(frozen=True)
class Chart:
    """One chart: ticks are pairs of a place in SVG units and a label; ``marks`` are such pairs along x.

    ``guide`` is the path of what chance would draw.
    """

    title: str
    label: str
    curves: list[Curve]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    marks: list[tuple[float, str]]
    areas: bool = False
    guide: str = ""


@dataclass(frozen=True)
class Scale:
    """A linear map of ``low`` to ``high`` onto ``start`` to ``stop``, in SVG units."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and labels of round values within the scale."""
        step = _round_step((self.high - self.low) / 5)
        digits = max(0, -math.floor(math.log10(step)))
        count = math.floor(self.high / step + 1e-9)
        values = [n * step for n in range(math.ceil(self.low / step - 1e-9), count + 1)]
        return [(self(value), f"{value + 0.0:.{digits}f}") for value in values]


@dataclass(frozen=True)
class LogScale(Scale):
    """The same, of logarithms; its ticks are the values that it is given."""

    values: Sequence[float] = ()

    def __call__(self, value: float) -> float:
        """The place of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Those values, but for labels that would run into each other."""
        shown: list[tuple[float, str]] = []
        for value in sorted(self.values):
            if not shown or self(value) - shown[-1][0] >= LABEL:
                shown.append((self(value), f"{value:g}"))
        return shown


@dataclass(frozen=True)
class Line:
    """A line of a chart: its points, what the legend says of it, and at each point the bounds of its spread."""

    points: Points
    figure: str
    bounds: Points = ()


def number(value: float | None) -> str:
    """A metric's value as the report shows it, a dash if there is none: 0.123, 12, 12.5."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.1f}".removesuffix(".0")


def ceiling(values: Iterable[float]) -> float:
    """The smallest round number that none of the values exceeds: 1, 2 or 5 times a power of ten."""
    highest = max((value for value in values if math.isfinite(value)), default=1.0)
    return _round_step(highest) if highest > 0 else 1.0


def line_chart(title: str, lines: Mapping[str, Points], best: int | None = None) -> Chart:
    """Named lines over training steps; ``best`` marks a step."""
    thinned = {name: thin(points) for name, points in lines.items()}
    x = _scale([step for points in thinned.values() for step, _ in points], LEFT, WIDTH - RIGHT)
    y = _scale([value for points in thinned.values() for _, value in points], HEIGHT - BOTTOM, TOP)
    curves = [
        Curve(name, _path([(x(step), y(value)) for step, value in points]), number(lines[name][-1][1]))
        for name, points in thinned.items()
    ]
    marks = [] if best is None else [(x(best), f"best step {best}")]
    finals = ", ".join(f"{curve.name} ends at {curve.figure}" for curve in curves)
    return Chart(title, f"{title} over training steps: {finals}", curves, x.ticks(), y.ticks(), marks)


def plot(title: str, lines: Mapping[str, Line], x: Scale, guide: Points = ()) -> Chart:
    """Named lines from 0 to as high as they go, with their spreads, over any scale of x; ``guide`` is chance's."""
    values = [value for line in lines.values() for pair in line.bounds for value in pair]
    values += [value for line in lines.values() for _, value in line.points]
    y = Scale(0, ceiling(values), HEIGHT - BOTTOM, TOP)
    curves = [
        Curve(name, _path(_placed(line.points, x, y)), line.figure, _band(line, x, y)) for name, line in lines.items()
    ]
    said = ", ".join(f"{curve.name}: {curve.figure}" for curve in curves)
    return Chart(title, f"{title}. {said}", curves, x.ticks(), y.ticks(), [], guide=_path(_placed(guide, x, y)))


def histogram(title: str, groups: Mapping[str, Numbers], bins: int = BINS) -> Chart:
    """Shares of each group of values by their size, as areas, with the medians marked."""
    values = np.concatenate(list(groups.values()))
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    shares = {name: np.histogram(group, edges)[0] / len(group) for name, group in groups.items()}
    x = Scale(float(edges[0]), float(edges[-1]), LEFT, WIDTH - RIGHT)
    y = Scale(0, max(float(share.max()) for share in shares.values()) * 1.05, HEIGHT - BOTTOM, TOP)
    medians = {name: float(np.median(group)) for name, group in groups.items()}
    curves = [
        Curve(name, _steps(share, edges, x, y), f"median {number(medians[name])}") for name, share in shares.items()
    ]
    marks = [(x(median), f"median of {name}") for name, median in medians.items()]
    said = ", ".join(f"{curve.name}: {curve.figure}" for curve in curves)
    return Chart(title, f"{title}. {said}", curves, x.ticks(), y.ticks(), marks, areas=True)


def thin(points: Points) -> list[tuple[float, float]]:
    """The finite points, or, if there are more than `POINTS`, the means of as many stretches of them."""
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if len(finite) <= POINTS:
        return finite
    means = [stretch.mean(axis=0) for stretch in np.array_split(np.array(finite), POINTS)]
    return [(float(step), float(value)) for step, value in means]


def _placed(points: Points, x: Scale, y: Scale) -> Points:
    return [(x(place), y(value)) for place, value in points]


def _band(line: Line, x: Scale, y: Scale) -> str:
    """There along the upper bounds, and back along the lower ones."""
    places = [place for place, _ in line.points]
    there = [(place, high) for place, (_, high) in zip(places, line.bounds, strict=False)]
    back = [(place, low) for place, (low, _) in zip(places, line.bounds, strict=False)]
    return _path(_placed([*there, *reversed(back)], x, y)) + "Z" if line.bounds else ""


def _scale(values: Sequence[float], start: float, stop: float) -> Scale:
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.04 * (high - low) if stop < start else 0.0  # lines do not touch the frame's top and foot
    return Scale(low - margin, high + margin, start, stop) if high > low else Scale(low - 0.5, high + 0.5, start, stop)


def _round_step(size: float) -> float:
    power = 10.0 ** math.floor(math.log10(size))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= size * (1 - 1e-9))


def _path(points: Points) -> str:
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""
    return path + "h0" if len(points) == 1 else path  # a dot, drawn by the line's round cap


def _steps(shares: Numbers, edges: Numbers, x: Scale, y: Scale) -> str:
    tops = "".join(f"V{y(share):g}H{x(edge):g}" for share, edge in zip(shares, edges[1:], strict=True))
    return f"M{x(edges[0]):g} {y(0):g}{tops}V{y(0):g}Z"
