"""Tags and classes by prompts: the ensemble of all templates, and how far single templates lie from each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.calibration import labels_of
from crossmodal.data.manifest import Manifest
from crossmodal.judgement import Measured, Units
from crossmodal.metrics import classification, multilabel
from crossmodal.metrics.ranking import Ranked
from crossmodal.zero_shot import unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Ints], dict[str, Floats]]  # of how often each track counts, ``(tracks,)``: ``(prompts,)`` each
MEASURES = ("accuracy", "balanced_accuracy")
TOP = 5  # of top-k accuracy, where there are more classes
DECIMALS = 6  # of a cosine: what lies below is float32 noise, which differs between batch sizes


@dataclass(frozen=True)
class Tagset:
    """What is known of the tracks that are annotated with a tagset.

    Attributes:
        name: of the tagset.
        tags: its words; of a single-label set all its classes, also those that the part lacks.
        rows: of the tracks, among the part's.
        labels: 1, or 0 for a track without, ``(rows, tags)``.
        single: whether no track of the manifest has several tags.
    """

    name: str
    tags: tuple[str, ...]
    rows: Ints
    labels: NDArray[np.int8]
    single: bool

    @classmethod
    def of(cls, manifest: Manifest, part: Manifest, name: str, ids: Sequence[str]) -> Tagset:
        """The tracks ``ids`` of a part of a manifest."""
        every, own = (table[table["tagset"] == name] for table in (manifest.tags, part.tags))
        single = not every["track_id"].duplicated().any()
        annotated = part.annotated[part.annotated["tagset"] == name]
        known, found = labels_of(replace(part, tags=own, annotated=annotated), ids)
        tags = tuple(sorted(every["tag"].unique())) if single else known
        rows = np.flatnonzero((found >= 0).any(axis=1)) if len(known) else np.zeros(0, np.int64)
        labels = np.zeros((len(rows), len(tags)), np.int8)
        labels[:, [tags.index(tag) for tag in known]] = found[rows]
        return cls(name, tags, rows, labels, single)

    def tables(self, ids: Sequence[str], scores: Floats) -> dict[str, pd.DataFrame]:
        """Truth and scores, a row a track and a column a tag."""
        index = pd.Index([ids[row] for row in self.rows], dtype="str", name="track_id")
        truth, found = (pd.DataFrame(each, index, list(self.tags)) for each in (self.labels, scores))
        return {f"{self.name}/truth": truth, f"{self.name}/scores": found}


@dataclass(frozen=True)
class Judge:
    """A way to judge scores.

    Attributes:
        rows: of the tracks that are judged, among the tagset's.
        prepare: from the scores of several prompts, ``(prompts, rows, tags)``, to their measures on any sample of rows.
        chance: what a random order, or a guess, is expected to reach, by measure.
        more: attributes of the figures.
    """

    rows: Ints
    prepare: Callable[[Floats], Statistic]
    chance: Mapping[str, float]
    more: Mapping[str, Any]


def tagging(tagset: Tagset) -> Judge | None:
    """Macro ROC-AUC and average precision over the tags that some tracks have and others lack; None if none is so."""
    undefined = multilabel.undefined(tagset.labels)
    if undefined.all():
        return None
    names = multilabel.NAMES[:2]

    def prepare(scores: Floats) -> Statistic:
        ranked = Ranked.of_tags(np.tile(tagset.labels, len(scores)), np.concatenate([*scores], axis=1))

        def measures(drawn: Ints) -> dict[str, Floats]:
            each = [found.reshape(len(scores), -1) for found in ranked.figures(drawn)]
            counts = (~np.isnan(each[0])).sum(axis=1)  # 0 in a sample without one defined tag
            means = [
                np.divide(np.nansum(f, axis=1), counts, out=np.full(len(f), np.nan), where=counts > 0) for f in each
            ]
            return dict(zip(names, means, strict=True))

        return measures

    lacking = [tag for tag, is_lacking in zip(tagset.tags, undefined, strict=True) if is_lacking]
    expected = float(np.nanmean(multilabel.random_precision(tagset.labels)))
    more: dict[str, Any] = {"queries": int((~undefined).sum()), "candidates": len(tagset.rows)}
    rows = np.arange(len(tagset.rows))
    more |= {"more": {"undefined": lacking}} if lacking else {}
    return Judge(rows, prepare, dict(zip(names, (0.5, expected), strict=True)), more)


def classes(tagset: Tagset) -> Judge | None:
    """The class whose word is nearest, among all of a single-label tagset; None where there are no two classes."""
    rows = np.flatnonzero(tagset.labels.any(axis=1))
    if not tagset.single or len(tagset.tags) < 2 or not len(rows):
        return None
    true, guess = tagset.labels[rows].argmax(axis=1), 1 / len(tagset.tags)
    chance = dict.fromkeys(MEASURES, guess)
    if len(tagset.tags) > TOP:
        chance[f"top_{TOP}_accuracy"] = TOP * guess

    def prepare(scores: Floats) -> Statistic:
        cells = [classification.Cells(true, each.argmax(axis=1)) for each in scores]
        top = np.stack([classification.in_top(true, each, min(TOP, each.shape[1])) for each in scores], axis=1)

        def measures(drawn: Ints) -> dict[str, Floats]:
            counts = [each.counts(drawn) for each in cells]
            found = {name: np.array([classification.METRICS[name](each) for each in counts]) for name in MEASURES}
            return {**found, f"top_{TOP}_accuracy": drawn @ top / drawn.sum()}

        return measures

    return Judge(rows, prepare, chance, {"queries": len(rows), "candidates": len(tagset.tags)})


def prompt_scores(tracks: Floats, vectors: NDArray[np.float32]) -> Floats:
    """Mean cosines over a track's seconds, ``(1 + templates, tracks, words)``: of the ensemble, then of each template.

    Args:
        tracks: means of the unit vectors of their segments, by their seconds, ``(tracks, dim)``.
        vectors: ``(words, templates, dim)``, of `zero_shot.prompt_vectors`.
    """
    every = np.concatenate([vectors.mean(axis=1, keepdims=True), vectors], axis=1)
    found = unit(every).astype(np.float64).reshape(-1, tracks.shape[1]) @ tracks.T
    return np.asarray(found.reshape(*every.shape[:2], -1).transpose(1, 2, 0)).round(DECIMALS)


def judged(
    judge: Judge, units: Units, scores: Mapping[str, Floats], templates: Mapping[str, Sequence[str]], pivot: str
) -> tuple[dict[str, Measured], pd.DataFrame]:
    """The figures ``[<language>/]<measure>``, and a row for each language and template, with the measures.

    Without a language it is the mean over languages, with the spread over all their templates. All are sampled
    together, so that the drop of a language against the pivot has an interval too.

    Args:
        judge: the way to judge.
        units: the tracks that are judged.
        scores: of each language, ``(1 + templates, tracks, words)``.
        templates: of each language.
        pivot: one of the languages.
    """
    once, names = np.ones(len(units.ids), dtype=np.int64), list(scores)
    rows = []
    for language in names:
        for template, found in zip(templates[language], scores[language][1:], strict=True):
            values = judge.prepare(found[None, judge.rows])(once)
            rows.append({"language": language, "template": template, **{m: values[m].item() for m in judge.chance}})
    table = pd.DataFrame(rows)
    ensembles = judge.prepare(np.stack([found[0][judge.rows] for found in scores.values()]))
    sampled = units.statistics(
        lambda drawn: _together(ensembles, names, pivot, drawn), classification.is_mean, **judge.more
    )
    figures: dict[str, Measured] = {}
    for measure, chance in judge.chance.items():
        for name, more in _told(sampled, table, measure, names, pivot).items():
            figure = sampled[f"{name}{measure}"]
            figures[f"{name}{measure}"] = replace(figure, chance=chance, more={**figure.more, **more})
    return figures, table


def spread(what: str, values: Mapping[str, float]) -> dict[str, Any]:
    """How far figures lie from each other: how many, mean, standard deviation, extremes, and whose these are."""
    numbers = np.array([*values.values()])
    worst, best = (min(values, key=lambda name: sign * values[name]) for sign in (1, -1))
    found = {"low": values[worst], "high": values[best], "mean": float(numbers.mean()), "sd": float(numbers.std())}
    return {what: len(values), **found, "worst": worst, "best": best}


def _told(
    sampled: Mapping[str, Measured], table: pd.DataFrame, measure: str, languages: Sequence[str], pivot: str
) -> dict[str, dict[str, Any]]:
    """What is said beside the figures of a measure, by the beginnings of their names."""
    singles = zip(table["language"], table["template"], table[measure], strict=True)
    every = {(language, template): value for language, template, value in singles}
    found: dict[str, dict[str, Any]] = {
        "": {
            "prompts": spread("templates", {f"{language}: {t}": value for (language, t), value in every.items()}),
            "languages": spread("languages", {name: sampled[f"{name}/{measure}"].value for name in languages}),
        }
    }
    for name in languages:
        own = {template: value for (language, template), value in every.items() if language == name}
        found[f"{name}/"] = {"prompts": spread("templates", own)}
        if name != pivot:
            lost = sampled[f"drop/{name}/{measure}"]
            drop = {"pivot": pivot, "value": lost.value, "low": lost.low, "high": lost.high, "pairs": lost.queries}
            found[f"{name}/"]["drop"] = drop
    return found


def _together(ensembles: Statistic, languages: Sequence[str], pivot: str, drawn: Ints) -> dict[str, Floats]:
    """Every measure of each language, its mean over languages, and what each language loses, ``(samples,)``."""
    rows = [ensembles(row) for row in drawn]
    found: dict[str, Floats] = {}
    for measure in rows[0]:
        each = dict(zip(languages, np.stack([row[measure] for row in rows], axis=1), strict=True))
        found[measure] = np.mean([*each.values()], axis=0)
        found |= {f"{language}/{measure}": own for language, own in each.items()}
        found |= {f"drop/{language}/{measure}": each[pivot] - own for language, own in each.items()}
    return found
