"""Vectors of a manifest's tracks, from a feature store or from the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal import vector_files
from crossmodal.audio.decode import AudioError, features_of
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped, write_skipped
from crossmodal.model import DualEncoder, Floats, TrackVectors
from crossmodal.types import PathLike

Levels = NDArray[np.float64]


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


def embed(
    model: DualEncoder,
    manifest: Manifest,
    store: FeatureStore | None = None,
    batch_size: int = 32,
    cut: Callable[[Floats], Floats] | None = None,
) -> Vectors:
    """Embed every track of a manifest, with a progress bar.

    Args:
        model: its front end must be the store's, which is checked.
        manifest: the tracks.
        store: their features; without it the files are decoded.
        batch_size: segments at a time; it does not change the vectors.
        cut: what is taken of a track's features; all of them unless given.

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
                yield found if cut is None else cut(found)

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
        self._crops: dict[tuple[str, int], Vectors] = {}
        self._levels: dict[str, list[Levels]] = {}

    def part(self, name: str) -> Manifest:
        """The tracks of one part of the split: train, valid or test."""
        return self.manifest.part(self.split, name)

    def vectors(self, name: str) -> Vectors:
        """Their vectors."""
        if name not in self._parts:
            self._parts[name] = embed(self.model, self.part(name), self.store)
        return self._parts[name]

    def crops(self, name: str, seed: int) -> Vectors:
        """The vectors of one segment of each track, which begins anywhere, by a generator of this seed."""
        if (name, seed) not in self._crops:
            rng = np.random.default_rng(seed)

            def cut(frames: Floats) -> Floats:
                hops = self.model.audio_encoder.frontend.hops(len(frames))
                start = int(rng.integers(max(0, hops - self.model.window) + 1))
                return frames[start : start + self.model.window + len(frames) - hops]

            self._crops[name, seed] = embed(self.model, self.part(name), self.store, cut=cut)
        return self._crops[name, seed]

    def levels(self, name: str) -> list[Levels]:
        """How loud the segments of each track of `vectors` are, ``(segments,)``: in dB against the whole track.

        By the mean of the power that the front end keeps, from its lowest to its highest band. Digital silence is
        -inf; in a track of nothing else it is 0.
        """
        if name not in self._levels:
            ids = tqdm(self.vectors(name).track_ids, desc="levels", unit="track", leave=False)
            self._levels[name] = [self._level(track_id) for track_id in ids]
        return self._levels[name]

    def _level(self, track_id: str) -> Levels:
        power = self.model.audio_encoder.frontend.power
        frames = _features(self.model, self.manifest, self.store, track_id)
        if isinstance(frames, Skipped):
            raise InputError(f"track {track_id} was embedded, but can be read no more: {frames.reason}")
        whole = power(frames).mean()
        parts = np.array([power(part).mean() for part in self.model.cut(frames)[1]])
        with np.errstate(divide="ignore"):
            return np.asarray(10 * np.log10(parts / whole)) if whole else np.zeros(len(parts))

    @property
    def known(self) -> dict[str, Vectors]:
        """The parts that somebody asked for, with their vectors."""
        return dict(self._parts)

    def forget(self) -> None:
        """Drop the vectors, since the model has changed."""
        self._parts.clear()
        self._crops.clear()

    def texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts."""
        return self.model.embed_text(texts)
