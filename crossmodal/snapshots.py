"""The vectors of some tracks at each validation of a run, from which the report draws the map over epochs.

``snapshots/tracks.json`` names the tracks, at most `TRACKS`; ``snapshots/step-00000120.npy`` holds their unit vectors
at that step, ``(tracks, dim)`` in 16 bits: 128 kB a validation for 500 tracks of 128 dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmodal.files import atomic, read_json, write_json

TRACKS = 500

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Snapshots:
    """The snapshots in a folder; a run that goes on after a kill writes the same files again."""

    folder: Path

    def save(self, step: int, track_ids: Sequence[str], vectors: Floats) -> None:
        """Keep the vectors of a step, ``(tracks, dim)``, each file whole or not at all."""
        write_json(self.folder / "tracks.json", list(track_ids))
        with atomic(self.folder / f"step-{step:08d}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, vectors.astype(np.float16))

    @property
    def track_ids(self) -> list[str]:
        """The tracks, in the order of the rows; none if nothing was saved."""
        path = self.folder / "tracks.json"
        return [str(track) for track in read_json(path)] if path.is_file() else []

    @property
    def steps(self) -> list[int]:
        """The steps that were saved, in order."""
        return sorted(int(path.stem.removeprefix("step-")) for path in self.folder.glob("step-*.npy"))

    def vectors(self, step: int) -> NDArray[np.float32]:
        """The vectors of a step, ``(tracks, dim)``."""
        return np.asarray(np.load(self.folder / f"step-{step:08d}.npy"), dtype=np.float32)

    def __str__(self) -> str:
        """What there is, and what it costs, in words."""
        size = sum(path.stat().st_size for path in self.folder.glob("*"))
        return f"{len(self.track_ids)} tracks at {len(self.steps)} steps, {size / 1e6:.1f} MB"
