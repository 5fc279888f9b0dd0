"""Tables of truth and scores: bars of the tags, what is confused with what, and curves over all thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from crossmodal.metrics import classification
from crossmodal.metrics.bootstrap import LEVEL, sampled_statistic
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


def judged(pair: Pair, groups: Mapping[str, str], seed: int) -> Judged:
    """Bars, curves and confusion of a tagset.

    Args:
        pair: its tables.
        groups: the group of each track, by which the bootstrap draws; itself where it has none.
        seed: of the bootstrap.
    """
    names = [str(name) for name in pair.truth.columns]
    truth, scores = pair.truth.to_numpy(np.int8), pair.scores.to_numpy(np.float64)
    drawn_by = [groups.get(str(track)) or str(track) for track in pair.truth.index]
    found = MultiLabel(truth, scores)
    figures = found.by_tag()
    if pair.single:
        values, other, samples = _recalls(pair, drawn_by, seed)
        measure, beside, chance = "recall", "precision", 1 / len(names)
    else:
        values, other = figures.roc_auc, figures.average_precision
        samples = sampled_statistic(lambda drawn: found.by_tag(drawn).roc_auc, drawn_by, DRAWS, seed)  # type: ignore[arg-type, return-value]
        measure, beside, chance = "ROC-AUC", "average precision", 0.5
    without = np.isnan(values)
    low, high = _bounds(samples)
    bars = [
        Bar(names[k], float(values[k]), low[k], high[k], float(other[k]), int((truth[:, k] == 1).sum()))
        for k in np.argsort(-values, kind="stable")
        if not without[k]
    ]
    mean = float(values[~without].mean()) if bars else float("nan")
    told = [name for name, lacks in zip(names, without, strict=True) if lacks]
    charts = _curves(names, truth, scores, figures.roc_auc, figures.average_precision)
    confused = _confusion(pair) if pair.single and len(names) <= CLASSES else None
    return Judged(pair.task, pair.name, measure, beside, mean, chance, bars, told, len(pair.truth), charts, confused)


def _recalls(pair: Pair, drawn_by: list[str], seed: int) -> tuple[Floats, Floats, Floats]:
    """Recall and precision of each class, ``(classes,)``, NaN where there is none, and recalls of the bootstrap."""
    truth = (pair.truth.to_numpy() == 1).astype(np.float64)
    chosen = np.eye(truth.shape[1])[pair.scores.to_numpy().argmax(axis=1)]
    right = truth * chosen

    def recalls(drawn: NDArray[np.int64]) -> Floats:
        return _ratio(drawn @ right, drawn @ truth)

    samples = sampled_statistic(recalls, drawn_by, DRAWS, seed)  # type: ignore[arg-type]
    return _ratio(right.sum(axis=0), truth.sum(axis=0)), _ratio(right.sum(axis=0), chosen.sum(axis=0)), samples


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))


def _bounds(samples: Floats) -> tuple[list[float | None], list[float | None]]:
    """The bounds of each column; None where a sample has no figure, which would narrow the interval."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [None if np.isnan(v) else float(v) for v in low], [None if np.isnan(v) else float(v) for v in high]


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
