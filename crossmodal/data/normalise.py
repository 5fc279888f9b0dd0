"""Feature stores brought to mean 0 and deviation 1 in every band and channel, by the tracks of training alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal.data.store import FeatureStore
from crossmodal.errors import InputError, listed
from crossmodal.files import atomic, read_json, write_json, write_skipped

Doubles = NDArray[np.float64]
FLAT = 0.01  # dB: a band that varies less is constant, and dividing by it would blow rounding up, past 16 bits
CHUNK = 1 << 14  # frames at a time: 32 MB of double precision for 256 bands
VERSION = 1
NAME = "normaliser.json"


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Mean and standard deviation of each band and channel.

    Attributes:
        mean: ``(bands,)`` or ``(2, bands)``, the shape of a frame.
        std: the same. What a band of (nearly) one value holds is brought to mean 0 and not divided.
        frontend: the fingerprint of the front end of the frames.
        tracks: the number of tracks it was fitted to.
        track_hash: of their ids, whatever their order.
        frames: the number of their frames.
    """

    mean: Doubles
    std: Doubles
    frontend: str
    tracks: int
    track_hash: str
    frames: int

    @classmethod
    def fit(cls, store: FeatureStore, track_ids: Sequence[str] | None = None) -> Normaliser:
        """Fit to some tracks of a store, or to all, in double precision; memory does not grow with the frames.

        Raises:
            InputError: there are no tracks, one is not in the store, or values are not finite.
        """
        ids = store.track_ids if track_ids is None else track_ids
        if not ids:
            raise InputError(f"{store.path}: there are no tracks to fit a normaliser to")
        frames, mean, squares = _moments(_chunks(store, ids))
        if not (np.isfinite(mean).all() and np.isfinite(squares).all()):
            raise InputError(f"{store.path} holds values that are not finite; extract it again")
        told = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]
        return cls(mean, np.sqrt(squares / frames), store.fingerprint, len(ids), told, frames)

    @property
    def fingerprint(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(json.dumps(self._as_json()).encode()).hexdigest()[:16]

    def __call__(self, frames: NDArray[np.floating]) -> Doubles:
        """Frames ``(n, *shape)``, or one, normalised."""
        scale = np.where(self.std > FLAT, self.std, 1.0)
        return np.asarray((frames.astype(np.float64) - self.mean) / scale)

    def apply(self, store: FeatureStore, out: Path) -> FeatureStore:
        """Write the normalised store ``out``, whole or not at all, and open it.

        Its fingerprint is of front end and normaliser, its silence an array of the shape of a frame.
        """
        _check_raw(store, self.frontend)
        with atomic(out) as temporary:
            _write(store, self, temporary)
        write_skipped(out.with_suffix(".skipped.csv"), store.skipped)
        return FeatureStore(out)

    def save(self, path: Path) -> None:
        """Write JSON."""
        write_json(path, {"version": VERSION, "fingerprint": self.fingerprint, **self._as_json()})

    @classmethod
    def load(cls, path: Path) -> Normaliser:
        """Read what `save` wrote; a file of another form is an `InputError`."""
        about = read_json(path)
        if not isinstance(about, dict) or about.pop("version", None) != VERSION:
            raise InputError(f"{path} is not a normaliser of version {VERSION}")
        fingerprint = about.pop("fingerprint", None)
        try:
            found = cls(**about | {name: np.array(about[name], np.float64) for name in ("mean", "std")})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not a normaliser: {error}") from error
        if found.fingerprint != fingerprint:
            raise InputError(f"{path} holds other values than its fingerprint was made for")
        return found

    def _as_json(self) -> dict[str, Any]:
        return {**vars(self), "mean": self.mean.tolist(), "std": self.std.tolist()}


def normalise(
    train: FeatureStore, others: Sequence[FeatureStore], folder: Path, track_ids: Sequence[str] | None = None
) -> list[FeatureStore]:
    """Fit a normaliser to the tracks of ``train``, and write all stores, normalised, into a folder under their names.

    Args:
        train: the store of the training tracks.
        others: stores of other tracks, of the same front end.
        folder: for the stores and normaliser.json.
        track_ids: the training tracks, if ``train`` has others too.

    Raises:
        InputError: a store is of another front end, or normalised already; a training track is also in one of the
            others; two stores have one name, or lie in the folder itself.
    """
    stores = [train, *others]
    for store in stores:
        _check_raw(store, train.fingerprint)
    fitted = set(train.track_ids if track_ids is None else track_ids)
    for store in others:
        if leaked := [track for track in store.track_ids if track in fitted]:
            raise InputError(f"{store.path} has {len(leaked)} tracks of the training part: {listed(leaked, 3)}")
    outs = [folder / store.path.name for store in stores]
    if len(set(outs)) < len(outs):
        raise InputError(f"two stores have one name: {listed(store.path for store in stores)}")
    if at := [store.path for store, out in zip(stores, outs, strict=True) if store.path.resolve() == out.resolve()]:
        raise InputError(f"{at[0]} would be overwritten; give another folder than {folder}")
    normaliser = Normaliser.fit(train, track_ids)
    normaliser.save(folder / NAME)
    return [normaliser.apply(store, out) for store, out in zip(stores, outs, strict=True)]


def _check_raw(store: FeatureStore, fingerprint: str) -> None:
    if store.normalised:
        raise InputError(f"{store.path} is normalised already")
    if store.fingerprint != fingerprint:
        raise InputError(f"{store.path} is of another front end ({store.fingerprint}, not {fingerprint})")


def _chunks(store: FeatureStore, track_ids: Iterable[str]) -> Iterator[Doubles]:
    """The frames of some tracks, a few at a time, in double precision."""
    for track in tqdm(track_ids, "fit", unit="track", disable=None):
        frames = store[track]
        for start in range(0, len(frames), CHUNK):
            yield frames[start : start + CHUNK].astype(np.float64)


def _moments(chunks: Iterable[Doubles]) -> tuple[int, Doubles, Doubles]:
    """The number of frames, their mean, and the sum of squared differences from it.

    Those of chunks are joined as by Chan, Golub and LeVeque (1979), which loses no digits where the mean is large.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for chunk in chunks:
        total = count + len(chunk)
        own = chunk.mean(0)
        delta = own - mean
        squares = squares + np.square(chunk - own).sum(0) + np.square(delta) * (count * len(chunk) / total)
        mean = mean + delta * (len(chunk) / total)
        count = total
    return count, mean, squares


def _write(store: FeatureStore, normaliser: Normaliser, out: Path) -> None:
    frames = store.frames
    together = json.dumps([store.fingerprint, normaliser.fingerprint])
    with h5py.File(store.path, "r") as source, h5py.File(out, "w") as file:
        for name in ("track_ids", "offsets", "skipped"):
            source.copy(name, file)
        file.attrs.update(source.attrs)
        file.attrs["fingerprint"] = hashlib.sha256(together.encode()).hexdigest()[:16]
        file.attrs["normalised"] = normaliser.fingerprint
        file.attrs["silence"] = normaliser(np.full(frames.shape[1:], store.silence)).astype(np.float32)
        target = file.create_dataset("frames", frames.shape, frames.dtype)
        with tqdm(total=len(frames), desc=store.path.name, unit="frame", unit_scale=True, disable=None) as bar:
            for start in range(0, len(frames), CHUNK):
                block = frames[start : start + CHUNK]
                target[start : start + CHUNK] = normaliser(block)
                bar.update(len(block))
