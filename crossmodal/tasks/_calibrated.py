"""Words on segments, read by a calibration: how they rank tracks, how tracks rank them, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from crossmodal.judgement import Measured, Units
from crossmodal.metrics import chance as random_order
from crossmodal.metrics import retrieval as metrics
from crossmodal.metrics.ranking import Ranked
from crossmodal.metrics.tagging import bins_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = NDArray[np.int8]


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


def together(scored: Sequence[Scored]) -> Scored:
    """The words of all tagsets; a tag of several tagsets is a word of each, told apart by its place."""
    first = scored[0]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(words, name) for words in scored], axis=-1)
        for name in ("labels", "cosines", "scores", "sure", "shares")
    }
    tags = (tag for words in scored for tag in words.tags)
    return first._replace(tags=tuple(f"{tag} {place}" for place, tag in enumerate(tags)), **joined)


def figures(name: str, words: Scored) -> dict[str, Measured]:
    """All the figures of words, ``<direction><name>/<measure>``."""
    return text_to_audio(name, words) | audio_to_text(name, words) | calibration(name, words)


def text_to_audio(name: str, words: Scored) -> dict[str, Measured]:
    """Mean over words of the average precision with which each ranks the tracks."""
    known = words.labels >= 0
    relevant, items = (words.labels == 1).sum(axis=0), known.sum(axis=0)
    counts = {"queries": len(words.tags), "candidates": int(items.max())}
    chance = float(random_order.average_precision(items, relevant).mean())
    found = {}
    for ending, values in words.both():
        ranked = Ranked.of_tags(words.labels, words.of_tracks(values))

        def precision(drawn: Ints, ranked: Ranked = ranked) -> float:
            return ranked.figures(drawn).macro()[1]

        found[f"text_to_audio{name}/map{ending}"] = words.units.statistic(precision, chance=chance, **counts)
    return found


def audio_to_text(name: str, words: Scored) -> dict[str, Measured]:
    """Mean over tracks of the average precision with which each ranks the words that have probabilities."""
    exclude = (words.labels < 0) | ~words.sure
    relevance = words.labels == 1
    asked = (relevance & ~exclude).any(axis=1)
    if words.sure.sum() < 2 or not asked.any():
        return {}
    chance = metrics.chance("audio_to_text", relevance, exclude, [])["audio_to_text/map"]
    found = {}
    for ending, values in words.both():
        each = metrics.per_query(words.of_tracks(values), relevance, list(words.tags), exclude, ks=[])["map"]
        measured = words.units.mean(each, chance=chance, candidates=int(words.sure.sum()))
        found[f"audio_to_text{name}/map{ending}"] = measured
    return found


def calibration(name: str, words: Scored) -> dict[str, Measured]:
    """Calibration error and Brier score of the words that have probabilities, over segments by their seconds.

    As `metrics.tagging` has them; the sums of each track are made once, since a sample only counts tracks anew.
    """
    labels = words.labels[words.track]
    usable = (labels >= 0) & words.sure
    if not usable.any():
        return {}
    true, (segment, word) = (labels == 1)[usable], np.nonzero(usable)
    weights, track, tracks = words.weights[segment].astype(np.float64), words.track[segment], len(words.labels)
    seconds = np.bincount(track, weights, tracks)
    gaps, squares = {}, {}
    for ending, values in words.both():
        scores, place = values[usable], bins_of(values[usable], word)
        gaps[f"ece{ending}"] = coo_array((weights * (scores - true), (place, track)), (place.max() + 1, tracks)).tocsr()
    for measure, values in (("brier", words.scores), ("brier_of_shares", np.broadcast_to(words.shares, usable.shape))):
        squares[measure] = np.bincount(track, weights * (values[usable] - true) ** 2, tracks)

    def errors(drawn: Ints) -> dict[str, Floats]:
        total = drawn @ seconds
        found = {measure: np.abs(each @ drawn.T).sum(axis=0) / total for measure, each in gaps.items()}
        return found | {measure: drawn @ each / total for measure, each in squares.items()}

    counts: dict[str, Any] = {"queries": len(true), "candidates": int(words.sure.sum())}
    return {f"calibration{name}/{m}": figure for m, figure in words.units.statistics(errors, **counts).items()}
