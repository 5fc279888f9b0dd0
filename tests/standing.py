"""A stand for an `Embedded`: a manifest with one split, and features that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crossmodal.data.manifest import Manifest
from crossmodal.model import TrackVectors

BOUNDS = np.array([[0, 1]], dtype=np.float32)
PARTS = {"train": 120, "valid": 60, "test": 60}


@dataclass
class Vectors:
    track_ids: tuple[str, ...]
    features: np.ndarray
    vectors: np.ndarray
    tracks: tuple[TrackVectors, ...]


@dataclass
class Stand:
    manifest: Manifest
    features: dict[str, np.ndarray]
    split: str = "s"

    def part(self, name: str) -> Manifest:
        return self.manifest.part("s", name)

    def vectors(self, name: str) -> Vectors:
        ids = tuple(self.part(name).tracks["track_id"])
        features = np.stack([self.features[track] for track in ids]).astype(np.float32)
        tracks = tuple(TrackVectors(BOUNDS, BOUNDS[0, 1:], -row[None], row[None]) for row in features)
        return Vectors(ids, features, -features, tracks)


def stand(values: np.ndarray, features: np.ndarray, column: str, tagset: str = "") -> Stand:
    """Tracks in the order of the parts, groups of two, their ``values`` in a column, and as tags of a tagset."""
    parts = [part for part, count in PARTS.items() for _ in range(count)]
    ids = [f"{part}-{number}" for number, part in enumerate(parts)]
    tracks = pd.DataFrame({"track_id": ids, "path": ids, column: values})
    tracks["group"] = [f"{part}{number // 2}" for number, part in enumerate(parts)]
    splits = pd.DataFrame({"track_id": ids, "part": parts, "name": "s"})
    tags = pd.DataFrame({"track_id": ids, "tagset": tagset, "tag": values}) if tagset else None
    return Stand(Manifest.build(tracks, tags=tags, splits=splits), dict(zip(ids, features, strict=True)))
