"""Zero-shot tagging: a manifest's tags as words, scored by cosine, calibrated on one part and judged on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal.calibration import Calibration, cosines, labels_of
from crossmodal.data.prompts import meant
from crossmodal.errors import InputError, listed
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.metrics import chance as random_order
from crossmodal.metrics import retrieval as metrics
from crossmodal.metrics.tagging import average_precision, brier, calibration_error
from crossmodal.settings import Whole
from crossmodal.types import Task
from crossmodal.zero_shot import word_vectors

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Labels = NDArray[np.int8]


class ZeroShot(Task):
    """Every tag that some tracks of the part have and others lack, as a word: no classifier was fitted to it.

    Tracks that are not annotated with a tagset take no part in it. A track's score is the mean of its segments', by
    their seconds. ``text_to_audio`` ranks tracks by one word, which a calibration hardly changes; ``audio_to_text``
    ranks the words for one track, which is what a calibration is for; ``calibration`` compares the probabilities of
    segments with the tags of their tracks, word by word: ``ece``, the smaller the better, and ``brier``, which must be
    below ``brier_of_shares``, that of saying a tag's share in the reference of every segment. Each is of all words
    together, and of the words of each tagset. Names that end in ``_of_cosines`` are the same of raw cosines.
    Intervals: bootstrap over tracks, clustered by the manifest's groups.

    Args:
        tagsets: those whose tags are the words; all of the part's if None.
        language: which the tags are put into by the lexicon, and whose sentences they stand in.
        reference: the part that the scores are calibrated on.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.
    """

    primary: ClassVar[str] = "text_to_audio/map"

    def __init__(
        self,
        tagsets: list[str] | None = None,
        language: str = "en",
        reference: Literal["train", "valid", "test"] = "valid",
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        if tagsets == []:
            raise InputError("zero_shot: tagsets is empty; name one at least, or give null for all")
        self.tagsets, self.language, self.reference = tagsets, language, reference
        self.draws, self.seed = draws, seed

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<direction>[/<tagset>]/<metric>``."""
        if part == self.reference:
            raise InputError(f"zero_shot is calibrated on part {part}, so it cannot judge it; set zero_shot.reference")
        reference = Calibration.of(embedded.vectors(self.reference), embedded.part(self.reference), self.reference)
        judged = self._judged(embedded, part)
        scored = {f"/{tagset}": self._scored(embedded, part, reference, tags) for tagset, tags in judged.items()}
        found: dict[str, Measured] = {}
        every = {"": _together(list(scored.values())), **scored}
        for name, words in tqdm(every.items(), desc="zero-shot tags", unit="tagset", disable=None, leave=False):
            found |= self._text_to_audio(name, words) | self._audio_to_text(name, words)
            found |= self._calibration(name, words)
        return Judgement(found)

    def _judged(self, embedded: Embedded, part: str) -> dict[str, dict[str, Labels]]:
        """The labels ``(tracks,)`` of each tag that is a word, by tagset."""
        ids = embedded.vectors(part).track_ids
        manifest = embedded.part(part).select(ids)
        there = sorted(manifest.tags["tagset"].unique())
        if unknown := sorted(set(self.tagsets or []) - set(there)):
            raise InputError(f"zero_shot: part {part} has no tagset {listed(unknown)}; it has {listed(there)}")
        found: dict[str, dict[str, Labels]] = {}
        for tagset in self.tagsets or there:
            own, annotated = (table[table["tagset"] == tagset] for table in (manifest.tags, manifest.annotated))
            tags, labels = labels_of(replace(manifest, tags=own, annotated=annotated), ids)
            if usable := {tag: column for tag, column in zip(tags, labels.T, strict=True) if {0, 1} <= {*column}}:
                found[tagset] = usable
        if not found:
            raise InputError(f"zero_shot: part {part} has no tag that some of its tracks have and others lack")
        return found

    def _scored(self, embedded: Embedded, part: str, reference: Calibration, tags: dict[str, Labels]) -> Scored:
        """The words of a tagset on every segment of a part."""
        vectors, tracks = embedded.vectors(part), embedded.part(part).tracks
        found = word_vectors(embedded.texts, list(tags), self.language)
        scales = [reference.scale(tag, self.language, vector) for tag, vector in zip(tags, found, strict=True)]
        raw = [cosines(vectors.segment_vectors, vector) for vector in found]
        known = [reference.known(meant(tag, self.language, reference.tags)) for tag in tags]
        groups = dict(zip(tracks["track_id"], tracks["group"], strict=True))
        return Scored(
            tuple(tags),
            np.stack(list(tags.values()), axis=1),
            np.stack(raw, axis=1),
            np.stack([scale.score(column) for scale, column in zip(scales, raw, strict=True)], axis=1),
            np.array([scale.measure == "probability" for scale in scales]),
            np.array([np.mean(column[column >= 0] == 1) if (column >= 0).any() else 0.0 for column in known]),
            np.repeat(np.arange(len(vectors.tracks)), [len(track.bounds) for track in vectors.tracks]),
            np.concatenate([track.weights for track in vectors.tracks]),
            Units(
                vectors.track_ids,
                [groups[track] or track for track in vectors.track_ids],
                self.draws,
                self.seed,
            ),
        )

    def _text_to_audio(self, name: str, words: Scored) -> dict[str, Measured]:
        """Mean over words of the average precision with which each ranks the tracks."""
        known = words.labels >= 0
        relevant, items = (words.labels == 1).sum(axis=0), known.sum(axis=0)
        counts = {"queries": len(words.tags), "candidates": int(items.max())}
        chance = float(random_order.average_precision(items, relevant).mean())
        found = {}
        for ending, values in words.both():
            means = words.of_tracks(values)

            def precision(drawn: Ints, means: Floats = means) -> float:
                columns = zip(means.T, words.labels.T, known.T, strict=True)
                each = [average_precision(mean[k], labels[k] == 1, drawn[k]) for mean, labels, k in columns]
                return float(np.mean([value for value in each if not np.isnan(value)] or [np.nan]))

            found[f"text_to_audio{name}/map{ending}"] = words.units.statistic(precision, chance=chance, **counts)
        return found

    def _audio_to_text(self, name: str, words: Scored) -> dict[str, Measured]:
        """Mean over tracks of the average precision with which each ranks the words that have probabilities."""
        exclude = (words.labels < 0) | ~words.sure
        relevance = words.labels == 1
        asked = (relevance & ~exclude).any(axis=1)
        if words.sure.sum() < 2 or not asked.any():
            return {}
        chance = metrics.chance("audio_to_text", relevance, exclude, [])["audio_to_text/map"]
        found = {}
        for ending, values in words.both():
            means = words.of_tracks(values)
            each = metrics.per_query(means, relevance, list(words.tags), exclude, ks=[])["map"]
            measured = words.units.mean(each, chance=chance, candidates=int(words.sure.sum()))
            found[f"audio_to_text{name}/map{ending}"] = measured
        return found

    def _calibration(self, name: str, words: Scored) -> dict[str, Measured]:
        """Calibration error and Brier score of the words that have probabilities, over segments by their seconds."""
        labels = words.labels[words.track]
        usable = (labels >= 0) & words.sure
        if not usable.any():
            return {}
        true, (segment, word) = (labels == 1)[usable], np.nonzero(usable)
        shares = np.broadcast_to(words.shares, usable.shape)
        error = partial(calibration_error, words=word)
        wanted: dict[str, tuple[Callable[..., float], Floats]] = {
            "ece": (error, words.scores),
            "ece_of_cosines": (error, words.cosines),
            "brier": (brier, words.scores),
            "brier_of_shares": (brier, shares),
        }
        found = {}
        for metric, (measure, values) in wanted.items():

            def statistic(drawn: Ints, of: Callable[..., float] = measure, given: Floats = values[usable]) -> float:
                return of(given, true, (words.weights * drawn[words.track])[segment])

            counts = {"queries": len(true), "candidates": int(words.sure.sum())}
            found[f"calibration{name}/{metric}"] = words.units.statistic(statistic, **counts)
        return found


class Scored(NamedTuple):
    """Words on the segments of a part.

    Attributes:
        tags: the words.
        labels: 1, 0, or -1 for unknown, ``(tracks, words)``.
        cosines: ``(segments, words)``.
        scores: calibrated, ``(segments, words)``.
        sure: which words' scores are probabilities, ``(words,)``.
        shares: of the reference's tracks that have the tag, ``(words,)``.
        track: of each segment.
        weights: the share of each segment that holds sound.
        units: the tracks.
    """

    tags: tuple[str, ...]
    labels: Labels
    cosines: Floats
    scores: Floats
    sure: NDArray[np.bool_]
    shares: Floats
    track: Ints
    weights: Floats
    units: Units

    def both(self) -> list[tuple[str, Floats]]:
        """The scores, and the cosines, with the endings of their metrics' names."""
        return [("", self.scores), ("_of_cosines", self.cosines)]

    def of_tracks(self, values: Floats) -> Floats:
        """The mean of segments' values by their seconds, ``(tracks, words)``."""
        sums = [np.bincount(self.track, weights=self.weights * column) for column in values.T]
        return np.stack(sums, axis=1) / np.bincount(self.track, weights=self.weights)[:, None]


def _together(scored: Sequence[Scored]) -> Scored:
    """The words of all tagsets; a tag of several tagsets is a word of each, told apart by its place."""
    first = scored[0]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(words, name) for words in scored], axis=-1)
        for name in ("labels", "cosines", "scores", "sure", "shares")
    }
    tags = (tag for words in scored for tag in words.tags)
    return first._replace(tags=tuple(f"{tag} {place}" for place, tag in enumerate(tags)), **joined)
