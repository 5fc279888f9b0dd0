"""Figures of scores of tags, with their intervals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmodal.errors import InputError, listed
from crossmodal.heads import Scores, Truth
from crossmodal.judgement import Measured, Units
from crossmodal.metrics import multilabel
from crossmodal.metrics.bootstrap import sampled_means, sampled_statistic
from crossmodal.metrics.classification import METRICS, Cells, is_mean
from crossmodal.metrics.paired import pooled
from crossmodal.tasks._tagsets import Tagset

EXCLUSIVE = ("balanced_accuracy", "accuracy", "macro_f1")
INDEPENDENT = multilabel.NAMES
Figures = Callable[[NDArray[np.int64]], NDArray[np.float64]]


def check(measures: Sequence[str] | None, where: str) -> None:
    """Refuse measures that do not exist; None is all of them."""
    unknown = [name for name in measures or () if name not in EXCLUSIVE + INDEPENDENT]
    if unknown or (measures is not None and not measures):
        known = listed(EXCLUSIVE + INDEPENDENT, 10)
        raise InputError(f"{where}: measures has no {listed(unknown) or 'name'}; there are {known}")


def names(tagset: Tagset, measures: Sequence[str] | None) -> list[str]:
    """The measures of a tagset: those of ``measures`` that suit it, or all that do.

    Raises:
        InputError: none does.
    """
    suiting = EXCLUSIVE if tagset.exclusive else INDEPENDENT
    found = [name for name in suiting if measures is None or name in measures]
    if not found:
        kind = "exclusive" if tagset.exclusive else "independent"
        asked, known = listed(measures or ()), listed(suiting)
        raise InputError(f"tagset {tagset.name!r} is of {kind} tags, whose measures are {known}, not {asked}")
    return found


def primary(tagsets: Sequence[Tagset], measures: Sequence[str] | None) -> str:
    """The measure that sums tagsets up: the first of those with exclusive tags, or else of the others."""
    return names(max(tagsets, key=lambda tagset: tagset.exclusive), measures)[0]


def measured(
    tagset: Tagset,
    truth: Truth,
    scores: Sequence[Scores],
    units: Units,
    measures: Sequence[str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Measured]:
    """Each measure's mean over seeds, sampled by the bootstrap over tracks and, where there are several, by `pooled`.

    ``more`` tells the standard deviation over seeds (n - 1), where there are several, and the tags that have no figure.

    Args:
        tagset: its tags are the columns.
        truth: ``(tracks, tags)``; of exclusive tags, those of ``tagset.judged``.
        scores: of each seed, ``(tracks, tags)``.
        units: the tracks.
        measures: their names; None for all.
        more: what else belongs to each figure.
    """
    wanted = names(tagset, measures)
    seeds, chances = [figures(tagset, truth, each, wanted) for each in scores], chance(tagset, truth)
    values = np.array([each(np.ones(len(truth), dtype=np.int64)) for each in seeds])  # (seeds, measures)
    drawn = _sampled(seeds, units) if units.draws else None
    found = {}
    for place, name in enumerate(wanted):
        found[name] = units.figure(
            float(values[:, place].mean()),
            None if drawn is None else _over_seeds(values[:, place], drawn[:, place]),
            corrected=not is_mean(name),
            chance=chances.get(name),
            candidates=len(tagset.tags),
            more=dict(more or {}) | _spread(values[:, place]) | _untold(tagset, truth),
        )
    return found


def mean(each: Sequence[ArrayLike], units: Units, more: Mapping[str, Any], **described: Any) -> Measured:
    """The mean of a value a track over tracks and seeds, sampled as `measured` samples.

    Args:
        each: the values with each seed, ``(tracks,)``.
        units: the tracks.
        more: what else belongs to the figure, beside the standard deviation over seeds, where there are several.
        described: other attributes of `Measured`.
    """
    rows = np.array(each, dtype=np.float64)
    values = rows.mean(axis=1)
    drawn = [sampled_means(row, units.groups, units.draws, units.seed) for row in rows] if units.draws else None
    samples = None if drawn is None else _over_seeds(values, np.array(drawn))
    more = dict(more) | _spread(values)
    return units.figure(float(values.mean()), samples, corrected=False, more=more, **described)


def values(tagset: Tagset, truth: Truth, scores: Scores, measures: Sequence[str] | None = None) -> dict[str, float]:
    """The figures alone, by name."""
    wanted = names(tagset, measures)
    found = figures(tagset, truth, scores, wanted)(np.ones(len(truth), dtype=np.int64))
    return dict(zip(wanted, found.tolist(), strict=True))


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    """The standard deviation over seeds, where there are several."""
    return {"sd": float(values.std(ddof=1))} if len(values) > 1 else {}


def _sampled(seeds: Sequence[Figures], units: Units) -> NDArray[np.float64]:
    """All measures with each seed on each sample, ``(seeds, measures, draws)``; all of a sample at once."""

    def each(drawn: NDArray[np.int64]) -> Any:
        return [seed(drawn) for seed in seeds]

    return np.moveaxis(np.asarray(sampled_statistic(each, units.groups, units.draws, units.seed)), 0, -1)


def _over_seeds(values: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The samples of several seeds as those of one system, ``(draws,)``; None if one has no figure.

    What seeds add is drawn by the values: systems that are compared must not draw it alike, as if the seeds of one had
    to do with those of the other.
    """
    if not np.isfinite(samples).all():
        return None
    seed = int.from_bytes(hashlib.blake2b(values.tobytes(), digest_size=8).digest())
    return pooled(values, samples, seed).samples


def figures(tagset: Tagset, truth: Truth, scores: Scores, wanted: Sequence[str]) -> Figures:
    """The measures of one system, ``(measures,)``, by how often each track counts."""
    if not tagset.exclusive:
        ranked = multilabel.MultiLabel(truth, scores, tags=tagset.tags)
        rows = [INDEPENDENT.index(name) for name in wanted]
        return lambda drawn: ranked.figures(drawn)[rows]
    cells = Cells(truth.argmax(axis=1), scores.argmax(axis=1))

    def counted(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = cells.counts(drawn)
        return np.array([METRICS[name](counts) for name in wanted])

    return counted


def chance(tagset: Tagset, truth: Truth) -> dict[str, float]:
    """What is expected of guesses: of exclusive tags any of train's is as likely, others are put in random order."""
    if not tagset.exclusive:
        return multilabel.MultiLabel(truth, np.zeros(truth.shape)).chance()
    known = slice(len(tagset.tags))  # the columns after these are of unseen tags, which nobody guesses
    counts = (truth == 1).sum(axis=0)
    balanced, every = (each[known].sum() / each.sum() for each in (counts > 0, counts))
    return {"balanced_accuracy": balanced / len(tagset.tags), "accuracy": every / len(tagset.tags)}


def _untold(tagset: Tagset, truth: Truth) -> dict[str, Any]:
    """``unseen`` tags, if any; of independent tags ``undefined``: no track has them, none has them not, or unseen."""
    unseen = {"unseen": list(tagset.unseen)} if tagset.unseen else {}
    if tagset.exclusive:
        return unseen
    undefined = [tagset.tags[column] for column in np.flatnonzero(multilabel.undefined(truth))]
    return unseen | {"undefined": sorted([*undefined, *tagset.unseen])}
