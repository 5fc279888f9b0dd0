"""Vectors of a manifest's tracks, from a feature store or from the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from crossmodal import vector_files
from crossmodal.audio.decode import AudioError, features_of
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped, write_skipped
from crossmodal.model import DualEncoder, Floats, TrackVectors
from crossmodal.types import PathLike


@dataclass(frozen=True)
class Vectors:
    """What `embed` found for the tracks of a manifest.

    Attributes:
        track_ids: the tracks that could be embedded, in the manifest's order.
        tracks: their vectors, one for each id.
        fingerprint: the model's.
        skipped: the tracks that could not, and why.
        frontend: the fingerprint of the model's front end.
    """

    track_ids: tuple[str, ...]
    tracks: tuple[TrackVectors, ...]
    fingerprint: str
    skipped: tuple[Skipped, ...] = ()
    frontend: str = ""

    @cached_property
    def vectors(self) -> Floats:
        """Unit vectors of whole tracks, ``(tracks, dim)``."""
        return np.stack([track.vector for track in self.tracks])

    @cached_property
    def features(self) -> Floats:
        """The audio encoder's outputs before projection, ``(tracks, encoder dim)``, for probes."""
        return np.stack([track.feature for track in self.tracks])

    @cached_property
    def segment_vectors(self) -> Floats:
        """Unit vectors of all segments, ``(segments, dim)``, track after track."""
        return np.concatenate([track.vectors for track in self.tracks])

    @cached_property
    def segments(self) -> pd.DataFrame:
        """A row for each of ``segment_vectors``: track_id, start and end in seconds."""
        bounds = np.concatenate([track.bounds for track in self.tracks])
        ids = np.repeat(np.array(self.track_ids, dtype=object), [len(track.bounds) for track in self.tracks])
        return pd.DataFrame({"track_id": ids, "start": bounds[:, 0], "end": bounds[:, 1]}).astype({"track_id": "str"})

    def save(self, path: PathLike, segments: bool = False) -> None:
        """Write ids, vectors, features and the fingerprint as npz, pt or parquet; the skipped as csv beside it.

        Args:
            path: its suffix decides; see `vector_files`.
            segments: a row a segment with its start and end, instead of a row a track.
        """
        path = Path(path)
        if segments:
            rows, features = self.segments, np.concatenate([track.features for track in self.tracks])
            arrays = {"vectors": self.segment_vectors, "features": features}
        else:
            rows = pd.DataFrame({"track_id": list(self.track_ids)})
            arrays = {"vectors": self.vectors, "features": self.features}
        vector_files.write(path, rows, arrays, self.fingerprint)
        write_skipped(path.with_suffix(".skipped.csv"), self.skipped)


def embed(model: DualEncoder, manifest: Manifest, store: FeatureStore | None = None, batch_size: int = 32) -> Vectors:
    """Embed every track of a manifest, with a progress bar.

    Args:
        model: its front end must be the store's, which is checked.
        manifest: the tracks.
        store: their features; without it the files are decoded.
        batch_size: segments at a time; it does not change the vectors.

    Raises:
        InputError: the store is of another front end, or not one track could be embedded.
    """
    skipped: list[Skipped] = []
    known: list[str] = []

    def features() -> Iterator[Floats]:
        for track_id in tqdm(manifest.tracks["track_id"], desc="embed", unit="track", leave=False):
            found = _features(model, manifest, store, track_id)
            if isinstance(found, Skipped):
                skipped.append(found)
            else:
                known.append(track_id)
                yield found

    if store is not None:
        store.check(model.audio_encoder.frontend)
    tracks = tuple(model.embed_features(features(), batch_size))
    if not tracks:
        raise InputError(f"none of {len(manifest)} tracks could be embedded; {listed(skipped, 1)}")
    return Vectors(tuple(known), tracks, model.fingerprint, tuple(skipped), model.audio_encoder.frontend.fingerprint)


def _features(model: DualEncoder, manifest: Manifest, store: FeatureStore | None, track_id: str) -> Floats | Skipped:
    if store is not None:
        if track_id in store:
            return np.asarray(store[track_id], dtype=np.float32)
        missing = Skipped(track_id, str(store.path), "not in the feature store")
        return next((skipped for skipped in store.skipped if skipped.id == track_id), missing)
    path = manifest.path(track_id)
    try:
        return features_of(path, model.audio_encoder.frontend)
    except AudioError as error:
        return Skipped(track_id, str(path), str(error))


@dataclass
class Embedded:
    """A model beside the data it is judged on; the vectors of each part are made once, when first asked for."""

    model: DualEncoder
    manifest: Manifest
    split: str
    store: FeatureStore | None = None

    def __post_init__(self) -> None:
        self._parts: dict[str, Vectors] = {}

    def part(self, name: str) -> Manifest:
        """The tracks of one part of the split: train, valid or test."""
        return self.manifest.part(self.split, name)

    def vectors(self, name: str) -> Vectors:
        """Their vectors."""
        if name not in self._parts:
            self._parts[name] = embed(self.model, self.part(name), self.store)
        return self._parts[name]

    def forget(self) -> None:
        """Drop the vectors, since the model has changed."""
        self._parts.clear()

    def texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts."""
        return self.model.embed_text(texts)
