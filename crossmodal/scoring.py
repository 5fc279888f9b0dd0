"""Any table of scores judged against any table of truth, by the metrics that our own systems are judged by.

Three kinds of tables are told apart: *tags* (truth of 1, 0 and -1, a column a tag), *classes* (one class a row, as a
word, as a number, or as the only 1 among the columns) and, where it is asked for, *retrieval* (a row a query, a column
an item, 1 where it is relevant). The bootstrap is over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal.data.aligned import Truth, classes_of, matrix_of, numbers_of, single
from crossmodal.data.tables import Table
from crossmodal.errors import InputError, listed
from crossmodal.judgement import Measured, Units
from crossmodal.metrics import classification, multilabel, paired, retrieval, thresholds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.str_]
MEASURES = ("roc_auc", "average_precision")
TOP = (3, 5)  # of top-k accuracy, where there are more classes


@dataclass(frozen=True)
class Scored:
    """What was found.

    Attributes:
        kind: ``tags``, ``classes`` or ``retrieval``.
        metrics: by name.
        tags: ROC-AUC, average precision and the number of positives of each tag that is not undefined.
        rows: ROC-AUC and average precision of each row that has them, by its id.
        undefined: the tags of which all that is known is of one class: they are in no figure over tags.
        classes: the names of the confusion's rows and columns, where classes were judged.
        confusion: counts, true in rows, predicted in columns.
        notes: what was left out.
    """

    kind: str
    metrics: dict[str, Measured]
    tags: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    undefined: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    confusion: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All but the rows, in values that JSON knows."""
        tags = {name: _plain(found) for name, found in self.tags.items()}
        found = {"kind": self.kind, "metrics": _plain(self.metrics), "tags": tags, "undefined": list(self.undefined)}
        found["notes"] = list(self.notes)
        if self.confusion is not None:
            shares = classification.row_shares(self.confusion)
            known = [[None if np.isnan(share) else share for share in row] for row in shares.tolist()]
            counts = self.confusion.tolist()
            found["confusion"] = {"classes": list(self.classes), "counts": counts, "row_shares": known}
        return found


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.as_dict() if isinstance(each, Measured) else each for name, each in found.items()}


def score(truth: Table, scores: Table, units: Units, valid: Sequence[Table] | None = None) -> Scored:
    """Judge tags or classes.

    Args:
        truth: aligned with the scores.
        scores: greater is likelier; or the class that is predicted.
        units: the rows.
        valid: truth and scores of the same columns, aligned, by which the tags' thresholds of F1 are chosen; there is
            no F1 without them.

    Raises:
        InputError: a truth that is neither, a score that is not finite (it names row and column), unknown classes.
    """
    if not (truth.words or scores.words) and len(truth.columns) == len(scores.columns):
        matrix = matrix_of(truth)
        if not single(matrix):
            return _tags(matrix, scores, units, valid)
    if valid is not None:
        raise InputError("thresholds are of tags, but each row has one class; leave --valid out")
    labels = classes_of(truth)
    if scores.words or len(scores.columns) == 1:
        return _predicted(labels, scores, units)
    columns = scores.columns if len(truth.columns) > 1 else _class_columns(labels, scores)
    return _classes(labels, scores.rename(columns), units)


def _tags(truth: Truth, scores: Table, units: Units, valid: Sequence[Table] | None) -> Scored:
    found = _ranking(truth, scores, units)
    if unknown := int((truth == -1).sum()):
        found = replace(found, notes=(f"{unknown} cells of the truth are unknown, and left out", *found.notes))
    if valid is None:
        return found
    values = numbers_of(scores)
    if valid[1].columns != scores.columns:
        raise InputError(f"{valid[1].path} and {scores.path} have other columns: thresholds are of the same tags")
    chosen = thresholds.best_thresholds(matrix_of(valid[0]), numbers_of(valid[1]))
    judged = ~np.isnan(thresholds.f1_by_tag(truth, values, chosen))
    if not judged.any():
        raise InputError("there is no tag that a row here and one of --valid have: no F1")
    names = tuple(thresholds.f1(truth, values, chosen))

    def f1(drawn: Ints) -> Floats:
        return np.array([*thresholds.f1(truth, values, chosen, drawn).values()])

    figures = units.statistics(_named(names, f1), candidates=int(judged.sum()))
    return replace(found, metrics=found.metrics | figures)


def _ranking(truth: Truth, scores: Table, units: Units) -> Scored:
    """ROC-AUC and average precision: over tags, together and by row; of each tag; of each row."""
    found = multilabel.MultiLabel(truth, numbers_of(scores), scores.ids, scores.columns)
    undefined, chance = multilabel.undefined(truth), found.chance()
    if undefined.all():
        raise InputError(f"of {len(undefined)} tags none has a row that has it and one that has it not: no figures")
    keys = [(measure, tag) for measure in MEASURES for tag in range(len(undefined))]
    names = (*multilabel.NAMES, *(f"{measure} {tag}" for measure, tag in keys))
    figures = units.statistics(_named(names, _with_bar(found.figures, units.draws)), candidates=int((~undefined).sum()))
    metrics = {name: replace(figures[name], chance=chance[name]) for name in multilabel.NAMES}
    known, positives = (truth != -1).sum(axis=0).tolist(), (truth == 1).sum(axis=0).tolist()
    expected = dict(zip(MEASURES, (np.full(len(known), 0.5), multilabel.random_precision(truth)), strict=True))
    tags: dict[str, dict[str, Any]] = {}
    for measure, tag in keys:
        if not undefined[tag]:
            described = {"chance": float(expected[measure][tag]), "queries": known[tag], "candidates": None}
            each = replace(figures[f"{measure} {tag}"], **described)
            tags.setdefault(scores.columns[tag], {"positives": positives[tag]})[measure] = each
    lacking = [name for name, is_lacking in zip(scores.columns, undefined, strict=True) if is_lacking]
    by_row, rows, notes = _by_row(found, scores, units)
    return Scored("tags", metrics | by_row, tags, rows, tuple(lacking), notes=notes)


def _by_row(
    found: multilabel.MultiLabel, scores: Table, units: Units
) -> tuple[dict[str, Measured], dict[str, dict[str, float]], tuple[str, ...]]:
    each, chance = found.by_clip(), found.chance()
    known = np.flatnonzero(~np.isnan(each.roc_auc)).tolist()
    lacking = len(scores.ids) - len(known)
    notes = (f"{lacking} rows of one class are in no figure by clip",) if lacking else ()
    if not known:
        return {}, {}, notes
    more = {"candidates": len(scores.columns)}
    metrics = {
        name: units.mean(values, chance=chance[name], **more)
        for name, values in zip(multilabel.BY_CLIP, each, strict=True)
    }
    rows = {scores.ids[row]: {name: float(values[row]) for name, values in each._asdict().items()} for row in known}
    return metrics, rows, notes


def _predicted(labels: Words, scores: Table, units: Units) -> Scored:
    """Classes of which only the predicted ones are told."""
    predicted, true = classes_of(scores), sorted(set(labels.tolist()))
    if not set(true) & set(predicted.tolist()):
        raise InputError(f"of the true classes, {listed(true, 3)}, none is predicted by {scores.path}")
    return _accuracies(labels, predicted, units, len(true))


def _classes(labels: Words, scores: Table, units: Units) -> Scored:
    """Classes that all have scores."""
    columns, values = scores.columns, numbers_of(scores)
    truth = (labels[:, None] == np.array(columns)).astype(np.int8)
    ranking = _ranking(truth, scores, units)  # refuses what is not finite
    found = _accuracies(labels, np.array(columns)[values.argmax(axis=1)], units, len(columns))
    metrics = dict(found.metrics)
    for k in (k for k in TOP if k < len(columns)):
        top = classification.in_top(truth.argmax(axis=1), values, k)
        metrics[f"top_{k}_accuracy"] = units.mean(top, chance=k / len(columns), candidates=len(columns))
    tied = int(((values == values.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    notes = (f"{tied} rows have several classes of highest score: the first column counts",) if tied else ()
    return replace(
        ranking,
        kind="classes",
        metrics=metrics | ranking.metrics,
        classes=found.classes,
        confusion=found.confusion,
        notes=notes,
    )


def _class_columns(labels: Words, scores: Table) -> tuple[str, ...]:
    """The class of each column of scores: as it is named, or else its number, from 0."""
    columns = scores.columns if scores.named else tuple(str(number) for number in range(len(scores.columns)))
    if unknown := sorted(set(labels.tolist()) - set(columns)):
        named = "" if scores.named else ", whose columns have no names; --tags gives them"
        raise InputError(f"the classes {listed(unknown, 3)} have no column in {scores.path}{named}")
    return columns


def _accuracies(true: Words, predicted: Words, units: Units, classes: int) -> Scored:
    cells, names = classification.Cells(true, predicted), classification.METRICS
    guess = {"accuracy": 1 / classes, "balanced_accuracy": 1 / classes}

    def each(drawn: Ints) -> Floats:
        counts = cells.counts(drawn)
        return np.array([metric(counts) for metric in names.values()])

    figures = units.statistics(_named(tuple(names), each), classification.is_mean, candidates=classes)
    metrics = {name: replace(figure, chance=guess.get(name)) for name, figure in figures.items()}
    return Scored("classes", metrics, classes=tuple(cells.classes.tolist()), confusion=cells.counts())


def retrieve(truth: Table, scores: Table, units: Units) -> Scored:
    """Judge retrieval: a row a query, a column an item, relevant where the truth is 1, no candidate where it is -1.

    Args:
        truth: aligned with the scores; the names of the columns break ties.
        scores: greater is more relevant.
        units: the queries.

    Raises:
        InputError: a truth that is none, a score that is not finite, no query with a relevant item.
    """
    matrix = matrix_of(truth)
    relevance, exclude = matrix == 1, matrix == -1
    found = retrieval.per_query(numbers_of(scores), relevance, scores.columns, exclude, scores.ids)
    chance = retrieval.chance("query", relevance, exclude)
    more = {name: {"chance": chance[f"query/{name}"], "candidates": len(scores.columns)} for name in found}
    metrics = {name: units.mean(each, **more[name]) for name, each in found.items() if name != "median_rank"}
    known = np.flatnonzero(~np.isnan(found["median_rank"]))
    ranks = found["median_rank"][known]
    metrics["median_rank"] = units.select(known).statistic(
        lambda drawn: float(np.median(ranks.repeat(drawn))), **more["median_rank"]
    )
    lacking = len(scores.ids) - len(known)
    notes = (f"{lacking} queries without a relevant item are in no figure",) if lacking else ()
    return Scored("retrieval", metrics, notes=notes)


def differences(one: Scored, other: Scored) -> dict[str, dict[str, float]]:
    """How much greater each figure of the first is: value, low, high, p, and ``p_holm``, adjusted for all of them.

    Both must have been judged on the same `Units`; figures without samples, or of `too_few` groups, are left out. The
    intervals of differences are corrected where those of the figures are.
    """
    pairs = {name: (figure, other.metrics[name]) for name, figure in one.metrics.items() if name in other.metrics}
    tests = {
        name: paired.paired_bootstrap(
            ours.value, ours.samples, theirs.value, theirs.samples, corrected=ours.corrected and theirs.corrected
        )
        for name, (ours, theirs) in pairs.items()
        if ours.samples is not None and theirs.samples is not None and ours.units == theirs.units
        if paired.enough(ours.groups)
    }
    adjusted = paired.holm([test.p for test in tests.values()]).tolist()
    return {name: test._asdict() | {"p_holm": p} for (name, test), p in zip(tests.items(), adjusted, strict=True)}


def too_few(found: Scored) -> dict[str, int]:
    """The figures that are not tested since their units form too few groups, and how many these are."""
    groups = {name: figure.groups for name, figure in found.metrics.items()}
    return {name: number for name, number in groups.items() if number is not None and not paired.enough(number)}


def _named(names: tuple[str, ...], statistic: Callable[[Ints], Floats]) -> Callable[[Ints], dict[str, Floats]]:
    """Figures of many samples, ``(samples, units)``, by name; ``statistic`` gives those of one."""
    return lambda drawn: dict(zip(names, np.array([statistic(row) for row in drawn]).T, strict=True))


def _with_bar(statistic: Callable[[Ints], Floats], draws: int) -> Callable[[Ints], Floats]:
    """The same statistic, with a bar of how many samples it was computed on."""
    bar = tqdm(total=draws + 1, desc="bootstrap", unit="sample", disable=None, leave=False)

    def counted(drawn: Ints) -> Floats:
        bar.update()
        if bar.n == bar.total:
            bar.close()
        return statistic(drawn)

    return counted
