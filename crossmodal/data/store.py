"""The feature store: the front end's frames of all tracks in one HDF5 file, made to be cropped at random.

The frames lie in one contiguous, uncompressed dataset, which is memory-mapped: a crop reads its own bytes and nothing
else, and no process holds more than what it looks at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from crossmodal.audio.frontends import described
from crossmodal.errors import InputError
from crossmodal.files import Skipped

if TYPE_CHECKING:
    from crossmodal.types import FrontEnd

VERSION = 2


class FeatureStore:
    """A store, open for reading. Pickled, as for a worker process, it is a path that is opened again.

    Attributes:
        track_ids: the tracks in it, in the order of the manifest.
        sampled: whether its frames are samples, decoded once and for all.
        frontend_settings: name and settings of the front end that made it, for `crossmodal.audio.frontends.build`.
        fingerprint: of that front end; if the store is normalised, of front end and normaliser together.
        normalised: the fingerprint of the normaliser, or nothing: see `crossmodal.data.normalise`.
        silence: the value of digital silence, which is the right padding; if the store is normalised, an array of the
            shape of a frame.
        skipped: the tracks that could not be used.

    Raises:
        InputError: the file is missing, is no store, or was never finished.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"there is no feature store {path}; `crossmodal features` makes one")
        try:
            with h5py.File(self.path, "r") as file:
                self._read(file)
        except (OSError, KeyError) as error:
            raise InputError(f"{path} is not a feature store, or a broken one: {error}") from error

    def _read(self, file: h5py.File) -> None:
        if not file.attrs.get("complete") or file.attrs["version"] != VERSION:
            raise InputError(
                f"{self.path} is not a finished feature store of version {VERSION}; delete it and extract it again"
            )
        self.frontend_settings: dict[str, Any] = json.loads(file.attrs["frontend"])
        self.sampled = self.frontend_settings["name"] == "raw"
        self.fingerprint = str(file.attrs["fingerprint"])
        self.normalised = str(file.attrs.get("normalised", ""))
        silence = file.attrs["silence"]
        self.silence: float | NDArray[np.floating] = np.asarray(silence) if self.normalised else float(silence)
        self.track_ids: list[str] = file["track_ids"].asstr()[:].tolist()
        self.skipped = [Skipped(*row) for row in file["skipped"].asstr()[:].tolist()]
        self._offsets: NDArray[np.int64] = file["offsets"][:]
        self._rows = {track: row for row, track in enumerate(self.track_ids)}
        frames = file["frames"]
        self._frames: NDArray[np.floating] = np.memmap(
            self.path, frames.dtype, "r", offset=frames.id.get_offset(), shape=frames.shape
        )

    @property
    def frames(self) -> NDArray[np.floating]:
        """The frames of all tracks, one track after the other: a view of the file."""
        return self._frames

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        return FeatureStore, (self.path,)

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self.track_ids)

    def __contains__(self, track_id: object) -> bool:
        """Whether the store has the track."""
        return track_id in self._rows

    def __getitem__(self, track_id: str) -> NDArray[np.floating]:
        """All frames of a track, ``(frames, *shape)``: a view of the file."""
        start, stop = self._bounds(track_id)
        return self._frames[start:stop]

    def length(self, track_id: str) -> int:
        """The number of frames of a track."""
        start, stop = self._bounds(track_id)
        return stop - start

    def crop(self, track_id: str, start: int, length: int) -> NDArray[np.floating]:
        """``length`` frames of a track from ``start``; fewer at its end."""
        return self[track_id][start : start + length]

    def check(self, frontend: FrontEnd) -> None:
        """Raise `InputError` if another front end made this store, or if it is normalised."""
        if self.normalised:
            raise InputError(
                f"{self.path} is normalised, and encoders expect what the front end gives; take the store that it was"
                " made from"
            )
        if frontend.fingerprint == self.fingerprint:
            return
        mine, theirs = self.frontend_settings, described(frontend)
        other = [f"{key} {mine.get(key)}, not {theirs[key]}" for key in theirs if mine.get(key) != theirs[key]]
        raise InputError(f"{self.path} was made by another front end: {'; '.join(other)}")

    def _bounds(self, track_id: str) -> tuple[int, int]:
        row = self._rows.get(track_id)
        if row is None:
            raise InputError(f"track {track_id} is not in {self.path}; skipped.csv beside it may say why")
        return int(self._offsets[row]), int(self._offsets[row + 1])
