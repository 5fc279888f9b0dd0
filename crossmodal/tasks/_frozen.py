"""Tracks with their tags as the heads of `crossmodal.heads` read them: frozen features of tracks, segments or crops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.groups import clusters_of, groups_of
from crossmodal.heads import Aggregate, Examples, Fit, Reading, Truth
from crossmodal.judgement import Units
from crossmodal.tasks._tagsets import Tagset

if TYPE_CHECKING:
    from crossmodal.data.manifest import Manifest
    from crossmodal.embedding import Embedded
    from crossmodal.model import TrackVectors

Layer = Literal["features", "vectors"]
Silence = Literal["include", "leave_out"]
SILENT_DB = -40.0  # a segment that is so much quieter than its track is silent


class View(NamedTuple):
    """How the tracks of a part are turned into rows.

    Attributes:
        rows: of what.
        aggregate: what is averaged over a track's rows.
        whole: see `Reading`.
        quietest_db: segments that are not louder than this against their track are left out, but for the loudest.
        most: so many segments of a track at most, drawn at random.
    """

    rows: Fit
    aggregate: Aggregate
    whole: bool
    quietest_db: float
    most: int | None

    @property
    def draws(self) -> bool:
        """Whether it depends on a seed."""
        return self.rows == "crop" or self.most is not None


class Views(NamedTuple):
    """How the three parts are read."""

    train: View
    valid: View
    judged: View


def views(reading: Reading, fit: Fit | None, aggregate: Aggregate | None, silence: Silence | None) -> Views:
    """How a head reads the parts, where the task's settings, None for none, come before the head's own."""
    aggregate = aggregate or reading.aggregate
    averaged: Fit = "tracks" if aggregate == "embeddings" else "segments"
    quietest = {"include": -np.inf, "leave_out": SILENT_DB, None: -np.inf}[silence]
    fitted_quietest = reading.quietest_db if silence is None else quietest
    train = View(fit or reading.fit or averaged, aggregate, reading.whole, fitted_quietest, reading.most)
    judged = View(averaged, aggregate, reading.whole, quietest, None)
    return Views(train, train if reading.valid == "train" else judged, judged)


class Labelled(NamedTuple):
    """The tracks of a part that a tagset was asked of.

    Attributes:
        examples: of these tracks.
        ids: theirs.
        manifest: of the part.
        unlabelled: how many others the part has.
    """

    examples: Examples
    ids: list[str]
    manifest: Manifest
    unlabelled: int

    @property
    def groups(self) -> list[str]:
        """The tracks' groups; a track without one is one of its own."""
        return groups_of(self.manifest, self.ids)

    def units(self, draws: int, seed: int) -> Units:
        """What the bootstrap draws from."""
        return Units(self.ids, clusters_of(self.manifest, self.ids), draws, seed)


def labelled(embedded: Embedded, part: str, tagset: Tagset, layer: Layer, view: View, seed: int) -> Labelled:
    """The tracks of a part that are annotated with a tagset; of an exclusive one, those with one of its ``tags``."""
    every = embedded.vectors(part).track_ids
    rows, truth = _truth(tagset, every)
    ids = [every[row] for row in rows]
    examples = _examples(viewed(embedded, part, rows, view, seed), truth, tagset.exclusive, layer, view)
    return Labelled(examples, ids, embedded.part(part), len(every) - len(ids))


def viewed(embedded: Embedded, part: str, rows: Iterable[int], view: View, seed: int = 0) -> list[TrackVectors]:
    """Some of the tracks of a part, by their rows, with the segments that count."""
    vectors = embedded.crops(part, seed) if view.rows == "crop" else embedded.vectors(part)
    levels = embedded.levels(part) if np.isfinite(view.quietest_db) and view.rows != "crop" else None
    rng = np.random.default_rng(seed)
    return [_kept(vectors.tracks[row], levels[row] if levels else None, view, rng) for row in rows]


def whole(tracks: Sequence[TrackVectors], layer: Layer) -> NDArray[np.float32]:
    """A row a track, the mean of its segments, ``(tracks, dim)``."""
    return np.stack([track.feature if layer == "features" else track.vector for track in tracks])


def _truth(tagset: Tagset, track_ids: Sequence[str]) -> tuple[list[int], Truth]:
    """The rows of ``track_ids`` that are annotated, and what is true of them, ``(rows, tags)``."""
    column = {tag: place for place, tag in enumerate(tagset.tags)}
    own = [[column[tag] for tag in tagset.has.get(track, ()) if tag in column] for track in track_ids]
    rows = [row for row, track in enumerate(track_ids) if (own[row] if tagset.exclusive else track in tagset.has)]
    truth = np.zeros((len(rows), len(column)), np.int8)
    for place, row in enumerate(rows):
        truth[place, own[row]] = 1
    return rows, truth


def _kept(track: TrackVectors, level: NDArray[np.float64] | None, view: View, rng: np.random.Generator) -> TrackVectors:
    """The segments of a track that count, and how much each does."""
    weights = track.weights
    rows = np.arange(len(weights))
    if view.whole:
        rows = np.flatnonzero(weights >= min(1 - 1e-6, weights.max()))
        weights = np.ones_like(weights)
    if level is not None:
        rows = rows[level[rows] > min(view.quietest_db, np.nextafter(level[rows].max(), -np.inf))]
    if view.most is not None and len(rows) > view.most:
        rows = np.sort(rng.permutation(rows)[: view.most])
    changed = {"bounds": track.bounds[rows], "vectors": track.vectors[rows], "features": track.features[rows]}
    return track._replace(weights=weights[rows], **changed)


def _examples(tracks: Sequence[TrackVectors], truth: Truth, exclusive: bool, layer: Layer, view: View) -> Examples:
    """A row a track, or a row a segment."""
    if view.rows != "segments":
        return Examples.of_tracks(whole(tracks, layer), truth, exclusive)
    number = np.repeat(np.arange(len(tracks)), [len(track.weights) for track in tracks])
    weights = [track.weights.astype(np.float64) / track.weights.sum(dtype=np.float64) for track in tracks]
    pooled: Aggregate = "logits" if view.aggregate == "logits" else "probabilities"
    rows = np.concatenate([getattr(track, layer) for track in tracks])
    return Examples(rows, number, np.concatenate(weights), truth, exclusive, pooled)
