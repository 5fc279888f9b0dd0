"""Tables of truth and scores: bars of the tags, what is confused with what, and curves over all thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from crossmodal.judgement import Ints, Measured, Units
from crossmodal.metrics import classification
from crossmodal.metrics.multilabel import MultiLabel, undefined
from crossmodal.report.figures import LEFT, RIGHT, WIDTH, Chart, Line, Scale, number, plot

DRAWS = 200  # of the intervals of tags
GRID = np.linspace(0, 1, 101)  # of a curve over thresholds
PICKED = 3  # curves of single tags: the best, the middle one and the worst
CLASSES = 60  # of a confusion that is drawn
CONFUSED = 6  # pairs of classes that are told in words
LABEL = 16  # letters of a class beside the confusion

Tables = Mapping[tuple[str, str], pd.DataFrame]
Floats = NDArray[np.float64]


class Bar(NamedTuple):
    """A tag: its figure with the bounds of its interval, another figure, and how many tracks have it."""

    name: str
    value: float
    low: float | None
    high: float | None
    other: float
    positives: int


class Confusion(NamedTuple):
    """What is taken for what.

    Attributes:
        names: the classes, the largest first.
        cells: row, column, share of the row, and count, of those that are not empty.
        worst: the commonest mistakes: true, predicted, count, share of the true class.
    """

    names: list[str]
    cells: list[tuple[int, int, float, int]]
    worst: list[tuple[str, str, int, float]]


class Judged(NamedTuple):
    """A tagset that a task judged.

    Attributes:
        task: its name.
        name: the tagset, or what else stands before ``/truth``.
        measure: what the bars show: ROC-AUC, or of single labels recall.
        other: what stands beside: average precision, or precision.
        mean: of the bars.
        chance: what a random order, or a guess, has.
        bars: the tags, the best first.
        undefined: tags without a figure.
        tracks: how many were judged.
        charts: curves over thresholds.
        confusion: of single labels.
    """

    task: str
    name: str
    measure: str
    other: str
    mean: float
    chance: float
    bars: list[Bar]
    undefined: list[str]
    tracks: int
    charts: list[Chart]
    confusion: Confusion | None


class Pair(NamedTuple):
    """The two tables of a tagset, row by row of the same tracks."""

    task: str
    name: str
    truth: pd.DataFrame
    scores: pd.DataFrame

    @property
    def single(self) -> bool:
        """Whether every track has just one class."""
        truth = self.truth.to_numpy()
        return truth.shape[1] > 1 and bool(((truth == 1).sum(axis=1) == 1).all() and (truth >= 0).all())

    @property
    def labels(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The true class and the one of the highest score of each track."""
        names = np.array(self.truth.columns, dtype=str)
        return names[self.truth.to_numpy().argmax(axis=1)], names[self.scores.to_numpy().argmax(axis=1)]


def pairs(tables: Tables) -> Iterator[Pair]:
    """The tables ``<name>/truth`` and ``<name>/scores`` of all tasks, of the tracks of which anything is known."""
    for task, table in sorted(tables):
        name = table.removesuffix("/truth")
        if name != table and (task, f"{name}/scores") in tables:
            truth = tables[task, table]
            truth = truth[(truth != -1).any(axis=1)]
            if len(truth):
                yield Pair(task, name, truth, tables[task, f"{name}/scores"].loc[truth.index, truth.columns])


def judged(pair: Pair, clusters: Mapping[str, str], seed: int) -> Judged:
    """Bars, curves and confusion of a tagset.

    Args:
        pair: its tables.
        clusters: the cluster of each track, which the bootstrap draws as a whole.
        seed: of the bootstrap.
    """
    names = [str(name) for name in pair.truth.columns]
    truth, scores = pair.truth.to_numpy(np.int8), pair.scores.to_numpy(np.float64)
    ids = [str(track) for track in pair.truth.index]
    units = Units(ids, [clusters.get(track, track) for track in ids], DRAWS, seed)
    found = MultiLabel(truth, scores)
    figures = found.by_tag()
    if pair.single:
        every, other = _recalls(pair, names, units)
        measure, beside, chance = "recall", "precision", 1 / len(names)
    else:
        every, other = _roc_aucs(found, names, units), figures.average_precision
        measure, beside, chance = "ROC-AUC", "average precision", 0.5
    values = np.array([every[name].value for name in names])
    bars = [
        Bar(names[k], one.value, one.low, one.high, float(other[k]), int((truth[:, k] == 1).sum()))
        for k in np.argsort(-values, kind="stable")
        if not np.isnan((one := every[names[k]]).value)
    ]
    mean = float(np.mean([bar.value for bar in bars])) if bars else float("nan")
    told = [name for name in names if np.isnan(every[name].value)]
    charts = _curves(names, truth, scores, figures.roc_auc, figures.average_precision)
    confused = _confusion(pair) if pair.single and len(names) <= CLASSES else None
    return Judged(pair.task, pair.name, measure, beside, mean, chance, bars, told, len(pair.truth), charts, confused)


def _roc_aucs(found: MultiLabel, names: list[str], units: Units) -> dict[str, Measured]:
    """ROC-AUC of each tag, NaN where there is none."""

    def roc_aucs(drawn: Ints) -> dict[str, Floats]:
        return dict(zip(names, np.array([found.by_tag(row).roc_auc for row in drawn]).T, strict=True))

    return units.statistics(roc_aucs)


def _recalls(pair: Pair, names: list[str], units: Units) -> tuple[dict[str, Measured], Floats]:
    """Recall of each class, and precisions, ``(classes,)``; NaN where there is none."""
    truth = (pair.truth.to_numpy() == 1).astype(np.float64)
    chosen = np.eye(truth.shape[1])[pair.scores.to_numpy().argmax(axis=1)]
    right = truth * chosen

    def recalls(drawn: Ints) -> dict[str, Floats]:
        return dict(zip(names, _ratio(drawn @ right, drawn @ truth).T, strict=True))

    return units.statistics(recalls), _ratio(right.sum(axis=0), chosen.sum(axis=0))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0))


def _confusion(pair: Pair) -> Confusion:
    names, counts = classification.confusion(*pair.labels)
    order = np.lexsort((names, -counts.sum(axis=1)))
    names, counts = names[order], counts[np.ix_(order, order)]
    shares = classification.row_shares(counts)
    cells = [(int(r), int(c), float(np.nan_to_num(shares[r, c])), int(counts[r, c])) for r, c in np.argwhere(counts)]
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[3])
    worst = [(str(names[r]), str(names[c]), count, share) for r, c, share, count in wrong[:CONFUSED]]
    return Confusion([str(name) for name in names], cells, worst)


def _curves(names: list[str], truth: NDArray[Any], scores: Floats, auc: Floats, precision: Floats) -> list[Chart]:
    """ROC and precision against recall: the mean over tags, and single tags."""
    defined = np.flatnonzero(~undefined(truth))
    if not len(defined):
        return []
    columns = [(truth[:, k][truth[:, k] >= 0] == 1, scores[:, k][truth[:, k] >= 0]) for k in defined]
    roc, recall = np.array([_roc(*column) for column in columns]), np.array([_recall(*column) for column in columns])
    x, named = Scale(0, 1, LEFT, WIDTH - RIGHT), [names[k] for k in defined]
    diagonal = [(0.0, 0.0), (1.0, 1.0)]
    return [
        plot("ROC: hits against false alarms", _picked(roc, named, auc[defined]), x, diagonal),
        plot("Precision against recall", _picked(recall, named, precision[defined]), x),
    ]


def _picked(curves: Floats, names: list[str], figures: Floats) -> dict[str, Line]:
    order = np.argsort(-figures, kind="stable")
    picked = dict.fromkeys(order[[0, len(order) // 2, -1]].tolist()) if len(order) > PICKED else order.tolist()
    lines = {"mean of all": Line(_points(curves.mean(axis=0)), number(float(figures.mean())))} if len(names) > 1 else {}
    return lines | {names[k]: Line(_points(curves[k]), number(float(figures[k]))) for k in picked}


def _points(heights: Floats) -> list[tuple[float, float]]:
    return [(float(x), round(float(y), 4)) for x, y in zip(GRID, heights, strict=True)]


def _roc(truth: NDArray[np.bool_], scores: Floats) -> Floats:
    false, hits, _ = roc_curve(truth, scores)
    return np.asarray(np.interp(GRID, false, hits))


def _recall(truth: NDArray[np.bool_], scores: Floats) -> Floats:
    """Precision along recall; where a recall is reached at several thresholds, the best of them."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    reached, place = np.unique(recall, return_inverse=True)
    best = np.zeros(len(reached))
    np.maximum.at(best, place, precision)
    return np.asarray(np.interp(GRID, reached, best))
