"""Stands for an `Embedded`, for tests of tasks that fit heads: made-up vectors of segments, no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from crossmodal.data.manifest import Manifest
from crossmodal.model import TrackVectors

PARTS = {"train": 120, "valid": 60, "test": 60}
CLASSES = ("cello", "ney", "oud")


@dataclass
class Vectors:
    track_ids: tuple[str, ...]
    tracks: tuple[TrackVectors, ...]


@dataclass
class Stand:
    """Segments whose features tell of their track's tags as far as ``distance`` says, and whose vectors are noise.

    The last segment of a track is partial. The first of a track with several is noise of another kind, and silent.
    """

    manifest: Manifest
    distance: float
    segments: Callable[[int], int] = field(default=lambda number: 1)
    lost: tuple[str, ...] = ()
    split: str = "s"
    made: dict[str, Vectors] = field(default_factory=dict)

    def part(self, name: str) -> Manifest:
        return self.manifest.part("s", name)

    def vectors(self, name: str) -> Vectors:
        if name not in self.made:
            self.made[name] = self._vectors(name)
        return self.made[name]

    def _vectors(self, name: str) -> Vectors:
        part = self.part(name)
        ids = tuple(track for track in part.tracks["track_id"] if track not in self.lost)
        kinds = sorted(self.manifest.tags["tag"].unique())
        has = part.tags.groupby("track_id")["tag"].agg(set)
        rng = np.random.default_rng([len(ids), len(name)])
        return Vectors(ids, tuple(self._track(n, [k in has.get(t, ()) for k in kinds], rng) for n, t in enumerate(ids)))

    def _track(self, number: int, has: list[bool], rng: np.random.Generator) -> TrackVectors:
        count = self.segments(number)
        features = rng.normal(size=(count, 6))
        features[:, : len(has)] += self.distance * np.array(has)
        if count > 1:
            features[0] = rng.normal(size=6) * 20
        noise = rng.normal(size=(count, 6))
        weights = np.append(np.ones(count - 1), 1.0 if count == 1 else 0.25)
        bounds = np.stack([np.arange(count), np.arange(count) + weights], axis=1)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return TrackVectors(*(array.astype(np.float32) for array in (bounds, weights, noise, features)))

    def crops(self, name: str, seed: int) -> Vectors:
        """The last segment but one of each track, and a little noise by the seed."""
        whole, rng = self.vectors(name), np.random.default_rng(seed)
        tracks = []
        for track in whole.tracks:
            row = slice(max(0, len(track.weights) - 2), max(1, len(track.weights) - 1))
            noise = rng.normal(size=6).astype(np.float32) / 10
            tracks.append(track._replace(weights=np.ones(1, np.float32), features=track.features[row] + noise))
        return Vectors(whole.track_ids, tuple(tracks))

    def levels(self, name: str) -> list[np.ndarray]:
        """The first of several segments is digital silence, the others are about as loud as the track."""
        counts = [len(track.weights) for track in self.vectors(name).tracks]
        return [np.array([0.0]) if n == 1 else np.append(-np.inf, np.linspace(-5, 2, n - 1)) for n in counts]


def stand(distance: float, renamed: str = "", **more) -> Stand:
    """One tag a track; the last three tracks, of the test part, are not annotated."""
    rows = [(f"{part}{n}-{CLASSES[n % 3]}", part, CLASSES[n % 3]) for part, c in PARTS.items() for n in range(c)]
    frame = pd.DataFrame(rows, columns=["track_id", "part", "tag"])
    frame.loc[(frame["part"] == "test") & (frame["tag"] == "oud"), "tag"] = renamed or "oud"
    frame["group"] = frame["part"] + (frame.index // 2).astype(str)
    tracks = frame[["track_id", "group"]].assign(path=frame["track_id"])
    tags = frame[["track_id", "tag"]].assign(tagset="instrument")
    splits = frame[["track_id", "part"]].assign(name="s")
    return Stand(Manifest.build(tracks, tags=tags.iloc[:-3], splits=splits), distance, **more)


def several(distance: float, seed: int = 0, **more) -> Stand:
    """Tracks with none to three of ``CLASSES`` as moods; the first five of each part are not annotated."""
    rng = np.random.default_rng(seed)
    rows = [(f"{part}{n}", part) for part, count in PARTS.items() for n in range(count)]
    tracks = pd.DataFrame(rows, columns=["track_id", "name"])
    has = rng.random((len(rows), 3)) < 0.4
    pairs = [(rows[row][0], CLASSES[tag], "mood") for row, tag in zip(*np.nonzero(has), strict=True)]
    tags = pd.DataFrame(pairs, columns=["track_id", "tag", "tagset"])
    annotated = pd.DataFrame({"track_id": [track for track, _ in rows], "tagset": "mood"})
    first = {f"{part}{n}" for part in PARTS for n in range(5)}
    tags, annotated = (table[~table["track_id"].isin(first)] for table in (tags, annotated))
    splits = tracks.rename(columns={"name": "part"}).assign(name="s")
    made = Manifest.build(tracks[["track_id"]].assign(path=""), tags=tags, annotated=annotated, splits=splits)
    return Stand(made, distance, **more)


def two_tagsets(distance: float) -> Stand:
    """`several` tracks, whose "ney" is the tag "oud" of another tagset; the sixth to eighth of each part lack that."""
    data = several(distance)
    others = {f"{part}{n}" for part in PARTS for n in range(5, 8)}
    tags, annotated = data.manifest.tags, data.manifest.annotated
    moved = tags["tag"] == "ney"
    tags = tags.assign(tag=tags["tag"].replace("ney", "oud"), tagset=tags["tagset"].mask(moved, "mood/theme"))
    annotated = pd.concat([annotated, annotated.assign(tagset="mood/theme")])
    tags, annotated = (
        table[~((table["tagset"] == "mood/theme") & table["track_id"].isin(others))] for table in (tags, annotated)
    )
    data.manifest = replace(data.manifest, tags=tags, annotated=annotated)
    return data
