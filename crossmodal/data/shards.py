"""What an extraction has done so far: raw shards of frames, and beside each a journal of the tracks in it.

Every worker process writes a shard and a journal of its own. A track is in the journal once all its frames are in the
shard, so whatever kills the process, what the journals name is whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from crossmodal.audio.decode import AudioError, Channels, blocks, probe
from crossmodal.audio.frontends import LogMel
from crossmodal.files import Skipped

TOLERANCE_S = 1.0  # a table's duration may be rounded to seconds
TOLERANCE = 0.05  # and yet shows a file of 48 kHz whose header says 44.1


@dataclass(frozen=True)
class Recipe:
    """How features are made; the tracks made by one are not taken over into a store made by another."""

    frontend: dict[str, Any]
    precision: Literal[16, 32]
    channels: Channels
    max_duration_s: float | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a stored value."""
        return np.dtype(f"<f{self.precision // 8}")

    def to_dict(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)


class Job(NamedTuple):
    """One track to do, with the duration (s) and sample rate (Hz) its table tells, NaN and 0 where it does not.

    ``key`` stands for the track and its file as it is now: what was done under it need not be done again.
    """

    key: str
    track_id: str
    path: str
    duration: float
    sample_rate: int


class Done(NamedTuple):
    """One track in a shard: the shard's file name, the frame it starts at, and the number of its frames."""

    key: str
    shard: str
    start: int
    frames: int


class Writer:
    """Extracts tracks into a new shard; one a process."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.recipe, self.frontend = recipe, LogMel(**recipe.frontend)
        handle, name = tempfile.mkstemp(suffix=".raw", dir=folder)
        self.name = Path(name).name
        self.shard = os.fdopen(handle, "wb")
        self.journal = Path(name).with_suffix(".jsonl").open("w", encoding="utf-8")
        self.written = 0

    def __call__(self, job: Job) -> Skipped | None:
        """Write the frames of a track and then its line in the journal; or say why it cannot be used."""
        try:
            agrees(job)
            frames = self._write(job.path)
        except AudioError as error:
            self.shard.seek(self.written * self._frame_bytes)  # the next track overwrites what was begun
            return Skipped(job.track_id, job.path, error.reason)
        self.shard.flush()
        self.journal.write(json.dumps(Done(job.key, self.name, self.written, frames)) + "\n")
        self.journal.flush()
        self.written += frames
        return None

    @property
    def _frame_bytes(self) -> int:
        return self.recipe.channels * self.frontend.bands * self.recipe.dtype.itemsize

    def _write(self, path: str) -> int:
        recipe, frames = self.recipe, 0
        samples = blocks(path, self.frontend.sample_rate, recipe.channels, stop_s=recipe.max_duration_s)
        for features in self.frontend.stream(samples):
            self.shard.write(np.ascontiguousarray(features, recipe.dtype).data)
            frames += len(features)
        return frames

    def close(self) -> None:
        """Close both files."""
        self.shard.close()
        self.journal.close()


def key(track_id: str, path: str) -> str:
    """A track, its file, and the file's size and time of change, if it is there."""
    try:
        found = os.stat(path)
    except OSError:
        return f"{track_id}\t{path}"
    return f"{track_id}\t{path}\t{found.st_size}\t{found.st_mtime_ns}"


def agrees(job: Job) -> None:
    """Raise `AudioError` if the file is not what the table says: the sign of a wrong header, or of the wrong file."""
    info = probe(job.path)
    if job.duration == job.duration:
        if abs(info.duration - job.duration) > max(TOLERANCE_S, TOLERANCE * job.duration):
            raise AudioError(job.path, f"lasts {info.duration:.2f} s, not {job.duration:.2f} s as its table says")
    elif job.sample_rate and job.sample_rate != info.sample_rate:
        raise AudioError(job.path, f"has {info.sample_rate} Hz, not {job.sample_rate} Hz as its table says")


def done(folder: Path) -> dict[str, Done]:
    """All finished tracks by key; a line that a kill cut short is none."""
    lines = (line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines(True))
    found = (Done(*json.loads(line)) for line in lines if line.endswith("\n"))
    return {entry.key: entry for entry in found}
