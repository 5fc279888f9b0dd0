"""Work on every track: audio becomes rows of numbers in a raw shard, and a line in the journal beside it.

Every worker process writes a shard and a journal of its own. A track is in the journal once all its rows are in the
shard, so whatever kills the process, what the journals name is whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from crossmodal.audio.decode import AudioError
from crossmodal.errors import InputError
from crossmodal.files import Skipped, read_skipped

SKIPPED = "skipped.csv"  # beside the shards, of the last run


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
    """One finished track: its shard's file name, the row it starts at, the number of its rows, and the note."""

    key: str
    track_id: str
    shard: str
    start: int
    rows: int
    note: Any = None


Write = Callable[[NDArray[Any]], None]
Worker = Callable[[Job, Write], Any]


class Work(Protocol):
    """What is done to every track; it can be pickled.

    Attributes:
        name: what the progress bar shows.
    """

    name: str

    @property
    def identity(self) -> dict[str, Any]:
        """What the rows depend on, as JSON: rows of another identity are not mixed with these."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a row's numbers."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        ...

    def start(self) -> Worker:
        """Called once in every process: the function that does a job.

        It writes blocks of rows ``(n, *shape)`` and returns a note, anything that is JSON. If it raises, the track is
        skipped, with the reason of an `AudioError`, or the error as it is.
        """
        ...


class Writer:
    """Does jobs, one after the other, into a new shard."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.work, self.do = work, work.start()
        handle, name = tempfile.mkstemp(suffix=".raw", dir=folder)
        self.name = Path(name).name
        self.shard = os.fdopen(handle, "wb")
        self.journal = Path(name).with_suffix(".jsonl").open("w", encoding="utf-8")
        self.shape, self.dtype = work.shape, work.dtype
        self.row_bytes = int(np.prod(work.shape, dtype=int)) * work.dtype.itemsize
        self.finished = self.written = (
            0  # rows of the tracks that are in the journal, and with those of the present one
        )

    def __call__(self, job: Job) -> Skipped | None:
        """Write the rows of a track and then its line in the journal; or say why it cannot be used."""
        try:
            note = self.do(job, self.write)
        except OSError:  # a full disk, for one, is no fault of the track
            raise
        except Exception as error:
            self.shard.seek(self.finished * self.row_bytes)  # the next track overwrites what was begun
            self.written = self.finished
            reason = error.reason if isinstance(error, AudioError) else f"{type(error).__name__}: {error}"
            return Skipped(job.track_id, job.path, reason)
        self.shard.flush()
        rows = self.written - self.finished
        entry = Done(job.key, job.track_id, self.name, self.finished, rows, note)
        self.journal.write(json.dumps(entry) + "\n")
        self.journal.flush()
        self.finished = self.written
        return None

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows ``(n, *shape)``."""
        if rows.shape[1:] != self.shape:
            raise TypeError(f"{self.work.name} has rows of shape {self.shape}, not {rows.shape[1:]}")
        self.shard.write(np.ascontiguousarray(rows, self.dtype).data)
        self.written += len(rows)

    def close(self) -> None:
        """Close both files."""
        self.shard.close()
        self.journal.close()


class Results:
    """The finished tracks of a work.

    Attributes:
        folder: of the shards.
        work: what was done.
        tracks: the finished tracks by id, in the order of the manifest.
        skipped: the others, each with the reason.
    """

    def __init__(self, folder: Path, work: Work, tracks: dict[str, Done], skipped: list[Skipped]) -> None:
        self.folder, self.work, self.tracks, self.skipped = folder, work, tracks, skipped

    @cached_property
    def _shards(self) -> dict[str, NDArray[Any]]:
        """Every shard as a memory map, up to the last row that a journal names; a kill may have left more."""
        ends = {entry.shard: entry.start + entry.rows for entry in sorted(self.tracks.values(), key=lambda e: e.start)}
        return {name: self._shard(self.folder / name, end) for name, end in ends.items() if end}

    def _shard(self, path: Path, rows: int) -> NDArray[Any]:
        try:
            return np.asarray(np.memmap(path, self.work.dtype, "r", shape=(rows, *self.work.shape)))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is gone, or shorter than its journal says; remove {self.folder} and do the work again"
            ) from error

    def rows(self, track_id: str) -> NDArray[Any]:
        """The rows of a track, ``(n, *shape)``: a view of the shard."""
        entry = self.tracks[track_id]
        if entry.rows == 0:
            return np.zeros((0, *self.work.shape), self.work.dtype)
        return self._shards[entry.shard][entry.start : entry.start + entry.rows]


def key(track_id: str, path: str) -> str:
    """A track, its file, and the file's size and time of change, if it is there."""
    try:
        found = os.stat(path)
    except OSError:
        return f"{track_id}\t{path}"
    return f"{track_id}\t{path}\t{found.st_size}\t{found.st_mtime_ns}"


def done(folder: Path) -> dict[str, Done]:
    """All finished tracks by key, the oldest journal first; a line that a kill cut short is none."""
    journals = sorted(folder.glob("*.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    lines = (line for path in journals for line in path.read_text("utf-8").splitlines(True))
    return {entry.key: entry for entry in filter(None, map(journalled, lines))}


def journalled(line: str) -> Done | None:
    """A line of a journal; None if a kill, or a power cut, left it unfit to read: that track is done again."""
    try:
        return Done(*json.loads(line)) if line.endswith("\n") else None
    except (ValueError, TypeError):
        return None


def finished(folder: Path, work: Work, track_ids: Iterable[str]) -> Results:
    """What lies in a folder of some tracks, in the order of their ids, without doing any work.

    A track that is not there is skipped, with the reason that the folder's skipped.csv has for it.
    """
    reasons = {skipped.id: skipped for skipped in read_skipped(folder / SKIPPED)}
    # what was skipped in the end may have been done before its file was broken
    found = {entry.track_id: entry for entry in done(folder).values() if entry.track_id not in reasons}
    tracks = {track: found[track] for track in track_ids if track in found}
    absent = [track for track in track_ids if track not in found]
    skipped = [reasons.get(track, Skipped(track, "", f"was not extracted into {folder.name}")) for track in absent]
    return Results(folder, work, tracks, skipped)
